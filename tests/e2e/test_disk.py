"""The disk of the state directory gets full: a warning, then no whole zones, then no changes; zones are answered all the while, and it
recovers by itself."""
import os

import dns.update

from disk import fill
from harness import simple_zone, wait_until
from test_metrics import Metrics
from test_update import ALL, KEYS, ZONE, rcode, texts

MIB = 1 << 20
DISK = 48 * MIB
HISTORY = {"ballast": "64M", "bytes-per-zone": "64M"}
BULK = "bulk.example."


def bulk(serial, count, what):
    return simple_zone(BULK, serial, "".join(f"h{i}.{BULK} 60 IN TXT {what}-{i} {' '.join(['x' * 250] * 4)}\n" for i in range(count)))


def config(metrics, history=None):
    return {"keys": KEYS, "history": history or HISTORY, "metrics": {"listen": metrics.at}, "zones": [
        {"name": ZONE, "role": "primary", "file": "zone0", "update": [ALL], "transfer": ["any"]},
        {"name": BULK, "role": "primary", "file": "bulk", "transfer": ["any"]}]}


def server(lab, small_disk, metrics, zone=simple_zone(ZONE)):
    t = lab.tandem("tandem")
    small_disk(t.dir / "state", DISK)
    t.file("zone0", zone)
    t.file("bulk", bulk(1, 10, "a"))
    t.configure(config(metrics))
    return t.start()


def room(t):
    return t.status()["disk"]


def leave(t, free):
    """Others fill the disk up to that."""
    path = t.dir / "state" / "filler"
    path.unlink(missing_ok=True)
    s = os.statvfs(t.dir / "state")
    path.write_bytes(bytes(max(s.f_bavail * s.f_frsize - free, 0)))
    return path


def wait_room(t, word):
    return wait_until(lambda: room(t)["room"] == word and room(t), what=f"the disk to be {word}: {room(t)} {t.log()[-1500:]}")


def update(t, name, text="x"):
    u = dns.update.UpdateMessage(ZONE)
    u.replace(name, 60, "TXT", " ".join([text, *["x" * 250] * 4]))
    return rcode(t, u)


def value(t):
    return texts(t, f"n.{ZONE}")[0].split('"')[0]


def versions(t):
    """How many are told of."""
    return t.run("history", ZONE, "--limit", "10000", check=0).stdout.count("\n")


def test_warned_then_no_whole_zones(lab, small_disk):
    metrics = Metrics()
    t = server(lab, small_disk, metrics)
    d = room(t)
    assert d["room"] == "good" and d["ballast-bytes"] == DISK // 64, "no more of a small disk"
    assert os.stat(t.dir / "state" / "ballast").st_blocks * 512 >= d["ballast-bytes"]
    t.file("bulk", bulk(2, 5000, "b"))  # more than a change can be
    t.reload()
    leave(t, DISK * 8 // 100)
    wait_room(t, "low")
    assert "disk-low" in t.log() and metrics.page().value("tandem_disk_level") == 1
    leave(t, DISK * 4 // 100)
    t.file("bulk", bulk(3, 5000, "c"))  # at once: the disk is looked at before it is written
    said = t.reload(check=1)
    assert "little space left on the disk" in said.stdout + said.stderr
    assert t.serial(BULK) == 2 and texts(t, f"h7.{BULK}")[0].startswith("b-"), "the old version is served"
    assert "whole zones are not written" in t.status(BULK)["trouble"] and t.status(BULK)["durable"]
    assert room(t)["room"] == "no-bulk" and "whole zones are not written" in t.run("status", check=0).stdout
    page = metrics.page()
    assert page.value("tandem_disk_level") == 2 and page.value("tandem_store_bulk_refused_total") == 1
    assert page.value("tandem_disk_free_bytes") < DISK * 5 // 100
    assert update(t, "small") == "NOERROR", "changes are taken"
    (t.dir / "state" / "filler").unlink()
    t.reload()
    assert t.serial(BULK) == 3 and "trouble" not in t.status(BULK)
    wait_room(t, "good")
    assert "disk-good" in t.log() and metrics.page().value("tandem_disk_level") == 0
    t.kill()
    t.start()
    assert t.serial(BULK) == 3 and texts(t, f"small.{ZONE}")


def test_a_secondary_serves_what_it_has_no_room_for(lab, small_disk):
    p, s, metrics = lab.tandem("primary"), lab.tandem("secondary"), Metrics()
    p.file("bulk", bulk(1, 10, "a"))
    p.configure({"peers": [{"name": "s", "address": s.at}], "zones": [
        {"name": BULK, "role": "primary", "file": "bulk", "transfer": ["any"], "notify": ["s"]}]})
    small_disk(s.dir / "state", DISK)
    s.configure({"history": HISTORY, "metrics": {"listen": metrics.at}, "peers": [{"name": "p", "address": p.at}], "zones": [{"name": BULK, "role": "secondary", "primaries": ["p"]}]})
    p.start(), s.start()
    s.wait_answer(BULK, serial=1)
    filler = leave(s, DISK * 4 // 100)
    p.file("bulk", bulk(2, 5000, "b"))
    p.reload()
    s.wait_answer(BULK, serial=2)
    status = s.status(BULK)
    assert status["durable"] is False and "whole zones are not written" in status["trouble"]
    told = s.run("status", check=0).stdout
    assert "NOT DURABLE: 1 zone served from memory only" in told and "DISK: little space left" in told and "not durable: served from memory only" in told
    page = metrics.page()
    assert page.value("tandem_zones_not_durable") == 1 and page.value("tandem_store_bulk_refused_total") >= 1
    assert "served from memory only" in s.log() and "durable=no" in s.log()
    filler.unlink()
    wait_until(lambda: s.status(BULK)["durable"], timeout=60, what="the store to take it: " + s.log()[-1500:])
    assert "trouble" not in s.status(BULK) and metrics.page().value("tandem_zones_not_durable") == 0
    assert "what was served from memory only is durable now" in s.log()
    p.kill(), s.kill()
    s.start()
    assert s.serial(BULK) == 2


def test_full_and_back(lab, small_disk):
    """Changes are refused, history can be shortened in the ballast's room, and once others have left room all is as before."""
    metrics = Metrics()
    t = server(lab, small_disk, metrics)
    count = 0
    for count in range(350):
        assert update(t, "n", f"{count}") == "NOERROR"
    filler = fill(t.dir / "state")
    acknowledged = count
    for count in range(350, 20000):
        r = update(t, "n", f"{count}")
        if r != "NOERROR":
            break
        acknowledged = count
    assert r == "SERVFAIL"
    d = wait_room(t, "full")
    assert d["ballast-bytes"] == 0 and not (t.dir / "state" / "ballast").exists()
    assert d["free-bytes"] > 0, "there is room for housekeeping"
    assert "no space left on the disk" in t.run("status", check=0).stdout and "disk-full" in t.log()
    assert metrics.page().value("tandem_disk_level") == 3
    said = len(t.log())
    for _ in range(3):
        assert update(t, "refused") == "SERVFAIL"
    assert "update-done zone=" not in t.log()[said:], "nothing was"
    assert value(t) == f"{acknowledged}" and texts(t, f"refused.{ZONE}") == []
    before = versions(t)
    t.configure(config(metrics, {"ballast": "64M", "bytes-per-zone": "320K"}))
    t.reload(check=None)
    wait_until(lambda: versions(t) < before / 2, timeout=60, what=f"history to be shortened from {before} versions: " + t.log()[-1500:])
    assert room(t)["room"] == "full" or room(t)["ballast-bytes"]
    filler.unlink()
    wait_room(t, "good")
    assert update(t, "n", "again") == "NOERROR" and value(t) == "again"
    assert room(t)["ballast-bytes"] and (t.dir / "state" / "ballast").exists()
    t.kill()
    t.start()
    assert value(t) == "again"
