"""A hidden zone, compared with a stranger's view of nothing: whatever is asked, over UDP and TCP, whole or mangled, signed or not, the
answers are octet for octet those for a name outside all our zones, but for ID and question."""
import itertools
import random
import socket
import struct

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import pytest

from harness import KEY, LOOPBACK, SECRET, free_port, keyring, simple_zone, wait_until

KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
SECONDS = 20
SENTINEL_ID = 65535
TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 41, 43, 46, 47, 48, 50, 51, 52, 64, 65, 249, 250, 251, 252, 253, 254, 255, 256, 257, 65280, 0]


def wire_name(labels):
    return b"".join(bytes([len(x)]) + x for x in labels) + b"\0"


def random_case(rng, label):
    return bytes(c ^ 0x20 if chr(c).isalpha() and rng.random() < 0.5 else c for c in label)


def option(code, data):
    return struct.pack("!HH", code, len(data)) + data


def random_edns(rng):
    options = b""
    for _ in range(rng.choice([0, 0, 1, 2])):
        options += rng.choice([option(3, b""), option(9, b""), option(10, bytes(8)), option(11, b""), option(19, b""), option(12, bytes(7)),
                               option(65001, bytes(rng.randrange(9)))])
    size, flags, version = rng.choice([0, 512, 1232, 4096, 65535]), rng.choice([0, 0x8000]), rng.choice([0, 0, 0, 0, 1])
    return b"\0" + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(options)) + options


def random_pair(rng, ours, other):
    """The same question about a name of ours and about one outside all our zones, of the same length."""
    deeper = [random_case(rng, rng.choice([b"www", b"ns1", b"a", b"*", b"_tcp", b"x" * 63, bytes([0, 255, 46, 92])]))
              for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    ours, other = [x.encode() for x in ours], [x.encode() for x in other]
    if rng.random() < 0.5:
        state = rng.getstate()
        ours = [random_case(rng, x) for x in ours]
        rng.setstate(state)
        other = [random_case(rng, x) for x in other]
    opcode = rng.choice([0] * 12 + [4, 4, 5, 5, 1, 2, 3, 6, 7, 15])
    flags = opcode << 11 | rng.choice([0, 0x100]) | rng.choice([0, 0, 0, 0x10, 0x20, 0x40, 0x400, 0x200, 0x80])
    qtype, qclass = rng.choice(TYPES), rng.choice([1] * 12 + [3, 4, 255, 254, 7])
    if opcode in (4, 5) and rng.random() < 0.7:
        qtype = 6
    edns = random_edns(rng) if rng.random() < 0.6 else b""
    with_soa = qtype == 251 or (opcode == 4 and rng.random() < 0.5)
    messages = []
    for labels in (ours, other):
        question = wire_name(deeper + labels) + struct.pack("!HH", qtype, qclass)
        soa_rr = b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 300, 22) + b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, 5)
        counts = [1, 0, 0, 1 if edns else 0]
        if with_soa:
            counts[1 if opcode == 4 else 2] = 1
        messages.append((struct.pack("!H4H", flags, *counts), question, (soa_rr if with_soa else b"") + edns))
    return [mangled(rng.getstate(), m) for m in messages] if rng.random() < 0.2 else messages


def mangled(state, message):
    """The same damage to both of a pair, in a message of the same length: cut short, longer, with counts or flags that are not so."""
    rng = random.Random()
    rng.setstate(state)
    header, question, rest = message
    body = bytearray(question + rest)
    flags, *counts = struct.unpack("!5H", header)
    kind = rng.randrange(5)
    if kind == 0:
        body = body[:rng.randrange(len(body))]
    elif kind == 1:
        body += bytes(rng.randrange(256) for _ in range(rng.randrange(1, 20)))
    elif kind == 2:
        counts[rng.randrange(4)] = rng.choice([0, 1, 2, 65535])
    elif kind == 3:
        body += question
        counts[0] = 2
    else:
        flags |= 0x8000
    return struct.pack("!5H", flags, *counts), bytes(body[:len(question)]), bytes(body[len(question):])


class Asker:
    """Asks pairs on one socket, each with a question behind it whose answer tells that no more will come."""

    def __init__(self, server, tcp, source=LOOPBACK):
        self.server, self.tcp, self.source = server, tcp, source
        self.sentinel = struct.pack("!HH4H", SENTINEL_ID, 0, 1, 0, 0, 0) + wire_name([b"sentinel"]) + struct.pack("!HH", 1, 1)
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM if self.tcp else socket.SOCK_DGRAM)
        self.socket.settimeout(SECONDS)
        self.socket.bind((self.source, 0))
        self.socket.connect((self.server.host, self.server.port))
        self.file = self.socket.makefile("rb") if self.tcp else None

    def close(self):
        if self.file:
            self.file.close()
        self.socket.close()

    def receive(self):
        if not self.tcp:
            return self.socket.recv(65535)
        size = self.file.read(2)
        return self.file.read(struct.unpack("!H", size)[0]) if len(size) == 2 else None

    def ask(self, messages):
        """Answers by number, up to the sentinel's; None where the connection was closed."""
        out = list(enumerate(messages)) + [(SENTINEL_ID, None)]
        wires = [self.sentinel if m is None else struct.pack("!H", n) + b"".join(m) for n, m in out]
        if self.tcp:
            self.socket.sendall(b"".join(struct.pack("!H", len(w)) + w for w in wires))
        else:
            for w in wires:
                self.socket.send(w)
        answers = {}
        while True:
            answer = self.receive()
            if answer is None:
                self.close()
                self.open()
                return answers
            number = struct.unpack("!H", answer[:2])[0]
            if number == SENTINEL_ID:
                return answers
            answers.setdefault(number, []).append(answer)


def without_name(answer, question):
    """The answer without its ID and its copy of the question."""
    return answer[2:].replace(question, b"QUESTION") if answer[12:12 + len(question)] == question else answer[2:]


def peers(address):
    return [{"name": "s", "address": address, "key": KEY}]


def hidden_lab(lab, state="loaded", **options):
    """A server with a hidden zone that is loaded, or missing its file, or a secondary: in sync, expired, or never filled."""
    t = lab.tandem("hidden")
    secondary = state in ("secondary", "expired", "empty")
    feeder = lab.tandem("feeder") if secondary else None
    other = feeder.at if feeder else f"{LOOPBACK}@{free_port()}"
    zone = {"notify": ["s"], "transfer": ["s"], "answer-to": ["s"], **options}
    zone.update({"role": "secondary", "primaries": ["s"], "retry-min": "0.2"} if secondary else {"role": "primary", "file": "zone"})
    names = ["hidden.example", "child.public.example"]
    t.configure({"keys": KEYS, "peers": peers(other), "zones": [{"name": n, **zone, **({} if secondary else {"file": n})} for n in names] + [
        {"name": "public.example", "role": "primary", "file": "public"}]})
    t.file("public", simple_zone("public.example."))
    timers = {"expire": 1, "refresh": 1, "retry": 1} if state == "expired" else {}
    for n in names:
        if state not in ("missing", "empty"):
            (feeder or t).file(n, simple_zone(f"{n}.", extra=f"sub.{n}. 300 IN NS ns.sub.{n}.\nsub.{n}. 300 IN DS 1 8 2 {'AB' * 32}\n"
                                              f"*.{n}. 60 IN TXT \"here\"\n", **timers))
    if feeder and state != "empty":
        feeder.configure({"keys": KEYS, "peers": peers(t.at), "zones": [
            {"name": n, "role": "primary", "file": n, "notify": ["s"], "transfer": ["s"]} for n in names]})
        feeder.start()
    t.start()
    for n in names:
        if state not in ("missing", "empty"):
            wait_until(lambda n=n: t.ask(n, "SOA", key=keyring()).answer, what=f"{n} to be there")
    if state == "expired":
        feeder.kill()
        for n in names:
            wait_until(lambda n=n: t.ask(n, "SOA", key=keyring()).rcode() == dns.rcode.SERVFAIL, what=f"{n} to expire")
    return t


STATES = ["loaded", "missing", "secondary", "expired", "empty"]
PAIRS = [(["hidden", "example"], ["nobody", "example"]), (["child", "public", "example"], ["xhild", "public", "example"])]


@pytest.mark.parametrize("state", STATES)
def test_hidden_zone_is_a_stranger_octet_for_octet(lab, soak, state, tell):
    t = hidden_lab(lab, state)
    rng = random.Random(20261122)
    compared = 0
    counts = [7000, 2000, 700, 300] if state == "loaded" else [500, 100, 100, 50]
    for count, (tcp, pair_names) in zip(counts, [(False, PAIRS[0]), (True, PAIRS[0]), (False, PAIRS[1]), (True, PAIRS[1])]):
        asker = Asker(t, tcp)
        for _ in range(count * (10 if soak else 1)):
            pair = random_pair(rng, *pair_names)
            answers = asker.ask(pair)
            seen = [[without_name(a, m[1]) for a in answers.get(n, [])] for n, m in enumerate(pair)]
            assert seen[0] == seen[1], (tcp, b"".join(pair[0]).hex(), [a.hex() for a in seen[0]], [a.hex() for a in seen[1]])
            assert b"here" not in b"".join(seen[0])
            compared += 1
        asker.close()
    tell(f"{compared} pairs equal")
    if state in ("loaded", "secondary"):
        assert t.ask("hidden.example", "SOA", key=keyring()).answer, "whoever has the key is no stranger"
        assert not t.ask("hidden.example", "SOA").answer


STRANGE = {
    "unknown-key": (LOOPBACK, keyring(name="other.example.")),
    "wrong-secret": (LOOPBACK, keyring(secret="d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc=")),
    "wrong-algorithm": (LOOPBACK, keyring(algorithm="hmac-sha512.")),
    "known-key-from-elsewhere": ("127.0.0.2", keyring()),
}


def ask_signed(t, tcp, source, wire):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(SECONDS)
        s.bind((source, 0))
        s.connect((t.host, t.port))
        if not tcp:
            s.send(wire)
            return s.recv(65535)
        s.sendall(struct.pack("!H", len(wire)) + wire)
        f = s.makefile("rb")
        return f.read(struct.unpack("!H", f.read(2))[0])


def shape(t, tcp, source, key, name, rdtype, opcode):
    q = dns.message.make_query(name, rdtype, use_edns=0, id=7)
    q.set_opcode(opcode)
    q.use_tsig(key)
    answer = ask_signed(t, tcp, source, q.to_wire())
    r = dns.message.from_wire(answer, keyring=None, ignore_trailing=True, continue_on_error=True)
    return len(answer), r.rcode(), r.flags, [len(s) for s in r.sections[1:]], r.tsig_error if r.had_tsig else None


@pytest.mark.parametrize("state", STATES)
def test_hidden_zone_with_strange_signatures(lab, state):
    """Signed with an unknown key, with a known one and another secret, or from an address that is not its peer's: the same as for a
    name outside."""
    t = hidden_lab(lab, state)
    for tcp, (source, key), rdtype, opcode in itertools.product(
            (False, True), STRANGE.values(), ("SOA", "A", "AXFR", "IXFR", "DS"), (dns.opcode.QUERY, dns.opcode.NOTIFY, dns.opcode.UPDATE)):
        ours, other = (shape(t, tcp, source, key, name, rdtype, opcode) for name in ("hidden.example.", "nobody.example."))
        assert ours == other, (tcp, source, rdtype, opcode)


def test_strangers_drop_answers_nothing_at_all(lab):
    t = hidden_lab(lab, strangers="drop")
    rng = random.Random(7)
    for tcp in (False, True):
        asker = Asker(t, tcp)
        for _ in range(300):
            pair = random_pair(rng, *PAIRS[0])
            answers = asker.ask(pair[:1])
            if answers and pair[0][1][-2:] == b"\0\1":  # what is malformed or has an unknown opcode is so for every name
                assert answers[0][0][3] & 15 in (dns.rcode.FORMERR, dns.rcode.NOTIMP, 0), (tcp, b"".join(pair[0]).hex(), answers)
                assert answers[0][0][6:8] == b"\0\0"
        asker.close()
