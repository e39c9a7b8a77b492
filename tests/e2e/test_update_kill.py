"""kill -9 of either side under update load: no acknowledged change is lost, none comes back, and in the end both sides are equal."""
import random
import socket
import struct
import time

import dns.exception
import dns.name
import dns.rcode
import pytest

import harness
from harness import simple_zone, wait_until

ZONE = "dyn.example."
NAMES = 16  # each has one update in flight
TXT, ANY, IN, SOA = 16, 255, 1, 6
APEX = dns.name.from_text(ZONE).to_wire()


def set_value(number, owner, value):
    """An update that makes `value` the only TXT of `owner`."""
    text = str(value).encode()
    name = dns.name.from_text(owner, dns.name.from_text(ZONE)).to_wire()
    rdata = bytes([len(text)]) + text
    return (struct.pack("!HHHHHH", number, 5 << 11, 1, 0, 2, 0) + APEX + struct.pack("!HH", SOA, IN)
            + name + struct.pack("!HHIH", TXT, ANY, 0, 0) + name + struct.pack("!HHIH", TXT, IN, 60, len(rdata)) + rdata)


class Load:
    """Counts up the value of each name, one update after the other, and knows what was acknowledged."""

    def __init__(self, server):
        self.to = (server.host, server.port)
        self.may_fail = server.name == "pdns"  # SERVFAIL while another of its threads has locked its database
        self.acknowledged = [0] * NAMES
        self.sent = [0] * NAMES
        self.socket = None
        self.answers = 0

    def send(self, i):
        self.sent[i] += 1
        self.socket.send(set_value(i, f"w{i}", self.sent[i]))

    def take(self):
        """One answer, if there is one."""
        try:
            answer = self.socket.recv(512)
        except (BlockingIOError, ConnectionRefusedError, TimeoutError):
            return None
        i, rcode = answer[1], answer[3] & 15
        if rcode == dns.rcode.SERVFAIL and self.may_fail:
            return i
        assert rcode == 0, f"rcode {rcode}"
        self.acknowledged[i] = self.sent[i]
        self.answers += 1
        return i

    def run(self, seconds, at_the_end):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(self.to)
        self.socket.settimeout(seconds)
        deadline = time.monotonic() + seconds
        for i in range(NAMES):
            self.send(i)
        while time.monotonic() < deadline:
            i = self.take()
            if i is not None:
                self.send(i)
        at_the_end()
        self.socket.setblocking(False)
        while self.take() is not None:  # what was answered before the end
            pass
        self.socket.close()


def values(server):
    """(serial, value of each name) by transfer."""
    serial, found = None, [0] * NAMES
    for record in server.axfr(ZONE):
        owner, _, rdtype, rest = record.split(" ", 3)
        if rdtype == "SOA":
            serial = int(rest.split()[2])
        elif owner.startswith("w") and rdtype == "TXT":
            found[int(owner[1:owner.index(".")])] = int(rest.strip('"'))
    return serial, found


def check(load, server, least_serial):
    """Each name has its last acknowledged value, or the one that was on its way when the end came (and may come yet)."""
    serial, found = values(server)
    for i in range(NAMES):
        assert load.acknowledged[i] <= found[i] <= load.sent[i], (i, load.acknowledged[i], found[i], load.sent[i])
        load.acknowledged[i] = found[i]
    assert serial >= least_serial, "the serial went back"
    return serial


def test_no_acknowledged_update_is_lost(lab, soak):
    p, s = lab.tandem("primary"), lab.tandem("secondary")
    p.file("zone0", simple_zone(ZONE, refresh=1, retry=1))
    p.configure({"peers": [{"name": "s", "address": s.at}], "zones": [
        {"name": ZONE, "role": "primary", "file": "zone0", "transfer": ["any"], "notify": ["s"], "update": ["127.0.0.1"]}]})
    s.configure({"peers": [{"name": "p", "address": p.at}], "zones": [
        {"name": ZONE, "role": "secondary", "primaries": ["p"], "transfer": ["any"], "retry-max": "1", "refresh-max": "1"}]})
    p.start(), s.start()
    rng = random.Random(9)
    load = Load(p)
    serial = 1
    for number in range(5000 if soak else 200):
        victim = s if number % 8 == 7 else p
        load.run(rng.choice([0.002, 0.01, 0.03, 0.06]) * rng.random(), victim.kill)
        victim.start()
        serial = check(load, p, serial)
    assert load.answers > NAMES
    wait_until(lambda: s.serial(ZONE) == p.serial(ZONE), what="the secondary to follow")
    assert p.axfr(ZONE) == s.axfr(ZONE)


# ---- the same with others on the other side ----

def answered(server):
    """(serial, value of each name), asked one by one; None while it can't be."""
    try:
        serial = server.serial(ZONE)
        found = []
        for i in range(NAMES):
            r = server.ask(f"w{i}.{ZONE}", "TXT", timeout=2)
            found.append(int(r.answer[0][0].strings[0]) if r.answer else 0)
        return serial, found
    except (dns.exception.Timeout, OSError, AttributeError):
        return None


def wait_equal(a, b):
    wait_until(lambda: answered(a) is not None and answered(a) == answered(b), timeout=60, what=f"{b.name} to be as {a.name}: {b.log()[-1000:]}")


def rounds(load, primary, secondary, count):
    """Either side is killed in turn while updates go to the primary."""
    rng = random.Random(11)
    serial = 1
    for number in range(count):
        victim = (primary, secondary)[number % 2]
        load.run(0.03 + 0.1 * rng.random(), victim.kill)
        victim.start()
        primary.wait_answer(ZONE)
        serial = check(load, primary, serial)
    assert load.answers > NAMES


@pytest.mark.parametrize("kind", [harness.Bind, harness.Knot, harness.Nsd, harness.Pdns])
def test_secondary_of_another_kind(lab, soak, kind):
    p = lab.tandem("primary")
    q = lab.add(kind, "secondary", {ZONE: None}, p)
    p.file("zone0", simple_zone(ZONE, refresh=1, retry=1))
    p.configure({"peers": [{"name": "q", "address": q.at}], "zones": [
        {"name": ZONE, "role": "primary", "file": "zone0", "transfer": ["any"], "notify": ["q"], "update": ["127.0.0.1"]}]})
    p.start(), q.start()
    rounds(Load(p), p, q, 200 if soak else 6)
    wait_equal(p, q)


def allow_updates(server):
    """In the configuration that the harness wrote."""
    if server.name == "bind":
        path = server.dir / "named.conf"
        path.write_text(path.read_text().replace("allow-transfer { any; }", "allow-update { any; }; allow-transfer { any; }"))
    elif server.name == "pdns":
        path = server.dir / "pdns.conf"
        path.write_text(path.read_text() + f"dnsupdate=yes\nallow-dnsupdate-from={harness.ANYWHERE}\n")
    else:
        path = server.dir / "knot.conf"
        path.write_text(path.read_text().replace("action: transfer", "action: [transfer, update]"))


@pytest.mark.parametrize("kind", [harness.Bind, harness.Knot, harness.Pdns])
def test_primary_of_another_kind(lab, soak, kind):
    s = lab.tandem("secondary")
    p = lab.add(kind, "primary", {ZONE: simple_zone(ZONE, refresh=1, retry=1)}, s)
    allow_updates(p)
    s.configure({"peers": [{"name": "p", "address": p.at}], "zones": [
        {"name": ZONE, "role": "secondary", "primaries": ["p"], "transfer": ["any"], "retry-max": "1", "refresh-max": "1"}]})
    p.start()
    p.wait_answer(ZONE)
    s.start()
    rounds(Load(p), p, s, 200 if soak else 6)
    wait_equal(p, s)
