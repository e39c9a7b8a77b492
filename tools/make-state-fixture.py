#!/usr/bin/python3
"""Makes a state directory as the binary of this version leaves it, and says what is in it: tests/data/states/NAME.

    tools/make-state-fixture.py NAME [BINARY]

To be run once for each new format of the store (STORE_SCHEMA, SEGMENT_FORMAT, the image's version) before it is released; what is made is
never changed afterwards. tests/e2e/test_formats.py opens all of them."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import dns.query  # noqa: E402
import dns.rcode  # noqa: E402
import dns.update  # noqa: E402

import harness  # noqa: E402

FILE, DYN, GONE, COPY = "file.example.", "dyn.example.", "gone.example.", "copy.example."


def update(server, n):
    u = dns.update.UpdateMessage(DYN)
    u.replace(f"w{n % 3}", 60, "TXT", f'"value {n}"')
    u.add(f"more{n}", 60, "A", f"192.0.2.{n}")
    assert dns.query.tcp(u, server.host, port=server.port, timeout=20).rcode() == dns.rcode.NOERROR


def zones(updates):
    more = {"update": ["127.0.0.1"]} if updates else {}
    return [{"name": FILE, "role": "primary", "file": "file.zone", "transfer": ["any"]},
            {"name": DYN, "role": "primary", "file": "dyn.zone", "transfer": ["any"], **more}]


def live(server, primary, updates):
    """Everything that a store keeps: whole versions, changes, files, transfers, a deleted zone."""
    gone = [{"name": GONE, "role": "primary", "file": "gone.zone", "transfer": ["any"]}]
    copy = [{"name": COPY, "role": "secondary", "primaries": ["p"], "transfer": ["any"]}]
    config = {"peers": [{"name": "p", "address": primary.at}]}
    server.file("file.zone", harness.simple_zone(FILE, 1, "many.file.example. 60 IN TXT one two three\n"))
    server.file("dyn.zone", harness.simple_zone(DYN, 100))
    server.file("gone.zone", harness.simple_zone(GONE, 7))
    server.configure({**config, "zones": zones(updates) + gone + copy})
    server.start()
    harness.wait_until(lambda: server.serial(COPY) == 5, what="the transfer")
    for n in range(1, 6):
        server.file("file.zone", harness.simple_zone(FILE, 1 + n, f"new{n}.file.example. 60 IN A 192.0.2.{n}\n"))
        server.reload()
        if updates:
            update(server, n)
        else:
            server.file("dyn.zone", harness.simple_zone(DYN, 100 + n, f"w{n}.{DYN} 60 IN TXT \"value {n}\"\n"))
            server.reload()
    server.configure({**config, "zones": zones(updates) + copy})
    server.reload()


def history(log):
    """What every schema has of each changeset, oldest first; what a schema has not is not asked for."""
    database = sqlite3.connect(log)
    rows = database.execute("SELECT seq, zone, gen, prev, kind, serial_from, serial_to, at, door, author, comment, hex(body) "
                            "FROM changeset ORDER BY seq").fetchall()
    names = database.execute("SELECT id, hex(name), state FROM zone ORDER BY id").fetchall()
    database.close()
    return {"changes": [list(r) for r in rows], "zones": [list(r) for r in names]}


def schema_of(log):
    database = sqlite3.connect(log)
    schema = database.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0]
    database.close()
    return int(schema)


def make(target, work):
    primary = harness.Tandem(work / "primary")
    primary.file("copy.zone", harness.simple_zone(COPY, 5))
    primary.configure({"zones": [{"name": COPY, "role": "primary", "file": "copy.zone", "transfer": ["any"]}]})
    primary.start()
    updates = "--no-updates" not in sys.argv
    server = harness.Tandem(work / "server")
    live(server, primary, updates)
    content = {zone: server.axfr(zone) for zone in (FILE, DYN, COPY)}
    server.stop()
    primary.stop()
    state = target / "state"
    shutil.copytree(server.dir / "state", state, ignore=shutil.ignore_patterns("lock", "control.sock", "ballast", "*-shm"))
    for name in ("file.zone", "dyn.zone"):
        shutil.copy(server.dir / name, target / name)
    log = work / "log.db"
    for path in state.glob("log.db*"):
        shutil.copy(path, work / path.name)
    expected = {"schema": schema_of(log), "updates": updates, "content": content, **history(log)}
    (target / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    return expected


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    if not names:
        sys.exit(__doc__)
    if len(names) > 1:
        harness.BINARY = os.path.abspath(names[1])
    target = ROOT / "tests/data/states" / names[0]
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        expected = make(target, pathlib.Path(work))
    subprocess.run(["du", "-sh", str(target)], check=True)
    print(f"{target}: schema {expected['schema']}, {len(expected['changes'])} changes")


if __name__ == "__main__":
    main()
