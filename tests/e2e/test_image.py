"""Restart from images: damage and loss of a segment file under the running server cost its zones an answer at most, never a wrong one,
and never the server."""
import contextlib
import os
import re
import shutil

import dns.exception
import dns.query
import dns.rcode
import dns.update
import pytest

from disk import fill
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


def an_update(server):
    update = dns.update.UpdateMessage("little.test")
    update.add("new", 300, "A", "192.0.2.9")
    assert dns.query.tcp(update, server.host, port=server.port, timeout=20).rcode() in (dns.rcode.SERVFAIL, dns.rcode.NOERROR)


def a_reload_with_other_options(server):
    config = server.config
    config["zones"][0]["transfer"] = ["127.0.0.1"]
    server.configure(config)
    server.reload()


def a_transfer(server):
    with contextlib.suppress(dns.exception.DNSException, EOFError, OSError):
        server.axfr("little.test")


@pytest.mark.parametrize("touch", [an_update, a_reload_with_other_options, a_transfer, lambda s: s.run("export", "little.test"),
                                   lambda s: s.status("little.test"), lambda s: s.serial("little.test")])
def test_whoever_comes_first_to_a_file_that_is_empty(tmp_path, touch):
    """Workers, the stream thread, the control thread: none falls over what is left of a zone, which is nothing."""
    t = Tandem(tmp_path / "t", {"zones": [{"name": "little.test", "role": "primary", "file": "little.zone", "update": ["127.0.0.1"], "transfer": ["any"]}]})
    t.file("little.zone", simple_zone("little.test."))  # small: nobody looks at it a second time after the start
    t.start()
    assert t.stop() == 0
    t.start()
    os.truncate(largest_segment(t), 0)
    touch(t)
    assert t.process.poll() is None, t.log()[-3000:]
    wait_until(lambda: t.ask("www.little.test").answer, what="the zone to come back from its file")
    assert "store-damaged" in t.log()
    assert t.stop() == 0


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


# ---- images written while the server serves ----

def other_content(serial):
    """Every address another one: a change of more octets than may stand behind the image."""
    return simple_zone("big.test.", serial, "".join(f"host{i}.big.test. 300 IN A 10.{serial}.{i >> 8 & 255}.{i & 255}\n" for i in range(NAMES)))


def change(server, serial):
    server.file("big.zone", other_content(serial))
    server.reload()
    assert is_right(server, serial)


def is_right(server, serial):
    return server.serial("big.test") == serial and all(
        server.ask(f"host{i}.big.test", "A").answer[0][0].address == f"10.{serial}.{i >> 8 & 255}.{i & 255}" for i in range(0, NAMES, 1999))


def seen(server, event):
    return len(re.findall(rf"{event} zone=big.test", server.log()))


def test_a_fresh_image_is_served_from(server):
    """Written, named in the log, mapped and proven, while changes go on; what was mapped before is given back."""
    server.start()
    maps = server.dir / "state" / "segments"
    for serial in range(2, 5):
        change(server, serial)
        wait_until(lambda n=serial - 1: seen(server, "zone-compacted") >= n, what="the zone to be served from its fresh image")
        assert is_right(server, serial)

    def mapped():
        lines = open(f"/proc/{server.process.pid}/maps").read().splitlines()
        return {line.split(maxsplit=5)[5] for line in lines if str(maps) in line}
    wait_until(lambda: len(mapped()) <= 2, what=f"old maps to go: {mapped()}")  # the zone's, and that of small ones
    server.kill()
    server.start()
    assert is_right(server, 4)


def test_the_disk_fills_up_while_an_image_is_written(tmp_path, small_disk):
    """It is told; what is served, the image before it and its changes stay, over a crash, too. With room again it is made good."""
    t = Tandem(tmp_path / "t", {"zones": [{"name": "big.test", "role": "primary", "file": "big.zone"}]})
    segments = small_disk(t.dir / "state" / "segments", 8 << 20)
    (t.dir / "state").chmod(0o700)
    t.file("big.zone", other_content(1))
    t.start()
    wait_until(lambda: t.status("big.test")["durable"], what="the first image")
    ballast = fill(segments)
    change(t, 2)
    wait_until(lambda: "no space left for a segment file" in t.log(), what="the full disk in the log: " + t.log()[-500:])
    assert seen(t, "zone-image") == 0
    assert t.status("big.test")["durable"] and is_right(t, 2)
    change(t, 3)
    t.kill()
    t.start()
    assert is_right(t, 3)
    t.kill()
    ballast.unlink()
    t.start()
    wait_until(lambda: seen(t, "zone-compacted"), what="a fresh image: " + t.log()[-500:])
    change(t, 4)
    wait_until(lambda: not [p for p in segments.iterdir() if p.suffix == ".tmp"], what="no image to be under way")
    assert t.stop() == 0
    t.start()
    assert is_right(t, 4)
    assert t.stop() == 0


def test_kill_while_an_image_is_written(server):
    """Whatever is there of it then: what was acknowledged is served after the next start, and nothing of it lies about."""
    segments = server.dir / "state" / "segments"
    server.start()
    for serial in range(2, 8):
        before = set(os.listdir(segments))
        server.file("big.zone", other_content(serial))
        server.reload()
        wait_until(lambda b=before: seen(server, "zone-image") >= serial - 1 or set(os.listdir(segments)) - b, what="a new file")
        server.kill()
        server.start()
        assert is_right(server, serial)
        wait_until(lambda: not [name for name in os.listdir(segments) if name.endswith(".tmp")], what="no image to be under way")
    assert "store-damaged" not in server.log()


@pytest.fixture
def transferring(tmp_path):
    """A secondary that begins to transfer a large zone for the first time, and its primary."""
    primary = Tandem(tmp_path / "p", {"zones": [{"name": "big.test", "role": "primary", "file": "big.zone", "transfer": ["any"]}]})
    primary.file("big.zone", other_content(1))
    primary.start()
    secondary = Tandem(tmp_path / "s", {"peers": [{"name": "p", "address": primary.at}],
                                        "zones": [{"name": "big.test", "role": "secondary", "primaries": ["p"]}]})
    secondary.start()
    yield secondary, primary
    secondary.kill()
    primary.kill()


def test_the_first_image_of_a_transfer_and_the_end(transferring):
    """Served while its image is written: a clean end has it, whatever becomes of its primary."""
    secondary, primary = transferring
    secondary.wait_answer("big.test", serial=1)
    assert secondary.stop() == 0
    assert primary.stop() == 0
    secondary.start()
    assert is_right(secondary, 1) and secondary.status("big.test")["durable"]
    assert secondary.stop() == 0


def test_the_first_image_of_a_transfer_and_a_crash(transferring):
    """At whatever moment: it is there, or transferred again, and nothing lies about."""
    secondary, primary = transferring
    segments = secondary.dir / "state" / "segments"
    for begun in (False, True):
        secondary.wait_answer("big.test", serial=1)
        if begun:
            wait_until(lambda: os.listdir(segments), what="a segment")
        secondary.kill()
        secondary.start()
        secondary.wait_answer("big.test", serial=1)
        assert is_right(secondary, 1)
        secondary.kill()
        shutil.rmtree(secondary.dir / "state")
        secondary.start()
    secondary.wait_answer("big.test", serial=1)
    wait_until(lambda: secondary.status("big.test")["durable"], what="the image")
    assert not [name for name in os.listdir(segments) if name.endswith(".tmp")]
    assert "store-damaged" not in secondary.log()
