"""History, differences, exports of the past, and rollbacks that secondaries take by IXFR."""
import getpass
import subprocess

import dns.query
import dns.update
import pytest

from harness import BINARY, simple_zone
from test_ixfr_out import PEERS

ZONE = "past.example."


def primary(lab, peer=None, **zone):
    t = lab.tandem("primary")
    t.file("zone", simple_zone(ZONE))
    config = {"zones": [{"name": ZONE, "role": "primary", "file": "zone", "transfer": ["any"], "update": ["127.0.0.1"], **zone}]}
    if peer:
        config["peers"] = [{"name": "peer", "address": peer.at}]
        config["zones"][0]["notify"] = ["peer"]
    t.configure(config)
    return t


def change(t, *lines):
    u = dns.update.UpdateMessage(ZONE)
    for line in lines:
        words = line.split()
        (u.add if words[0] == "+" else u.delete)(words[1] + "." + ZONE, *words[2:])
    assert dns.query.udp(u, t.host, port=t.port, timeout=20).rcode() == 0


def records(t, *at):
    return sorted(t.run("export", ZONE, *at, check=0).stdout.splitlines())


def test_history_and_the_past(lab):
    t = primary(lab).start()
    change(t, "+ a 300 A 192.0.2.1")
    then = records(t)
    change(t, "- a", "+ b 300 A 192.0.2.2")
    change(t, "+ c 300 TXT three")
    assert records(t, "--at", "v2") == then and records(t, "--at", "2") == then
    rows = t.json("history", ZONE)["changes"]
    assert [r["version"] for r in rows] == [4, 3, 2, 1]
    assert [(r["removed"], r["added"]) for r in rows] == [(1, 2), (2, 2), (1, 2), (0, 4)]
    assert [r["door"] for r in rows] == ["update"] * 3 + ["file"] and rows[0]["author"] == "127.0.0.1"
    assert rows[0]["digest"] == t.status(ZONE)["digest"] and len({r["digest"] for r in rows}) == 4
    assert records(t, "--at", rows[0]["at"]) == records(t)
    assert len(t.json("history", ZONE, "--limit", "2")["changes"]) == 2
    d = t.run("diff", ZONE, "v1", "v3", check=0).stdout.splitlines()
    assert d[0].startswith("--- v1, serial 1, ") and d[1].startswith("+++ v3, serial 3, ")
    assert [line for line in d[2:] if "SOA" not in line] == [f"+b.{ZONE} 300 IN A 192.0.2.2"]
    d = t.json("diff", ZONE)
    assert d["from"]["version"] == 3 and d["to"]["version"] == 4
    assert len(d["removed"]) == 1 and d["added"][1] == f'c.{ZONE} 300 IN TXT "three"'
    r = t.run("export", ZONE, "--at", "77", check=1)
    assert "serial 77 is not in the history that is kept: v1 (" in r.stderr and "v7" in r.stderr
    t.stop()
    t.start()
    assert records(t, "--at", "v2") == then
    assert len(t.json("history", ZONE)["changes"]) == 4


def test_who_and_why(lab):
    t = primary(lab, update=[]).start()
    t.file("zone", simple_zone(ZONE, 2, f"new.{ZONE} 300 IN A 192.0.2.9\n"))
    t.run("reload", ZONE, "--comment", "ticket 7", check=0)
    t.file("zone", simple_zone(ZONE, 3))
    t.hup()
    t.wait_answer(ZONE, serial=3)
    rows = t.json("history", ZONE)["changes"]
    assert rows[1]["author"] == getpass.getuser() and rows[1]["comment"] == "ticket 7"
    assert rows[0]["author"].endswith("/zone") and rows[0]["comment"] == ""
    r = t.run("rollback", ZONE, "v2", check=1)
    assert "only its file changes the zone" in r.stderr and "/zone" in r.stderr


def test_long_answers_do_not_stop_the_server(lab):
    """While a large zone is printed for a client that does not read, others are answered."""
    t = primary(lab)
    t.file("zone", simple_zone(ZONE, 1, "".join(f"n{i}.{ZONE} 300 IN TXT \"{'x' * 200} {i}\"\n" for i in range(60000))))
    t.start()
    change(t, "+ a 300 A 192.0.2.1")
    slow = subprocess.Popen([BINARY, "export", ZONE, "--at", "v1", "-c", t.config_path, "--timeout", "60"], stdout=subprocess.PIPE, cwd=t.dir)
    assert slow.stdout.readline().split()[3] == b"SOA"
    for i in range(5):
        change(t, f"+ during{i} 300 A 192.0.2.1")
        t.run("status", check=0)
    out = slow.stdout.read()
    assert slow.wait(60) == 0
    assert out.count(b"\n") == 60003 and b"during" not in out


@pytest.mark.parametrize("kind", ["bind", "knot"])
def test_a_rollback_reaches_secondaries_by_ixfr(lab, kind):
    t = lab.tandem("primary")
    cls, name, changes = PEERS[kind]
    peer = lab.add(cls, kind, {ZONE: None}, t)
    text = (peer.dir / name).read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    (peer.dir / name).write_text(text)
    t.file("zone", simple_zone(ZONE, 1, "".join(f"n{i}.{ZONE} 300 IN A 192.0.2.1\n" for i in range(200))))
    t.configure({"peers": [{"name": "peer", "address": peer.at}],
                 "zones": [{"name": ZONE, "role": "primary", "file": "zone", "transfer": ["any"], "notify": ["peer"], "update": ["127.0.0.1"]}]})
    t.start()
    peer.start()
    peer.wait_answer(ZONE, serial=1)
    change(t, "+ good 300 A 192.0.2.1")
    peer.wait_answer(ZONE, serial=2)
    good = records(t)
    change(t, "- good", "- n1", "+ bad 300 A 192.0.2.6")
    change(t, "- n2")
    peer.wait_answer(ZONE, serial=4)
    dry = t.run("rollback", ZONE, "v2", "--dry-run", check=0).stdout
    assert f"-bad.{ZONE}" in dry and f"+n1.{ZONE}" in dry and " 5 3600" in dry and t.serial(ZONE) == 4
    out = t.run("rollback", ZONE, "v2", "--comment", "no", check=0).stdout
    assert "v2 is back as v5, serial 5" in out
    peer.wait_answer(ZONE, serial=5)
    assert peer.axfr(ZONE) == t.axfr(ZONE)
    assert [r for r in records(t) if "SOA" not in r] == [r for r in good if "SOA" not in r]
    last = [line for line in t.log().splitlines() if "transfer-out-done" in line and "serial=5" in line]
    assert any("kind=IXFR" in line for line in last), "\n".join(last)


def test_deleted_zones(lab):
    t = primary(lab).start()
    change(t, "+ a 300 A 192.0.2.1")
    was = records(t)
    t.configure({"zones": []})
    t.reload()
    assert t.run("export", ZONE, "--at", "v2", check=0).stdout.splitlines() and records(t) == was
    (row,) = t.json("zone list", "--deleted")["zones"]
    assert row["name"] == ZONE[:-1] and row["version"] == 2 and row["kept-until"] > row["deleted-at"]
    assert len(t.json("history", ZONE)["changes"]) == 2
