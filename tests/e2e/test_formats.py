"""State directories of every format so far are opened: content and history as recorded when they were made
(tools/make-state-fixture.py). What a newer version wrote is refused by name and left as it is."""
import contextlib
import json
import pathlib
import shutil
import sqlite3

import dns.query
import dns.rdatatype
import dns.zone
import pytest

import harness
from harness import ROOT, simple_zone, wait_until

STATES = sorted((ROOT / "tests/data/states").iterdir())
FILE, DYN, COPY = "file.example.", "dyn.example.", "copy.example."
IMAGE_FORMAT = int((ROOT / "src/zone/image.h").read_text().split("IMAGE_FORMAT = ")[1].split()[0])
COLUMNS = "seq, zone, gen, prev, kind, serial_from, serial_to, at, door, author, comment, hex(body)"


def server_of(lab, fixture):
    t = lab.tandem("server")
    for path in fixture.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, t.dir / path.name)
    (t.dir / "state").chmod(0o700)
    expected = json.loads((fixture / "expected.json").read_text())
    more = {"update": ["127.0.0.1"]} if expected["updates"] else {}
    t.configure({"peers": [{"name": "p", "address": "127.0.0.1@9"}], "zones": [
        {"name": FILE, "role": "primary", "file": "file.zone", "transfer": ["any"]},
        {"name": DYN, "role": "primary", "file": "dyn.zone", "transfer": ["any"], **more},
        {"name": COPY, "role": "secondary", "primaries": ["p"], "transfer": ["any"]}]})
    return t, expected


def exported(server, zone):
    text = server.run("export", zone, check=0).stdout
    z = dns.zone.from_text(text, origin=zone, relativize=False, check_origin=False)
    return sorted(f"{name} {ttl} {dns.rdatatype.to_text(rd.rdtype)} {rd.to_text()}" for name, ttl, rd in z.iterate_rdatas())


def rows(server, sql):
    database = sqlite3.connect(server.dir / "state/log.db")
    found = [list(r) for r in database.execute(sql)]
    database.close()
    return found


def image_formats(server):
    """Of those that a start would open."""
    newest = rows(server, "SELECT segment, start FROM snapshot WHERE id IN (SELECT max(id) FROM snapshot "
                              "WHERE kind = 0 AND zone IN (SELECT id FROM zone WHERE state = 0) GROUP BY zone)")
    images = ((server.dir / f"state/segments/{segment}.seg").read_bytes()[start:] for segment, start in newest)
    return {int.from_bytes(image[8:12], "little") for image in images}


def changes_since(server, zone, serial):
    """Serials of the changes that an IXFR gives; empty: the whole zone came."""
    records = [rd for m in dns.query.xfr(server.host, zone, port=server.port, rdtype="IXFR", serial=serial, relativize=False)
               for rrset in m.answer for rd in rrset]
    soas = [rd.serial for rd in records if rd.rdtype == dns.rdatatype.SOA]
    return soas[1:-1] if records[1].rdtype == dns.rdatatype.SOA else []


def test_the_format_of_today_is_among_them():
    header = (ROOT / "src/store/store.h").read_text()
    schema = int(header.split("STORE_SCHEMA = ")[1].split()[0])
    made = {json.loads((s / "expected.json").read_text())["schema"] for s in STATES}
    assert schema in made, "make the missing one: tools/make-state-fixture.py"


@pytest.mark.parametrize("fixture", STATES, ids=lambda p: p.name)
def test_opened_as_it_was(lab, fixture):
    t, expected = server_of(lab, fixture)
    t.start()
    for zone, content in expected["content"].items():
        assert exported(t, zone) == content, zone

    def written_anew():
        with contextlib.suppress(FileNotFoundError):  # a segment went meanwhile
            return image_formats(t) == {IMAGE_FORMAT}
    wait_until(written_anew, what="images of an old format to be written anew")
    assert changes_since(t, FILE, 1)[0] == 1, "history is as good as before"
    serial = t.serial(FILE)
    t.file("file.zone", simple_zone(FILE, serial + 1, "edited.file.example. 60 IN A 192.0.2.99\n"))
    t.reload()
    assert t.serial(FILE) == serial + 1
    assert changes_since(t, FILE, serial) == [serial, serial + 1]
    t.stop()
    last = expected["changes"][-1][0]
    assert rows(t, f"SELECT {COLUMNS} FROM changeset WHERE seq <= {last} ORDER BY seq") == expected["changes"]
    assert rows(t, "SELECT id, hex(name), state FROM zone ORDER BY id") == expected["zones"]
    t.start()  # once more, as today's version has left it
    assert t.serial(FILE) == serial + 1


def octets(directory):
    return {p.relative_to(directory): p.read_bytes() for p in directory.rglob("*") if p.is_file() and p.name not in ("lock", "log.db-shm")}


def newer_schema(state):
    database = sqlite3.connect(state / "log.db")
    database.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    database.commit()
    database.close()
    return "schema 99"


@pytest.mark.parametrize("make_newer", [newer_schema])
def test_a_newer_format_is_left_alone(lab, make_newer):
    t, _ = server_of(lab, STATES[-1])
    said = make_newer(t.dir / "state")
    before = octets(t.dir / "state")
    assert t.fails() == 1
    assert said in t.log() and "newer version" in t.log()
    after = octets(t.dir / "state")
    assert {k: after[k] for k in before} == before
    assert not any(after[k] for k in after.keys() - before.keys()), "SQLite makes an empty log.db-wal, and nothing else is new"
