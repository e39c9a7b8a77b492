"""`wait`: back when every peer answers the serial, and not before; on a timeout it names who lags behind."""
import contextlib
import socket
import subprocess
import threading
import time

import dns.message
import dns.rrset

from harness import BINARY, LOOPBACK, simple_zone, wait_until

ZONE = "wait.example."


class Slow:
    """A secondary that takes the NOTIFY and has the new serial only when it is told to; deaf: it answers nothing."""

    def __init__(self, deaf=False):
        self.serial, self.deaf, self.asked, self.notified = 1, deaf, 0, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.at = f"{LOOPBACK}@{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                bytes, client = self.socket.recvfrom(4096)
                if not bytes:
                    return
                q = dns.message.from_wire(bytes)
                notify = q.opcode() == dns.opcode.NOTIFY
                self.notified += notify
                self.asked += not notify
                r = dns.message.make_response(q)
                r.flags |= dns.flags.AA
                if not notify:
                    r.answer = [dns.rrset.from_text(ZONE, 60, "IN", "SOA", f"a. b. {self.serial} 60 60 60 60")]
                if not self.deaf:
                    self.socket.sendto(r.to_wire(), client)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


def pair(lab, *others):
    t, s = lab.tandem("primary"), lab.tandem("secondary")
    t.file("zone", simple_zone(ZONE))
    peers = {"good": s.at, **{f"peer{i}": o.at for i, o in enumerate(others)}}
    t.configure({"peers": [{"name": n, "address": a} for n, a in peers.items()],
                 "zones": [{"name": ZONE, "role": "primary", "file": "zone", "transfer": ["any"], "notify": list(peers)}]})
    s.configure({"peers": [{"name": "p", "address": t.at}],
                 "zones": [{"name": ZONE, "role": "secondary", "primaries": ["p"], "notify-from": ["any"]}]})
    t.start()
    s.start()
    s.wait_answer(ZONE, serial=1)
    return t, s


def test_waits_for_the_slowest(lab):
    slow = Slow()
    t, s = pair(lab, slow)
    assert "every peer" in t.run("wait", ZONE, check=0).stdout
    t.file("zone", simple_zone(ZONE, 2))
    t.run("reload", ZONE, check=0)
    asked = slow.asked
    waiting = subprocess.Popen([BINARY, "wait", ZONE, "-c", t.config_path], cwd=t.dir, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: slow.asked > asked + 3)
    s.wait_answer(ZONE, serial=2)
    assert waiting.poll() is None
    slow.serial = 2
    out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 0 and "every peer" in out
    t.run("wait", ZONE, "--serial", "1", check=0)
    slow.close()


def test_laggards_are_named(lab):
    slow, dead = Slow(), Slow(deaf=True)
    t, s = pair(lab, slow, dead)
    t.file("zone", simple_zone(ZONE, 2))
    t.run("reload", ZONE, check=0)
    s.wait_answer(ZONE, serial=2)
    began = time.monotonic()
    r = t.run("wait", ZONE, "--timeout", "2.5", check=3)
    assert 2.4 < time.monotonic() - began < 15
    assert f"peer0: {slow.at} answers serial 1" in r.stderr and f"peer1: {dead.at} does not answer" in r.stderr
    assert "good:" not in r.stderr and "not every peer has it yet" in r.stderr
    r = t.run("wait", ZONE, "--serial", "7", "--timeout", "2", "--json", check=3)
    assert '"laggards"' in r.stdout and f"good: {s.at} answers serial 2" in r.stdout
    r = t.run("wait", ZONE, "--serial", "x", check=1)
    assert "wants a number" in r.stderr
    # nobody is asked any more once the client is gone
    waiting = subprocess.Popen([BINARY, "wait", ZONE, "-c", t.config_path], cwd=t.dir)
    asked = slow.asked
    wait_until(lambda: slow.asked > asked)
    waiting.kill()
    waiting.wait()
    t.run("status", check=0)
    asked = slow.asked
    t.run("wait", "other.example", check=1)
    assert slow.asked <= asked + 1
    slow.close()
    dead.close()
