"""The swap of the binary under load: no lookup is lost, transfers under way end whole, and a swap that fails changes nothing."""
import os
import shutil
import socket
import struct

import dns.message
import dns.rdatatype

import harness
from harness import BINARY, LOOPBACK, Tandem, simple_zone, wait_until
from load import Load

ORIGIN = "steady.example."


class Swapping(Tandem):
    """A server from a binary of its own that can be replaced; after a swap it is no child of ours."""

    def __init__(self, directory, config=None, **kw):
        super().__init__(directory, config, **kw)
        self.binary = self.dir / "tandem"
        self.install()
        self.now = None

    def install(self, source=BINARY):
        fresh = self.dir / "fresh"
        shutil.copy(source, fresh)
        fresh.rename(self.binary)

    def start(self):
        kept, harness.BINARY = harness.BINARY, str(self.binary)
        try:
            return super().start()
        finally:
            harness.BINARY = kept

    def swap(self):
        old = self.status()["pid"]
        self.run("swap", check=0)
        self.now = self.status()["pid"]
        assert self.now != old
        return old

    def stop(self, timeout=60):
        if self.now and os.path.exists(f"/proc/{self.now}"):
            self.run("stop")
            wait_until(lambda: not alive(self.now), what="the end of the last process")
        return super().stop(timeout)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def swapping(lab, records=0, **server):
    t = lab.add(Swapping, "server", {
        "server": server, "metrics": {"listen": f"{LOOPBACK}@{harness.free_port()}"},
        "zones": [{"name": ORIGIN, "role": "primary", "file": "zone", "transfer": ["any"]}]})
    t.file("zone", simple_zone(ORIGIN, 1, "".join(f"n{i} 60 IN TXT \"{'x' * 200}\"\n" for i in range(records))))
    return t.start()


def test_swaps_under_load_lose_no_answer(lab, soak):
    t = swapping(lab, workers="2")
    with Load(t, threads=2) as load:
        for n in range(50 if soak else 6):
            before = load.count
            t.install()
            old = t.swap()
            wait_until(lambda: not alive(old), what="the end of the old process")
            t.file("zone", simple_zone(ORIGIN, n + 2))
            t.reload()
            assert t.serial(ORIGIN) == n + 2, "the new process takes changes"
            wait_until(lambda: load.count > before + 20, what="lookups")
    load.check()


def test_a_transfer_under_way_ends_whole(lab):
    t = swapping(lab, records=60000)
    with socket.create_connection((t.host, t.port)) as s:
        s.settimeout(20)
        q = dns.message.make_query(ORIGIN, dns.rdatatype.AXFR).to_wire()
        s.sendall(struct.pack("!H", len(q)) + q)
        first = s.recv(1000)
        old = t.swap()
        assert alive(old), "it still has a transfer to end"
        octets = len(first)
        with s.makefile("rb") as f:
            octets += len(f.read())
    assert octets > 60000 * 200
    wait_until(lambda: not alive(old), what="the end of the old process")


def test_a_swap_that_fails_changes_nothing(lab, tmp_path):
    t = swapping(lab)
    pid = t.status()["pid"]
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 7\n")
    broken.chmod(0o755)
    with Load(t) as load:
        t.install(broken)
        r = t.run("swap", check=1)
        assert "exit code 7" in r.stderr, r.stderr
        good = t.config_path.read_text()
        t.config_path.write_text("serwer: {}\n")
        r = harness.subprocess.run([BINARY, "swap", "--state", str(t.dir / "state")], capture_output=True, text=True)
        assert r.returncode == 1 and "serwer" in r.stderr, r.stderr
        t.config_path.write_text(good)
        assert t.status()["pid"] == pid
        t.file("zone", simple_zone(ORIGIN, 2))
        t.reload()
        assert t.serial(ORIGIN) == 2, "it takes changes as before"
        wait_until(lambda: load.count > 30, what="lookups")
    load.check()
    t.install()
    t.swap()
    assert t.serial(ORIGIN) == 2
