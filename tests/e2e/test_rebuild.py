"""`rebuild`: a primary whose state and files are gone takes its zone back from a secondary of any kind. `compare`: whether servers answer
alike."""
import json
import shutil
import subprocess

import dns.query
import dns.rcode
import dns.update
import pytest

import harness
from harness import BINARY, KEY, SECRET, keyring, simple_zone, wait_until

ZONE = "z.example."
KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
PEERS = {"tandem": None, "bind": harness.Bind, "knot": harness.Knot, "nsd": harness.Nsd, "pdns": harness.Pdns}


def update(server, name, text):
    u = dns.update.UpdateMessage(ZONE, keyring=keyring())
    u.add(name, 60, "TXT", f'"{text}"')
    assert dns.query.tcp(u, server.host, port=server.port, timeout=20).rcode() == dns.rcode.NOERROR


def primary_config(secondary, **more):
    return {"keys": KEYS, "peers": [{"name": "s", "address": secondary.at, "key": KEY}], "zones": [
        {"name": ZONE, "role": "primary", "transfer": ["s"], "notify": ["s"], **more}]}


def let_us_transfer(secondary):
    """In the configuration that the harness wrote: a secondary of theirs gives its zone to nobody."""
    if secondary.name == "pdns":
        secondary.util("activate-tsig-key", ZONE, KEY, "primary")
        return
    if secondary.name == "bind":
        path, old, new = "named.conf", "masterfile-format text;", f"masterfile-format text; allow-transfer {{ key {KEY}; }};"
    elif secondary.name == "knot":
        path, old, new = "knot.conf", "action: notify", "action: [notify, transfer]"
    else:
        path, old, new = "nsd.conf", "  request-xfr:", f"  provide-xfr: 127.0.0.0/8 {KEY}\n  request-xfr:"
    path = secondary.dir / path
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def make_pair(lab, kind, **more):
    p = lab.tandem("primary")
    if PEERS[kind]:
        s = lab.add(PEERS[kind], "secondary", {ZONE: None}, p, key=True)
        let_us_transfer(s)
    else:
        s = lab.tandem("secondary")
        s.configure({"keys": KEYS, "peers": [{"name": "p", "address": p.at, "key": KEY}], "zones": [
            {"name": ZONE, "role": "secondary", "primaries": ["p"], "transfer": [KEY], "refresh-max": "1", "retry-max": "1"}]})
    p.configure(primary_config(s, **more))
    return p, s


def wait_same(p, s):
    wait_until(lambda: s.serial(ZONE) == p.serial(ZONE), what=f"{s.name} to have serial {p.serial(ZONE)}: {s.log()[-1500:]}")


def lose(p):
    """Nothing is left but the configuration."""
    p.kill()
    shutil.rmtree(p.dir / "state")
    (p.dir / "zone.file").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", PEERS)
def test_from_a_secondary(lab, kind):
    """A zone with updates, whose file is gone, too."""
    p, s = make_pair(lab, kind, file="zone.file", update=[KEY])
    p.file("zone.file", simple_zone(ZONE, 10, refresh=1, retry=1))
    p.start(), s.start()
    s.wait_answer(ZONE)
    for n in range(3):
        update(p, f"u{n}", n)
    wait_same(p, s)
    before, serial = p.axfr(ZONE, key=keyring()), p.serial(ZONE)
    lose(p)
    p.start()
    assert p.ask(ZONE, "SOA").rcode() == dns.rcode.SERVFAIL
    r = p.run("rebuild", ZONE, "--from", s.at, check=0)
    assert f"serial {serial}" in r.stdout
    assert p.axfr(ZONE, key=keyring()) == before
    update(p, "next", "edit")
    assert p.serial(ZONE) > serial
    wait_same(p, s)
    assert s.ask(f"next.{ZONE}", "TXT").answer
    p.stop()  # and it is as durable as any version
    p.start()
    assert p.ask(f"next.{ZONE}", "TXT").answer


def test_a_zone_that_is_its_file(lab):
    p, s = make_pair(lab, "tandem", file="zone.file")
    p.file("zone.file", simple_zone(ZONE, 10))
    p.start(), s.start()
    s.wait_answer(ZONE)
    before = p.axfr(ZONE, key=keyring())
    r = p.run("rebuild", ZONE, "--from", s.at, check=1)
    assert "zone.file is there" in r.stderr
    lose(p)
    p.start()
    p.run("rebuild", ZONE, "--from", "s", check=0)  # by the peer's name
    assert p.axfr(ZONE, key=keyring()) == before
    p.reload()
    assert p.serial(ZONE) == 10 and "trouble" not in p.status(ZONE)
    p.file("zone.file", (p.dir / "zone.file").read_text().replace("10 3600", "11 3600") + f"more.{ZONE} 60 IN A 192.0.2.7\n")
    p.reload()
    wait_same(p, s)
    assert p.serial(ZONE) == 11 and s.ask(f"more.{ZONE}").answer
    p.file("zone.file", simple_zone(ZONE, 12, f"other.{ZONE} 60 IN A 192.0.2.8\n"))
    s.stop()
    p.reload()
    s.config["peers"][0]["address"] = "127.0.0.1@9"  # it does not get the newest
    s.configure({k: v for k, v in s.config.items() if k != "server"})
    s.start()
    r = p.run("rebuild", ZONE, "--from", s.at, "--force", check=0)
    assert "raised to 13" in r.stdout
    assert p.serial(ZONE) == 13 and not p.ask(f"other.{ZONE}").answer and p.ask(f"more.{ZONE}").answer
    assert "other" in (p.dir / "zone.file.before-rebuild").read_text()
    p.reload()
    assert p.serial(ZONE) == 13


def test_what_can_not_be(lab):
    p, s = make_pair(lab, "tandem", managed="true")
    s.configure({"zones": []})
    p.start(), s.start()
    assert "nobody" in p.run("rebuild", "nobody.example", "--from", s.at, check=1).stderr
    assert "neither" in p.run("rebuild", ZONE, "--from", "somebody", check=1).stderr
    assert "no key" in p.run("rebuild", ZONE, "--from", s.at, "--key", "none.example.", check=1).stderr
    r = p.run("rebuild", ZONE, "--from", s.at, check=1)
    assert s.at in r.stderr
    assert p.run("rebuild", ZONE).returncode != 0


def test_restored_and_then_rebuilt(lab, tmp_path):
    """An old backup, and a secondary that has what came after it."""
    p, s = make_pair(lab, "tandem", managed="true")
    p.start(), s.start()
    p.file("import.zone", simple_zone(ZONE, 10))
    p.configure(primary_config(s, file="import.zone", update=[KEY]))
    p.reload()
    p.run("backup", str(tmp_path / "backup"), check=0)
    for n in range(3):
        update(p, f"u{n}", n)
    wait_same(p, s)
    after, serial = p.axfr(ZONE, key=keyring()), p.serial(ZONE)
    p.kill()
    shutil.rmtree(p.dir / "state")
    p.config_path.rename(p.dir / "kept.yaml")
    subprocess.run([BINARY, "restore", str(tmp_path / "backup")], check=True, capture_output=True)
    (p.dir / "kept.yaml").rename(p.config_path)
    p.start()
    assert p.serial(ZONE) < serial
    p.run("rebuild", ZONE, "--from", s.at, check=0)
    assert p.axfr(ZONE, key=keyring()) == after
    update(p, "next", "edit")
    assert p.serial(ZONE) == serial + 1, "no gap is needed when the secondary's serial is known"
    wait_same(p, s)


@pytest.mark.parametrize("kind", PEERS)
def test_the_edit_after_an_old_backup_is_accepted(lab, tmp_path, kind):
    p, s = make_pair(lab, kind, file="zone.file", update=[KEY])
    p.file("zone.file", simple_zone(ZONE, 10, refresh=1, retry=1))
    p.start(), s.start()
    s.wait_answer(ZONE)
    p.run("backup", str(tmp_path / "backup"), check=0)
    for n in range(3):
        update(p, f"u{n}", n)
    wait_same(p, s)
    p.kill()
    shutil.rmtree(p.dir / "state")
    p.config_path.rename(p.dir / "kept.yaml")
    subprocess.run([BINARY, "restore", str(tmp_path / "backup")], check=True, capture_output=True)
    (p.dir / "kept.yaml").rename(p.config_path)
    p.start()
    update(p, "first", "edit")
    wait_same(p, s)
    assert s.ask(f"first.{ZONE}", "TXT").answer and not s.ask(f"u0.{ZONE}", "TXT").answer


# ---- compare ----

def compare(*args, check=0):
    r = subprocess.run([BINARY, "compare", *map(str, args)], capture_output=True, text=True, timeout=120)
    assert r.returncode == check, r.stdout + r.stderr
    return r


def test_compare(lab, tmp_path):
    text = simple_zone(ZONE, 5, f"many.{ZONE} 60 IN A 192.0.2.1\nmany.{ZONE} 60 IN A 192.0.2.2\n*.wild.{ZONE} 60 IN TXT x\nsub.{ZONE} 60 IN NS "
                       f"ns.sub.{ZONE}\nns.sub.{ZONE} 60 IN A 192.0.2.3\n" + "".join(f"n{i}.{ZONE} 60 IN TXT {i}\n" for i in range(300)))
    other = text.replace("many.z.example. 60 IN A 192.0.2.1", "many.z.example. 60 IN A 192.0.2.9").replace(f"n7.{ZONE} 60", f"n7.{ZONE} 61")
    other = other.replace(f"n8.{ZONE} 60 IN TXT 8\n", "") + f"only-there.{ZONE} 60 IN TXT here\n"
    a, b, c = lab.tandem("a"), lab.tandem("b"), lab.tandem("c")
    bind = lab.add(harness.Bind, "bind", {ZONE: text}, a)
    for server, content, transfer in ((a, text, ["any"]), (b, text, []), (c, other, ["127.0.0.1"])):
        server.file("zone", content)
        server.configure({"zones": [{"name": ZONE, "role": "primary", "file": "zone", "transfer": transfer}]})
        server.start()
    bind.start()
    bind.wait_answer(ZONE)
    assert "alike" in compare(ZONE, a.at, b.at, bind.at).stdout
    r = compare(ZONE, a.at, c.at, check=1)
    assert "192.0.2.9" in r.stdout and "NXDOMAIN" in r.stdout and "only-there" in r.stdout
    found = json.loads(compare(ZONE, b.at, c.at, a.at, "--json", check=1).stdout)
    assert {d["name"].split(".")[0] for d in found["differences"]} == {"many", "n7", "n8", "only-there"}
    assert found["identical"] is False and found["rrsets"] > 300
    r = compare(ZONE, b.at, b.at, check=1)
    assert "nobody gives the zone's names" in r.stderr
    assert "alike" in compare(ZONE, b.at, b.at, "--file", b.dir / "zone").stdout
    free = harness.free_port()
    assert f"127.0.0.1@{free}" in compare(ZONE, a.at, f"127.0.0.1@{free}", check=1).stderr


def test_compare_with_a_key(lab):
    text = simple_zone(ZONE, 5)
    a, b = lab.tandem("a"), lab.tandem("b")
    for server in (a, b):
        server.file("zone", text)
        server.configure({"keys": KEYS, "peers": [{"name": "b", "address": b.at, "key": KEY}], "zones": [
            {"name": ZONE, "role": "primary", "file": "zone", "transfer": [KEY], "answer-to": [KEY]}]})
        server.start()
    compare(ZONE, a.at, b.at, check=1)
    assert "alike" in compare(ZONE, a.at, "b", "-c", a.config_path, "--key", KEY).stdout
