"""Content of large zones is read aside: while one is imported, edited, reloaded, updates of another zone are answered."""
import os
import threading
import time

import pytest

from harness import simple_zone, wait_until
from test_update import ALL, KEYS, ZONE, rcode
import dns.update

BIG = "big.example."
RECORDS = 40_000
SOAK_RECORDS = 1_000_000


def big(serial, count, what="a"):
    return simple_zone(BIG, serial, "".join(f"h{i} 60 IN TXT {what}{i}\n" for i in range(count)))


@pytest.fixture
def count(request):
    return SOAK_RECORDS if request.config.getoption("--soak") else RECORDS


class Updates:
    """One after the other, each timed, until the end."""

    def __init__(self, t):
        self.t, self.longest, self.count, self.over, self.bad = t, 0.0, 0, False, []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over:
            u = dns.update.UpdateMessage(ZONE)
            u.replace(f"n{self.count % 10}", 60, "TXT", f"{self.count}")
            began = time.monotonic()
            r = rcode(self.t, u)
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1
            if r != "NOERROR":
                self.bad.append(r)

    def __enter__(self):
        self.thread.start()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.took = time.monotonic() - self.began
        self.over = True
        self.thread.join()


def server(lab, count, name="tandem"):
    t = lab.tandem(name)
    t.file("zone0", simple_zone(ZONE))
    t.file("big", big(1, count))
    t.configure({"keys": KEYS, "zones": [
        {"name": ZONE, "role": "primary", "file": "zone0", "update": [ALL]},
        {"name": BIG, "role": "primary", "file": "big", "editable": True}]})
    return t.start()


def editor(t, text):
    path = t.dir / "editor"
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{text}' >> \"$1\"\n")
    path.chmod(0o755)
    return str(path)


def others_go_on(t, what, work):
    """The work takes longer by far than anybody waited. The machine may be busy, too: what blocks would do so each time."""
    longest = []
    for _ in range(4):
        with Updates(t) as u:
            work(t.serial(BIG) + 1)
        assert not u.bad, what
        longest.append((u.longest, u.took))
        if u.longest < max(0.3, u.took / 4):
            return
    raise AssertionError(f"{what}: longest wait of an update and time of the work: {longest}")


def test_others_go_on(lab, count, monkeypatch):
    t = server(lab, count)

    def importing(serial):
        t.file("new", big(serial, count, "b"))
        t.run("import", BIG, str(t.dir / "new"), check=0, timeout=300)
        assert t.serial(BIG) == serial

    def editing(serial):
        monkeypatch.setenv("EDITOR", editor(t, f"more{serial}.{BIG} 60 IN TXT more"))
        t.run("edit", BIG, "--yes", check=0, timeout=300)
        assert t.serial(BIG) == serial

    def reloading(serial):
        t.file("big", big(1, count) + "".join(f"another{i} 60 IN TXT another\n" for i in range(serial)))
        t.run("reload", check=0, timeout=300)
        assert t.serial(BIG) == serial

    monkeypatch.delenv("VISUAL", raising=False)
    others_go_on(t, "import", importing)
    others_go_on(t, "edit", editing)
    others_go_on(t, "reload", reloading)
    status = t.status(BIG)
    assert status["records"] > count and "trouble" not in status


def test_killed_in_the_middle(lab):
    """Either version is there afterwards, and whole."""
    def reads(t):
        return "under-way" in t.status(BIG)

    def writes(t):
        return any(not name[0].isdigit() or not name.endswith(".seg") for name in os.listdir(t.dir / "state" / "segments"))

    for moment in (reads, writes):
        t = server(lab, 10_000, moment.__name__)
        old = t.status(BIG)
        t.file("new", big(2, 12_000, "b"))
        client = threading.Thread(target=lambda: t.run("import", BIG, str(t.dir / "new"), timeout=300))
        client.start()
        wait_until(lambda: not client.is_alive() or moment(t), timeout=120, what="the import to be that far")
        t.kill()
        client.join()
        t.start()
        now = t.status(BIG)
        assert now["durable"] and (now["serial"], now["records"]) in ((1, old["records"]), (2, old["records"] + 2_000))
        t.stop()
