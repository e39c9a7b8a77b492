"""The wall clock of a secondary jumps: to 1970 at boot, a month ahead, and back. Nothing expires that should not, and what should does.
libfaketime moves the wall clock alone (DONT_FAKE_MONOTONIC); it does not go with the sanitizers, so this runs the release binary."""
import os
import pathlib
import time

import dns.rcode
import pytest

import harness
from harness import ROOT, simple_zone, wait_until

LIBRARY = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
RELEASE = ROOT / "build/tandem"
MONTH = 31 * 86400
pytestmark = pytest.mark.skipif(not (LIBRARY.exists() and RELEASE.exists()), reason="needs libfaketime and the release binary")


class Clock:
    def __init__(self, directory):
        self.path = directory / "clock"
        self.set(0)

    def set(self, seconds):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self.path)

    def environment(self):
        return {**os.environ, "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture
def pair(lab, tmp_path, monkeypatch):
    def make(expire):
        monkeypatch.setattr(harness, "BINARY", str(RELEASE))
        p, s, clock = lab.tandem("p"), lab.tandem("s"), Clock(tmp_path)
        p.configure({"peers": [{"name": "s", "address": s.at}],
                     "zones": [{"name": "example.com", "role": "primary", "file": "zone0", "transfer": ["s"], "notify": ["s"]}]})
        s.configure({"peers": [{"name": "p", "address": p.at}],
                     "zones": [{"name": "example.com", "role": "secondary", "primaries": ["p"], "refresh-min": "0.3", "retry-min": "0.2",
                                "retry-max": "0.4"}]})
        p.put(0, simple_zone("example.com.", 1, refresh=1, retry=1, expire=expire))
        p.start()
        s.start(env=clock.environment())
        s.wait_answer("example.com", serial=1)
        return p, s, clock
    return make


def left(s):
    return s.status("example.com")["expires-in-s"]


def refreshed(s):
    """Two rounds have failed: the machine has seen the clock."""
    before = s.log().count(" refresh-failed ")
    wait_until(lambda: s.log().count(" refresh-failed ") >= before + 2, what="refreshes to fail")


def served(s):
    return s.ask("www.example.com").rcode() == dns.rcode.NOERROR


def test_jumps_expire_nothing(pair):
    p, s, clock = pair(expire=1000)
    assert 990 <= left(s) <= 1000
    p.kill()
    for jump in (MONTH, -20000 * 86400, 0, 30 * MONTH):
        clock.set(jump)
        refreshed(s)
        assert s.log().splitlines()[-1].startswith(time.strftime("%Y-%m", time.gmtime(time.time() + jump))), "the clock did not move"
        assert served(s) and 900 < left(s) <= 1000, jump
    for jump in (-20000 * 86400, MONTH):  # boots in 1970, and a month ahead
        s.stop()
        clock.set(jump)
        s.start(env=clock.environment())
        assert served(s) and 900 < left(s) <= 1000, jump
        refreshed(s)
        clock.set(0)
        refreshed(s)
        assert served(s) and 900 < left(s) <= 1000
    s.stop()
    clock.set(86400)  # a day is what it might have been down, but the monotonic clock knows better
    s.start(env=clock.environment())
    assert served(s) and 900 < left(s) <= 1000, left(s)


def test_expiry_goes_by_the_monotonic_clock(pair):
    p, s, clock = pair(expire=3)
    p.kill()
    clock.set(-MONTH)
    wait_until(lambda: s.ask("www.example.com").rcode() == dns.rcode.SERVFAIL, 20, "the zone to expire")
    assert s.status("example.com")["state"] == "expired"
    clock.set(MONTH)
    p.start()
    began = time.monotonic()
    wait_until(lambda: served(s), what="recovery without a command")
    print(f"recovered {time.monotonic() - began:.2f} s after the primary was back (retry-max 0.4 s)")
    assert s.status("example.com")["state"] == "served"
