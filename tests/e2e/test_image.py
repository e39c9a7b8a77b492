"""Restart from images: damage and loss of a segment file under the running server cost its zones an answer at most, never a wrong one,
and never the server."""
import os

import dns.rcode
import pytest

from harness import Tandem, simple_zone, wait_until

NAMES = 20000  # an image of a megabyte, which is proven after the start


def big_zone(origin, serial=1):
    return simple_zone(origin, serial, "".join(f"host{i}.{origin} 300 IN A 10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(NAMES)))


@pytest.fixture
def server(tmp_path):
    t = Tandem(tmp_path / "t", {"zones": [{"name": "big.test", "role": "primary", "file": "big.zone"},
                                          {"name": "small.test", "role": "primary", "file": "small.zone"}]})
    t.file("big.zone", big_zone("big.test."))
    t.file("small.zone", simple_zone("small.test."))
    t.start()
    t.stop()
    yield t
    t.stop()


def largest_segment(server):
    return max((server.dir / "state" / "segments").iterdir(), key=lambda p: p.stat().st_size)


def right_or_failed(server, i):
    """Whether host i was answered; anything but the truth and SERVFAIL is a failure."""
    r = server.ask(f"host{i}.big.test", "A")
    if r.rcode() == dns.rcode.SERVFAIL:
        return False
    assert r.rcode() == dns.rcode.NOERROR, r
    assert r.answer[0][0].address == f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
    return True


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        octet = f.read(1)
        f.seek(at)
        f.write(bytes([octet[0] ^ 0x20]))


@pytest.mark.parametrize("eighth", range(8))
def test_a_flipped_bit(server, eighth):
    path = largest_segment(server)
    flip(path, path.stat().st_size * eighth // 8 + 999)
    server.start()
    for i in range(0, NAMES, 997):
        right_or_failed(server, i)
    wait_until(lambda: all(right_or_failed(server, i) for i in range(0, NAMES, 997)), what="the zone to come back from its file")
    wait_until(lambda: "store-damaged" in server.log(), what="the damage in the log")
    assert server.ask("www.small.test").answer
    server.stop()
    server.start()  # the store is whole again
    assert right_or_failed(server, 1)
    assert server.log().count("store-damaged") <= 2


def test_a_file_cut_under_the_running_server(server):
    server.start()
    assert right_or_failed(server, 5)
    os.truncate(largest_segment(server), 8192)
    for i in range(0, NAMES, 499):
        right_or_failed(server, i)
    wait_until(lambda: all(right_or_failed(server, i) for i in range(0, NAMES, 499)), what="the zone to come back from its file")
    assert "store-damaged" in server.log()
    assert server.ask("www.small.test").answer
    assert server.process.poll() is None


def test_a_secondary_transfers_what_was_damaged(tmp_path):
    primary = Tandem(tmp_path / "p", {"zones": [{"name": "big.test", "role": "primary", "file": "big.zone", "transfer": ["any"]}]})
    primary.file("big.zone", big_zone("big.test."))
    primary.start()
    secondary = Tandem(tmp_path / "s", {"peers": [{"name": "p", "address": primary.at}],
                                        "zones": [{"name": "big.test", "role": "secondary", "primaries": ["p"]}]})
    secondary.start()
    secondary.wait_answer("big.test", serial=1)
    secondary.stop()
    path = largest_segment(secondary)
    flip(path, path.stat().st_size // 2)
    secondary.start()
    wait_until(lambda: "store-damaged" in secondary.log(), what="the damage in the log")
    wait_until(lambda: all(right_or_failed(secondary, i) for i in range(0, NAMES, 997)), what="the zone to come back from its primary")
    assert secondary.stop() == 0
    assert primary.stop() == 0
