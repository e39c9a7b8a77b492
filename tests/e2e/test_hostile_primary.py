"""A secondary and a primary that lies, drips, floods, signs wrongly or breaks off: the old version serves on, `status` names the cause, and
each attempt costs one bounded connection."""
import hashlib
import hmac
import base64
import socket
import struct
import threading
import time

import dns.rcode
import pytest

from harness import KEY, LOOPBACK, SECRET, free_port, wait_until
from test_hostile import AA, A, BADKEY, BADSIG, BADTIME, IN, NOTAUTH, SOA, TC, TSIG, TXT, counted, name, record, tsig_variables

ZONE = "example.com"
OTHER_SECRET = "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI="
BADTRUNC = 22
QR = 0x8000
TRANSFER_MAX, TRANSFER_TIMEOUT = 1 << 20, "1"
OCTETS_MOST = TRANSFER_MAX + (16 << 20)  # what one attempt may take, with what is on its way in both systems


def soa(serial, expire=3600):
    return record(ZONE, SOA, IN, 60, name("ns1." + ZONE) + name("hostmaster." + ZONE) + struct.pack("!5I", serial, 1, 1, expire, 1))


def a(owner, last=1):
    return record(owner, A, IN, 60, bytes([192, 0, 2, last]))


class Request:
    def __init__(self, wire):
        self.wire = wire
        self.ident, self.flags, *self.counts = struct.unpack("!6H", wire[:12])
        at = 12
        while wire[at]:
            at += 1 + wire[at]
        self.qtype = struct.unpack("!H", wire[at + 1:at + 3])[0]
        self.question = wire[12:at + 5]
        self.mac = b""
        tail = wire.rfind(name("hmac-sha256"))
        if tail > 0 and self.counts[3]:
            at = tail + len(name("hmac-sha256")) + 8
            size = struct.unpack("!H", wire[at:at + 2])[0]
            self.mac = wire[at + 2:at + 2 + size]


class Signer:
    """Signs the messages of one answer (RFC 8945 §5.3.1)."""

    def __init__(self, request, secret=SECRET, key=KEY, off=0, cut=32, error=0, other=b""):
        self.prior, self.pending, self.first = request.mac, b"", True
        self.secret, self.key, self.off, self.cut, self.error, self.other = base64.b64decode(secret), key, off, cut, error, other

    def skip(self, message):
        self.pending += message
        return message

    def sign(self, message):
        when = int(time.time()) + self.off
        timers = struct.pack("!Q", when)[2:] + struct.pack("!H", 300)
        digest = struct.pack("!H", len(self.prior)) + self.prior + self.pending + message
        digest += tsig_variables("hmac-sha256", when, error=self.error, other=self.other, key=self.key) if self.first else timers
        mac = hmac.new(self.secret, digest, hashlib.sha256).digest()
        self.prior, self.pending, self.first = mac, b"", False
        cut = mac[:self.cut]
        rdata = name("hmac-sha256") + timers + struct.pack("!H", len(cut)) + cut + message[:2] + struct.pack("!2H", self.error, len(self.other)) + self.other
        return counted(message, record(self.key, TSIG, 255, 0, rdata))


def tsig_error(request, error):
    """NOTAUTH with an unsigned TSIG that says why, as for a key or a signature that is wrong."""
    rdata = (name("hmac-sha256") + struct.pack("!Q", int(time.time()))[2:] + struct.pack("!2H", 300, 0) + request.wire[:2]
             + struct.pack("!2H", error, 0))
    return counted(message(request, [], rcode=NOTAUTH), record(KEY, TSIG, 255, 0, rdata))


def message(request, records, flags=QR | AA, rcode=0, ident=None, question=None):
    question = request.question if question is None else question
    return struct.pack("!6H", request.ident if ident is None else ident, flags | rcode, 1 if question else 0, len(records), 0, 0) + question + b"".join(records)


class Primary:
    """Answers SOA over UDP with `serial`; a transfer is what `act(stream, request)` does."""

    def __init__(self, key):
        self.key, self.port, self.serial = key, free_port(), 1
        self.connections, self.sent, self.most_sent = 0, 0, 0
        self.soa = None
        self.act = lambda p, stream, request: p.good(stream, request)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((LOOPBACK, self.port))
        self.listener = socket.create_server((LOOPBACK, self.port), backlog=64)
        for target in (self.answer, self.accept):
            threading.Thread(target=target, daemon=True).start()

    def signer(self, request, **kw):
        return Signer(request, **kw) if self.key else None

    def soa_answer(self, request):
        reply = self.soa(self, request) if self.soa else message(request, [soa(self.serial)])
        return Signer(request).sign(reply) if self.key else reply

    def answer(self):
        while True:
            try:
                wire, client = self.udp.recvfrom(4096)
            except OSError:
                return
            self.udp.sendto(self.soa_answer(Request(wire)), client)

    def accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with stream:
                read = stream.makefile("rb")
                while True:
                    size = read.read(2)
                    if len(size) < 2:
                        return
                    request = Request(read.read(struct.unpack("!H", size)[0]))
                    if request.qtype == SOA:
                        self.send(stream, self.soa_answer(request))
                    elif self.act(self, stream, request) == "close":
                        return
        except OSError:
            pass
        finally:
            self.most_sent = max(self.most_sent, self.sent)
            self.sent = 0

    def send(self, stream, wire):
        stream.sendall(struct.pack("!H", len(wire)) + wire)
        self.sent += 2 + len(wire)

    def transfer(self, stream, request, messages, signer=None):
        for records in messages:
            wire = message(request, records)
            self.send(stream, signer.sign(wire) if signer else wire)

    def good(self, stream, request):
        self.transfer(stream, request, [[soa(self.serial), a("www." + ZONE, self.serial & 255), soa(self.serial)]], self.signer(request))

    def stop(self):
        self.udp.close()
        self.listener.close()


# ---- what it does ----


def endless(p, s, r):
    signer, n = p.signer(r), 0
    p.transfer(s, r, [[soa(2)]], signer)
    while True:
        p.transfer(s, r, [[record(f"t{n}-{i}." + ZONE, TXT, IN, 60, b"\xff" + b"x" * 255) for i in range(200)]], signer)
        n += 1


def bomb(p, s, r):
    """Messages whose names are pointers: 12 octets a record unfold to 250."""
    signer, n = p.signer(r), 0
    p.transfer(s, r, [[soa(2)]], signer)
    long = name(".".join(["x" * 63] * 3) + "." + ZONE)
    while True:
        at = 12 + len(r.question)
        first = record(long, A, IN, 60, struct.pack("!I", n))
        more = [struct.pack("!HHHIH4s", 0xC000 | at, A, IN, 60, 4, struct.pack("!I", n * 4000 + i)) for i in range(4000)]
        p.transfer(s, r, [[first, *more]], signer)
        n += 1


def drip(p, s, r):
    signer = p.signer(r)
    p.transfer(s, r, [[soa(2)]], signer)
    for n in range(10000):
        p.transfer(s, r, [[a(f"h{n}." + ZONE)]], signer)
        threading.Event().wait(0.05)


def octet_by_octet(p, s, r):
    for octet in b"\x20\x00" + b"\0" * 10000:
        s.sendall(bytes([octet]))
        threading.Event().wait(0.05)


def silence(p, s, r):
    s.recv(1)


def in_one(*records, **kw):
    return lambda p, s, r: p.send(s, p.signer(r).sign(message(r, records, **kw)) if p.key else message(r, records, **kw))


def garbage(p, s, r):
    p.send(s, struct.pack("!H", r.ident) + bytes(range(256)) * 4)


def zero_length(p, s, r):
    s.sendall(b"\0\0" * 100)


def other_id(p, s, r):
    p.send(s, message(r, [soa(2), soa(2)], ident=r.ident ^ 0x5555))


def other_question(p, s, r):
    p.send(s, message(r, [soa(2), soa(2)], question=name("example.net") + r.question[-4:]))


def reset_at(octets):
    def act(p, s, r):
        wire = message(r, [soa(2)] + [a(f"h{i}." + ZONE) for i in range(50)])
        wire = struct.pack("!H", len(wire)) + wire
        s.sendall(wire[:octets])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return "close"
    return act


def close_at(octets):
    def act(p, s, r):
        wire = message(r, [soa(2)] + [a(f"h{i}." + ZONE) for i in range(50)])
        s.sendall((struct.pack("!H", len(wire)) + wire)[:octets])
        return "close"
    return act


def half_signed(signed):
    """Signs only the messages whose number is in `signed`; 300 in all."""
    def act(p, s, r):
        signer = p.signer(r)
        for n in range(300):
            wire = message(r, [soa(2)] if n in (0, 299) else [a(f"h{n}." + ZONE)])
            p.send(s, signer.sign(wire) if n in signed else signer.skip(wire))
    return act


def signed_with(**kw):
    return lambda p, s, r: p.transfer(s, r, [[soa(2), soa(2)]], Signer(r, **kw))


def refused_for(error):
    return lambda p, s, r: p.send(s, tsig_error(r, error))


def refused_signed(error, other=b""):
    return lambda p, s, r: p.send(s, Signer(r, error=error, other=other).sign(message(r, [], rcode=NOTAUTH)))


CASES = [
    # (name, signed?, what the transfer does, what status says)
    ("endless", False, endless, "sends more than the limit of"),
    ("compression-bomb", False, bomb, "sends more than the limit of"),
    ("drip", False, drip, "too slow"),
    ("octet-by-octet", False, octet_by_octet, "sent nothing for"),
    ("silence", False, silence, "sent nothing for"),
    ("last-soa-differs", False, in_one(soa(2), a("www." + ZONE), soa(3)), "changed the zone during the transfer"),
    ("no-first-soa", False, in_one(a("www." + ZONE), soa(2)), "where the zone's SOA has to be the first"),
    ("record-behind-the-end", False, in_one(soa(2), soa(2), a("www." + ZONE)), "behind the last SOA"),
    ("no-records", False, in_one(), "without any record"),
    ("serial-back", False, in_one(soa(0), a("www." + ZONE), soa(0)), "is not newer than ours"),
    ("garbage", False, garbage, "does not answer our transfer request"),
    ("zero-length", False, zero_length, "does not answer our transfer request"),
    ("other-id", False, other_id, "does not answer our transfer request"),
    ("other-question", False, other_question, "does not answer our transfer request"),
    ("reset-0", False, reset_at(0), "closed the connection instead of answering"),
    ("reset-1", False, reset_at(1), "closed the connection instead of answering"),
    ("reset-700", False, reset_at(700), "closed the connection instead of answering"),
    ("close-0", False, close_at(0), "closed the connection instead of answering"),
    ("close-100", False, close_at(100), "closed the connection instead of answering"),
    ("close-whole", False, close_at(1 << 16), "broke off the transfer after 51 records"),
    ("servfail", False, in_one(rcode=2), "SERVFAIL"),
    ("unsigned", True, lambda p, s, r: p.transfer(s, r, [[soa(2), soa(2)]]), "without the signature"),
    ("gap", True, half_signed({0, 150, 299}), "without the signature"),
    ("end-unsigned", True, half_signed({0, 90, 180, 270}), "without the signature"),
    ("start-unsigned", True, half_signed(set(range(1, 300))), "without the signature"),
    ("wrong-secret", True, signed_with(secret=OTHER_SECRET), "(BADSIG)"),
    ("wrong-key", True, signed_with(key="other.example."), "(BADKEY)"),
    ("wrong-time", True, signed_with(off=-1000), "(BADTIME)"),
    ("too-short", True, signed_with(cut=8), "signature"),
    ("says-badkey", True, refused_for(BADKEY), "does not know the key"),
    ("says-badsig", True, refused_for(BADSIG), "finds our signature wrong (BADSIG)"),
    ("says-badtime", True, refused_signed(BADTIME, struct.pack("!Q", int(time.time()) + 1000)[2:]), "has another time than we (BADTIME"),
    ("says-badtrunc", True, refused_signed(BADTRUNC), "wants longer signatures (BADTRUNC)"),
]


@pytest.fixture(params=[False, True], ids=["plain", "tsig"], scope="module")
def scene(request, tmp_path_factory):
    """A secondary with serial 1 of a primary that was good once."""
    from conftest import Lab
    lab = Lab(tmp_path_factory.mktemp("hostile-primary"))
    primary = Primary(request.param)
    t = lab.tandem("t", {"keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}],
                         "peers": [{"name": "bad", "address": f"{LOOPBACK}@{primary.port}", **({"key": KEY} if request.param else {})}],
                         "zones": [{"name": ZONE, "role": "secondary", "primaries": ["bad"], "refresh-min": "0.3", "refresh-max": "0.3",
                                    "retry-min": "0.3", "retry-max": "0.3", "transfer-max": str(TRANSFER_MAX),
                                    "transfer-timeout": TRANSFER_TIMEOUT}]})
    t.start()
    t.wait_answer(ZONE, serial=1)
    yield primary, t
    primary.stop()
    t.stop()


def error(t):
    return t.status(ZONE).get("last-error", "")


@pytest.mark.parametrize("case,signed,act,what", CASES, ids=[c[0] for c in CASES])
def test_refused_in_plain_words(scene, case, signed, act, what):
    primary, t = scene
    if primary.key != signed:
        pytest.skip("for the other kind")
    before, began = primary.connections, time.monotonic()
    primary.most_sent = 0
    primary.act, primary.serial = act, 2
    try:
        said = wait_until(lambda: what in error(t) and error(t), what=f"{what!r} to be said")
        assert t.serial(ZONE) == 1 and t.ask("www." + ZONE).answer[0][0].address == "192.0.2.1"
        rounds = (time.monotonic() - began) / 0.2 + 2
        assert primary.connections - before <= 2 * rounds  # changes are asked for, and then the whole zone
        assert primary.most_sent <= OCTETS_MOST
        print(f"{primary.connections - before} connections, {primary.most_sent} octets: {said}")
    finally:
        primary.act, primary.serial = Primary.good, 1
    wait_until(lambda: error(t) == "", what="it to be well again")
    t.sanitized()


def test_loop_of_truncated_answers(scene):
    """TC over UDP, and over TCP again."""
    primary, t = scene
    before = primary.connections
    primary.soa = lambda p, r: message(r, [], flags=QR | AA | TC)
    try:
        wait_until(lambda: "over TCP" in error(t), what="an error")
        assert t.serial(ZONE) == 1
        assert primary.connections - before < 100
    finally:
        primary.soa = None
    wait_until(lambda: error(t) == "", what="it to be well again")


def test_records_of_others_are_left_out(scene):
    """A whole zone, and then changes, with records of names that are not the zone's: they go nowhere, and are counted."""
    primary, t = scene
    if primary.key:
        pytest.skip("once is enough")
    victim = "victim.test"
    strange = [a("www." + victim, 66), record(victim, SOA, IN, 60, name(victim) * 2 + bytes(20)), a("com", 66), a("wwwexample.com", 66)]
    primary.act, primary.serial = in_one(soa(2), a("www." + ZONE, 2), *strange, soa(2)), 2
    try:
        t.wait_answer(ZONE, serial=2)
        assert t.ask("www." + ZONE).answer[0][0].address == "192.0.2.2"
        assert t.status(ZONE)["last-transfer"]["dropped"] == len(strange)
        for owner in ("www." + victim, victim, "com", "wwwexample.com"):
            assert t.ask(owner).rcode() == dns.rcode.REFUSED, owner
        changes = [soa(3), soa(2), a("www." + ZONE, 2), a("www." + victim, 66), soa(3), a("www." + ZONE, 3), a("com", 67), soa(3)]
        primary.act, primary.serial = in_one(*changes), 3
        t.wait_answer(ZONE, serial=3)
        last = t.status(ZONE)["last-transfer"]
        assert (last["kind"], last["dropped"]) == ("ixfr", 2)
        assert t.ask("com").rcode() == dns.rcode.REFUSED
    finally:
        primary.act, primary.serial = Primary.good, 4
    t.wait_answer(ZONE, serial=4)
