"""Hostile input over UDP and TCP: each case of the table gets the answer that the RFCs give it (or none, where none is due), and
after each an ordinary question is answered on the same socket. Messages are made and read by hand: no library would write them."""
import base64
import hashlib
import hmac
import itertools
import multiprocessing
import os
import pathlib
import random
import socket
import struct
import time

import pytest

import harness
from harness import KEY, SECRET, Tandem, simple_zone, wait_until

QUERY, IQUERY, STATUS, NOTIFY, UPDATE = 0, 1, 2, 4, 5
A, NS, SOA, TXT, OPT, IXFR, TSIG, TKEY, AXFR, ANY = 1, 2, 6, 16, 41, 251, 250, 249, 252, 255
IN, CH, HS, NONE_CLASS, ANY_CLASS = 1, 3, 4, 254, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH, BADVERS = 0, 1, 2, 3, 4, 5, 9, 16
BADSIG, BADKEY, BADTIME = 16, 17, 18
NSID, EXPIRE, COOKIE, KEEPALIVE, EDE = 3, 9, 10, 11, 15
CASE_ID, ORDINARY_ID = 0x4A4B, 0x0101
RD, AA, TC, RA, Z, AD, CD = 0x0100, 0x0400, 0x0200, 0x0080, 0x0040, 0x0020, 0x0010
DO = 0x8000
WAIT_S = 20.0


# ---- writing ----


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def header(qd=1, an=0, ns=0, ar=0, opcode=QUERY, flags=0, ident=CASE_ID):
    return struct.pack("!6H", ident, opcode << 11 | flags, qd, an, ns, ar)


def question(owner="www.example.com", qtype=A, qclass=IN):
    return (owner if isinstance(owner, bytes) else name(owner)) + struct.pack("!2H", qtype, qclass)


def record(owner, rtype, rclass, ttl, rdata, size=None):
    owner = owner if isinstance(owner, bytes) else name(owner)
    return owner + struct.pack("!2HIH", rtype, rclass, ttl, len(rdata) if size is None else size) + rdata


def opt(options=b"", udp=1232, version=0, flags=0, owner=b"\0", size=None):
    return record(owner, OPT, udp, version << 16 | flags, options, size)


def option(code, value=b"", size=None):
    return struct.pack("!2H", code, len(value) if size is None else size) + value


def soa_record(owner="example.com", serial=1):
    return record(owner, SOA, IN, 0, name("ns1." + owner) + name("hostmaster." + owner) + struct.pack("!5I", serial, 1, 1, 1, 1))


def ask(*more, **kw):
    """An ordinary question with more behind it."""
    return header(**kw) + question() + b"".join(more)


ORDINARY = header(ident=ORDINARY_ID) + question()


def tsig_variables(algorithm, when, fudge=300, error=0, other=b"", key=KEY):
    when48 = struct.pack("!Q", when)[2:]
    return (name(key) + struct.pack("!HI", ANY_CLASS, 0) + name(algorithm) + when48 + struct.pack("!3H", fudge, error, len(other)) + other)


def tsig(message, key=KEY, algorithm="hmac-sha256", secret=SECRET, when=None, fudge=300, mac=None, cut=None, rclass=ANY_CLASS, ttl=0,
         tail=b"", mac_size=None):
    """The TSIG record for a message; its additional count is not yet raised."""
    when = int(time.time()) if when is None else when
    if mac is None:
        mac = hmac.new(base64.b64decode(secret), message + tsig_variables(algorithm, when, fudge, key=key), hashlib.sha256).digest()
    mac = mac[:cut]
    rdata = (name(algorithm) + struct.pack("!Q", when)[2:] + struct.pack("!2H", fudge, len(mac) if mac_size is None else mac_size) + mac
             + message[:2] + struct.pack("!2H", 0, 0) + tail)
    return record(key, TSIG, rclass, ttl, rdata)


def counted(message, record_, section=3):
    """The record behind the message, counted in a section."""
    at = 4 + 2 * section
    count = struct.unpack("!H", message[at:at + 2])[0] + 1
    return message[:at] + struct.pack("!H", count) + message[at + 2:] + record_


def signed(message, **kw):
    return counted(message, tsig(message, **kw))


# ---- reading ----


class Malformed(Exception):
    pass


class Message:
    """A response taken apart; raises Malformed for whatever is not exactly a message."""

    def __init__(self, wire):
        if len(wire) < 12:
            raise Malformed("shorter than a header")
        self.wire, self.at = wire, 12
        self.ident, self.flags, *counts = struct.unpack("!6H", wire[:12])
        self.opcode = self.flags >> 11 & 15
        self.questions = []
        for _ in range(counts[0]):
            start = self.at
            self.skip_name()
            self.take(4)
            self.questions.append(wire[start:self.at])
        self.sections = [[self.read_record() for _ in range(n)] for n in counts[1:]]
        if self.at != len(wire):
            raise Malformed("garbage behind the last record")
        opts = [r for r in self.sections[2] if r[1] == OPT]
        if len(opts) > 1 or any(r[1] == OPT for s in self.sections[:2] for r in s):
            raise Malformed("OPT more than once or in the wrong section")
        self.opt = opts[0] if opts else None
        self.rcode = (self.flags & 15) | (self.opt[3] >> 24 << 4 if self.opt else 0)
        self.tsig = self.sections[2][-1] if self.sections[2] and self.sections[2][-1][1] == TSIG else None

    def take(self, n):
        if self.at + n > len(self.wire):
            raise Malformed("runs over the end")
        self.at += n
        return self.wire[self.at - n:self.at]

    def skip_name(self):
        while True:
            n = self.take(1)[0]
            if n == 0:
                return
            if n >= 0xC0:
                target = (n & 0x3F) << 8 | self.take(1)[0]
                if target >= self.at - 2:
                    raise Malformed("a pointer that aims forwards")
                return
            if n > 63:
                raise Malformed("a label over 63 octets")
            self.take(n)

    def read_record(self):
        start = self.at
        self.skip_name()
        rtype, rclass, ttl, size = struct.unpack("!2HIH", self.take(10))
        return start, rtype, rclass, ttl, self.take(size)

    def options(self):
        out, rdata = {}, self.opt[4] if self.opt else b""
        while rdata:
            code, n = struct.unpack("!2H", rdata[:4])
            out[code], rdata = rdata[4:4 + n], rdata[4 + n:]
        return out

    def tsig_fields(self):
        rdata = self.tsig[4]
        at = rdata.index(b"\0") + 1
        when = int.from_bytes(rdata[at:at + 6], "big")
        fudge, mac_size = struct.unpack("!2H", rdata[at + 6:at + 10])
        mac = rdata[at + 10:at + 10 + mac_size]
        ident, error, other_size = struct.unpack("!3H", rdata[at + 10 + mac_size:at + 16 + mac_size])
        return {"when": when, "fudge": fudge, "mac": mac, "ident": ident, "error": error, "other": rdata[at + 16 + mac_size:], "other_size": other_size}


def request_question(wire):
    """The octets of a request's first question if it can be read."""
    at = 12
    while at < len(wire) and wire[at]:
        if wire[at] > 63:
            return None
        at += wire[at] + 1
    return wire[12:at + 5] if at + 5 <= len(wire) else None


def check_form(request, response):
    """What holds for every response whatever was asked."""
    m = Message(response)
    flags = struct.unpack("!H", request[2:4])[0]
    assert m.ident == CASE_ID and m.flags & 0x8000 and m.opcode == flags >> 11 & 15
    assert not m.flags & (RA | Z | AD), "flags that we never set"
    assert m.flags & RD == flags & RD, "RD is copied"
    assert m.flags & CD == flags & CD or is_transfer(request), "CD is copied"  # but in transfers, RFC 5936 §2.2.1
    assert len(m.questions) <= 1 and (not m.questions or m.questions[0] == request_question(request)), "the question is echoed as it came"
    if m.opt:
        assert response[m.opt[0]] == 0 and m.opt[3] >> 16 & 0xFF == 0, "OPT of the root and of version 0"
        assert m.opt[3] & 0x7FFF == 0, "flags of OPT that nobody defined"
        assert m.opt[2] >= 512
    return m


# ---- cases ----


class Case:
    """`want`: the rcode, several that are all right, or None for no answer. `has_opt`: whether OPT must, must not (None: may) be
    there. `check` looks further at the response. `tcp` is what is wanted over TCP where that differs."""

    def __init__(self, label, wire, want, has_opt=None, check=None, tcp=False):
        self.label, self.make, self.has_opt, self.check = label, wire if callable(wire) else lambda: wire, has_opt, check
        self.want = {"udp": want, "tcp": want if tcp is False else tcp}


def answers_count(n):
    def check(m, request):
        assert len(m.sections[0]) == n
    return check


def no_question(m, request):
    assert not m.questions


def echoed(m, request):
    assert m.questions


def has_option(code, present=True):
    def check(m, request):
        assert (code in m.options()) == present
    return check


def whole_or_truncated(m, request):
    assert bool(m.flags & TC) == (len(m.sections[0]) < 250)


def do_is(value):
    def check(m, request):
        assert bool(m.opt[3] & DO) == value
    return check


def tsig_error(error):
    """RFC 8945 §5.2: BADKEY and BADSIG go unsigned, BADTIME signed and with our time."""
    def check(m, request):
        assert m.tsig, "a TSIG record says what is wrong"
        t = m.tsig_fields()
        assert t["error"] == error and t["ident"] == CASE_ID
        if error == BADTIME:
            assert abs(int.from_bytes(t["other"], "big") - time.time()) < 60 and t["other_size"] == 6
            check_mac(m, request)
        else:
            assert t["mac"] == b"" and t["other"] == b""
    return check


def check_mac(m, request):
    """RFC 8945 §4.2: over the request's MAC, the response, and the variables."""
    asked = Message(request).tsig_fields()["mac"]
    t, at = m.tsig_fields(), m.tsig[0]
    head = m.wire[:10] + struct.pack("!H", struct.unpack("!H", m.wire[10:12])[0] - 1)
    digest = (struct.pack("!H", len(asked)) + asked + head + m.wire[12:at]
              + tsig_variables("hmac-sha256", t["when"], t["fudge"], t["error"], t["other"]))
    assert hmac.compare_digest(t["mac"], hmac.new(base64.b64decode(SECRET), digest, hashlib.sha256).digest())


def no_tsig(m, request):
    assert not m.tsig


def header_cases():
    whole = header() + question()
    for n in range(12):
        yield Case(f"{n} octets", whole[:n], None)
    yield Case("header alone", header(qd=0), FORMERR, False, no_question)
    yield Case("header that promises a question", header(), FORMERR, False, no_question)
    yield Case("header that promises 65535 of everything", header(0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), FORMERR)
    for n in range(13, len(whole)):
        yield Case(f"question cut at {n}", whole[:n], FORMERR, False, no_question)
    for opcode in range(16):
        yield Case(f"a response, opcode {opcode}", header(opcode=opcode, flags=0x8000) + question(), None)
    yield Case("a response that is malformed", header(qd=7, flags=0x8000), None)
    for label, flags in {"RD": RD, "AA": AA, "TC": TC, "RA": RA, "Z": Z, "AD": AD, "CD": CD, "all flags": 0x07F0, "rcode 15": 15}.items():
        yield Case(f"query with {label}", header(flags=flags) + question(), NOERROR, False, answers_count(1))


def opcode_cases():
    for opcode in [IQUERY, STATUS, 3, *range(6, 16)]:
        yield Case(f"opcode {opcode}, header alone", header(qd=0, opcode=opcode), NOTIMP, False, no_question)
        yield Case(f"opcode {opcode}, question", header(opcode=opcode) + question(), NOTIMP, False)
        yield Case(f"opcode {opcode}, OPT", header(opcode=opcode, ar=1) + question() + opt(), NOTIMP, True)
        yield Case(f"opcode {opcode}, no question, OPT", header(qd=0, opcode=opcode, ar=1) + opt(), NOTIMP)
        yield Case(f"opcode {opcode}, body of another shape", header(9, 9, 9, 9, opcode=opcode) + bytes(range(64, 104)), NOTIMP, False)
    yield Case("IQUERY with an answer", header(0, 1, opcode=IQUERY) + record("", A, IN, 0, b"\x7f\0\0\1"), NOTIMP)
    yield Case("DSO with a keepalive TLV", header(0, opcode=6) + struct.pack("!2H2I", 1, 8, 1000, 1000), NOTIMP, False)


def question_cases():
    yield Case("QDCOUNT 0 with a question behind", header(qd=0) + question(), FORMERR)
    yield Case("QDCOUNT 0 with OPT", header(qd=0, ar=1) + opt(), FORMERR, True)
    yield Case("two questions", header(qd=2) + question() + question("ns1.example.com"), FORMERR)
    yield Case("the same question twice", header(qd=2) + question() * 2, FORMERR)
    yield Case("QDCOUNT 2 with one question", header(qd=2) + question(), FORMERR)
    yield Case("QDCOUNT 65535", header(qd=0xFFFF) + question() * 50, FORMERR)
    for label, octets in {
        "pointer to the header": b"\xC0\x00", "pointer into the header": b"\xC0\x05", "pointer to itself": b"\xC0\x0C",
        "pointer forward": b"\xC0\x10", "pointer past the end": b"\xFF\xFF", "pointer behind a label into it": b"\x03www\xC0\x0C",
        "label then a pointer to the header": b"\x03www\xC0\x00", "half a pointer": b"\xC0",
    }.items():
        yield Case(f"question's name: {label}", header() + question(octets), FORMERR, False)
    for first in (0x40, 0x41, 0x7F, 0x80, 0xBF):
        yield Case(f"question's name: label type {first:#x}", header() + question(bytes([first]) + b"x" * 70 + b"\0"), FORMERR, False)
    yield Case("label of 63", header() + question("x" * 63 + ".example.com"), NXDOMAIN, False, echoed)
    longest = b"\x3f" + b"x" * 63
    tail = name("example.com")
    of255 = longest * 3 + bytes([255 - 192 - len(tail) - 1]) + b"y" * (255 - 192 - len(tail) - 1) + tail
    assert len(of255) == 255
    yield Case("name of 255", header() + question(of255), NXDOMAIN, False, echoed)
    of256 = longest * 3 + bytes([256 - 192 - len(tail) - 1]) + b"y" * (256 - 192 - len(tail) - 1) + tail
    yield Case("name of 256", header() + question(of256), FORMERR, False)
    yield Case("name of 1000", header() + question(longest * 15 + tail), FORMERR, False)
    yield Case("name of 127 labels", header() + question(b"\1a" * 127 + b"\0"), REFUSED, False, echoed)
    yield Case("name of 128 labels", header() + question(b"\1a" * 128 + b"\0"), FORMERR, False)
    yield Case("name of labels without end", header() + b"\1a" * 240, FORMERR, False)
    yield Case("name of all octets", header() + question(b"\x20" + bytes(range(32)) + tail), NXDOMAIN, False, echoed)
    yield Case("name with dots and zeros in labels", header() + question(b"\3.\0." + tail), NXDOMAIN, False, echoed)
    yield Case("the root", header() + question(b"\0", NS), REFUSED, False, echoed)
    yield Case("mixed case", header() + question("wWw.eXAMPLE.cOm"), NOERROR, False, answers_count(1))


def class_and_type_cases():
    for qclass in (0, 2, CH, HS, 5, NONE_CLASS, ANY_CLASS, 256, 0xFFFF):
        yield Case(f"class {qclass}", header() + question(qclass=qclass), REFUSED, False, answers_count(0))
        yield Case(f"class {qclass} with OPT", header(ar=1) + question(qclass=qclass) + opt(), REFUSED, True)
    yield Case("AXFR of class CH", header() + question("example.com", AXFR, CH), REFUSED)
    yield Case("CH TXT id.server", header() + question("id.server", TXT, CH), NOERROR, False, answers_count(1))
    for qtype in (0, 3, 100, 65280, 0xFFFF):
        yield Case(f"type {qtype}", header() + question(qtype=qtype), NOERROR, False, answers_count(0))
    for qtype in (OPT, TSIG):
        yield Case(f"question of type {qtype}", header() + question(qtype=qtype), FORMERR)
    for qtype in (TKEY, 253, 254):
        yield Case(f"question of type {qtype}", header() + question(qtype=qtype), (NOTIMP, NOERROR, REFUSED))
    yield Case("ANY", header() + question(qtype=ANY), NOERROR, False)


def section_cases():
    extra = record("www.example.com", A, IN, 60, b"\x7f\0\0\1")
    pointed = record(b"\xC0\x0C", A, IN, 60, b"\x7f\0\0\1")
    either = (NOERROR, FORMERR)  # records nobody asked for: RFC 1035 neither allows nor forbids them
    for n, section in enumerate(("answer", "authority", "additional")):
        counts = [0, 0, 0]
        counts[n] = 1
        yield Case(f"a record in {section}", ask(extra, an=counts[0], ns=counts[1], ar=counts[2]), either)
        yield Case(f"a record with a pointer in {section}", ask(pointed, an=counts[0], ns=counts[1], ar=counts[2]), either)
        yield Case(f"{section} promised and not there", ask(an=counts[0], ns=counts[1], ar=counts[2]), FORMERR)
        yield Case(f"{section} cut in the owner", ask(extra[:5], an=counts[0], ns=counts[1], ar=counts[2]), FORMERR)
        yield Case(f"{section} cut in the fields", ask(extra[:-6], an=counts[0], ns=counts[1], ar=counts[2]), FORMERR)
        yield Case(f"{section} cut in the RDATA", ask(extra[:-1], an=counts[0], ns=counts[1], ar=counts[2]), FORMERR)
        for label, owner in {"itself": b"\xC0\x21", "forward": b"\xC0\x30", "past the end": b"\xFF\xFF"}.items():
            yield Case(f"owner in {section} points {label}", ask(record(owner, A, IN, 0, b"\x7f\0\0\1"), an=counts[0], ns=counts[1], ar=counts[2]), FORMERR)
    yield Case("65535 records promised", ask(extra, ar=0xFFFF), FORMERR)
    yield Case("one octet of garbage", ask(b"\0"), FORMERR)
    yield Case("garbage that looks like a record", ask(extra), FORMERR)
    yield Case("garbage behind OPT", ask(opt(), b"\xDE\xAD", ar=1), FORMERR)
    yield Case("400 octets of garbage", ask(b"\xAA" * 400), FORMERR)
    yield Case("pointers that chase each other", ask(record(b"\xC0\x23", A, IN, 0, b""), record(b"\xC0\x21", A, IN, 0, b""), ar=2), FORMERR)


def opt_cases():
    yield Case("OPT", ask(opt(), ar=1), NOERROR, True, answers_count(1))
    yield Case("OPT with DO", ask(opt(flags=DO), ar=1), NOERROR, True, do_is(True))
    yield Case("OPT with all flags", ask(opt(flags=0xFFFF), ar=1), NOERROR, True, do_is(True))
    yield Case("OPT with all flags but DO", ask(opt(flags=0x7FFF), ar=1), NOERROR, True, do_is(False))
    yield Case("OPT with extended rcode bits", ask(record(b"\0", OPT, 1232, 0xAB000000, b""), ar=1), NOERROR, True)
    yield Case("OPT twice", ask(opt(), opt(), ar=2), FORMERR)
    yield Case("OPT three times", ask(opt(), opt(udp=512), opt(flags=DO), ar=3), FORMERR)
    yield Case("OPT in answer", ask(opt(), an=1), FORMERR)
    yield Case("OPT in authority", ask(opt(), ns=1), FORMERR)
    yield Case("OPT owned by a name", ask(opt(owner=name("example.com")), ar=1), FORMERR)
    yield Case("OPT owned by a pointer", ask(opt(owner=b"\xC0\x0C"), ar=1), FORMERR)
    for version in (1, 2, 255):
        yield Case(f"OPT version {version}", ask(opt(version=version), ar=1), BADVERS, True, answers_count(0))
        yield Case(f"OPT version {version} with DO", ask(opt(version=version, flags=DO), ar=1), BADVERS, True)
        yield Case(f"OPT version {version} with options of another shape", ask(opt(b"\1\2\3", version=version), ar=1), BADVERS, True)
        yield Case(f"OPT version {version}, no question", header(qd=0, ar=1) + opt(version=version), (BADVERS, FORMERR))
        yield Case(f"OPT version {version}, name outside", header(ar=1) + question("a.invalid") + opt(version=version), BADVERS, True)
    for udp in (0, 1, 511, 512, 513, 1232, 4096, 0xFFFF):
        yield Case(f"OPT of payload size {udp}", ask(opt(udp=udp), ar=1), NOERROR, True)
        large = header(ar=1) + question("large.example.com", TXT) + opt(udp=udp)
        yield Case(f"large answer at payload size {udp}", large, NOERROR, True, whole_or_truncated)
    yield Case("large answer without OPT", header() + question("large.example.com", TXT), NOERROR, False, whole_or_truncated)
    for code in (0, 4, 5, 6, 7, 13, 14, 16, 17, 20, 100, 26946, 65001, 0xFFFF):
        yield Case(f"option {code}", ask(opt(option(code, b"abc")), ar=1), NOERROR, True, has_option(code, False))
    yield Case("100 unknown options", ask(opt(option(65001, b"x") * 100), ar=1), NOERROR, True, answers_count(1))
    yield Case("unknown option of 400 octets", ask(opt(option(65001, b"x" * 400)), ar=1), NOERROR, True, answers_count(1))
    yield Case("option length past the end", ask(opt(option(65001, b"abc", size=4)), ar=1), FORMERR)
    yield Case("option length 65535", ask(opt(option(65001, b"abc", size=0xFFFF)), ar=1), FORMERR)
    for n in (1, 2, 3):
        yield Case(f"{n} octets of an option", ask(opt(option(65001)[:n]), ar=1), FORMERR)
    yield Case("OPT longer than the message", ask(opt(size=10), ar=1), FORMERR)
    yield Case("OPT shorter than its options", ask(opt(option(65001, b"abc"), size=4), ar=1), FORMERR)
    yield Case("OPT cut", ask(opt()[:-1], ar=1), FORMERR)
    yield Case("OPT behind another record", ask(record("a.b", A, IN, 0, b"\x7f\0\0\1"), opt(), ar=2), (NOERROR, FORMERR))
    yield Case("NSID", ask(opt(option(NSID)), ar=1), NOERROR, True, has_option(NSID))
    yield Case("NSID with content", ask(opt(option(NSID, b"junk")), ar=1), (NOERROR, FORMERR), True)
    yield Case("NSID asked by nobody", ask(opt(), ar=1), NOERROR, True, has_option(NSID, False))
    for n in (8, 16, 24, 40):
        yield Case(f"cookie of {n}", ask(opt(option(COOKIE, b"c" * n)), ar=1), NOERROR, True, answers_count(1))
    for n in (0, 1, 7, 9, 15, 41):
        yield Case(f"cookie of {n}", ask(opt(option(COOKIE, b"c" * n)), ar=1), FORMERR)
    yield Case("cookie without a question", header(qd=0, ar=1) + opt(option(COOKIE, b"c" * 8)), (NOERROR, FORMERR), True)
    yield Case("keepalive", ask(opt(option(KEEPALIVE)), ar=1), NOERROR, True)
    yield Case("EXPIRE for another type", ask(opt(option(EXPIRE)), ar=1), NOERROR, True, has_option(EXPIRE, False))
    yield Case("client subnet that is malformed", ask(opt(option(8, b"\0")), ar=1), (NOERROR, FORMERR), True)


def tsig_cases():
    plain = header() + question("example.com", SOA)
    old = int(time.time()) - 10000
    yield Case("signed", lambda: signed(plain), NOERROR, False, check_mac)
    yield Case("signed, with OPT", lambda: signed(counted(plain, opt())), NOERROR, True, check_mac)
    yield Case("signed, name outside", lambda: signed(header() + question("a.invalid")), REFUSED, False, check_mac)
    yield Case("signed, no question", lambda: signed(header(qd=0)), FORMERR, False, check_mac)
    yield Case("signed, version 1", lambda: signed(counted(plain, opt(version=1))), BADVERS, True)
    yield Case("signed, opcode 9", lambda: signed(header(opcode=9) + question()), NOTIMP)
    yield Case("signed with half a MAC", lambda: signed(plain, cut=16), NOERROR, False, check_mac)
    yield Case("signed with a MAC too short", lambda: signed(plain, cut=15), FORMERR)
    yield Case("signed with a MAC of 9", lambda: signed(plain, cut=9), FORMERR)
    yield Case("signed with no MAC", lambda: signed(plain, mac=b""), (FORMERR, NOTAUTH))
    yield Case("signed with a MAC too long", lambda: signed(plain, mac=b"m" * 33), FORMERR)
    yield Case("wrong MAC", lambda: signed(plain, mac=b"m" * 32), NOTAUTH, False, tsig_error(BADSIG))
    yield Case("signed for another question", lambda: counted(plain, tsig(header() + question())), NOTAUTH, False, tsig_error(BADSIG))
    yield Case("unknown key", lambda: signed(plain, key="nobody.example."), NOTAUTH, False, tsig_error(BADKEY))
    yield Case("key of another algorithm", lambda: signed(plain, algorithm="hmac-sha512"), NOTAUTH, False, tsig_error(BADKEY))
    yield Case("unknown algorithm", lambda: signed(plain, algorithm="rot13"), NOTAUTH, False, tsig_error(BADKEY))
    yield Case("signed long ago", lambda: signed(plain, when=old), NOTAUTH, False, tsig_error(BADTIME))
    yield Case("signed in the future", lambda: signed(plain, when=int(time.time()) + 10000), NOTAUTH, False, tsig_error(BADTIME))
    yield Case("signed at the end of time", lambda: signed(plain, when=2**48 - 1), NOTAUTH, False, tsig_error(BADTIME))
    yield Case("signed long ago with a wrong MAC", lambda: signed(plain, when=old, mac=b"m" * 32), NOTAUTH, False, tsig_error(BADSIG))
    yield Case("TSIG of class IN", lambda: signed(plain, rclass=IN), FORMERR, False, no_tsig)
    yield Case("TSIG with a TTL", lambda: signed(plain, ttl=1), FORMERR, False, no_tsig)
    yield Case("TSIG with a tail", lambda: signed(plain, tail=b"x"), FORMERR, False, no_tsig)
    yield Case("TSIG with a MAC past the end", lambda: signed(plain, mac_size=999), FORMERR, False, no_tsig)
    yield Case("TSIG twice", lambda: signed(signed(plain)), FORMERR, False, no_tsig)
    yield Case("TSIG before OPT", lambda: counted(signed(plain), opt()), FORMERR, None, no_tsig)
    yield Case("TSIG in answer", lambda: counted(plain, tsig(plain), section=1), FORMERR, False, no_tsig)
    yield Case("TSIG in authority", lambda: counted(plain, tsig(plain), section=2), FORMERR, False, no_tsig)
    yield Case("TSIG without RDATA", counted(plain, record(KEY, TSIG, ANY_CLASS, 0, b"")), FORMERR, False, no_tsig)
    yield Case("TSIG with an endless algorithm", counted(plain, record(KEY, TSIG, ANY_CLASS, 0, b"\x3f" + b"x" * 30)), FORMERR, False, no_tsig)
    yield Case("garbage behind TSIG", lambda: signed(plain) + b"x", FORMERR, False)


def transfer_cases():
    axfr, ixfr = header() + question("example.com", AXFR), question("example.com", IXFR)
    no_such_thing = (NOTIMP, FORMERR, REFUSED)  # RFC 5936 §4.2 knows no AXFR over UDP
    yield Case("AXFR", axfr, no_such_thing, False, tcp=NOERROR)
    yield Case("AXFR of a name inside", header() + question("www.example.com", AXFR), no_such_thing, tcp=NOTAUTH)
    yield Case("AXFR of a name outside", header() + question("a.invalid", AXFR), no_such_thing, tcp=NOTAUTH)
    yield Case("AXFR with a cut record behind", axfr[:11] + b"\1" + axfr[12:] + b"\0", FORMERR)
    yield Case("IXFR without SOA", header() + ixfr, FORMERR)
    lenient = (FORMERR, NOERROR)  # the answer over UDP is our SOA whatever the client has
    yield Case("IXFR with NS for SOA", header(ns=1) + ixfr + record("example.com", NS, IN, 0, name("ns1.example.com")), lenient, tcp=FORMERR)
    yield Case("IXFR with a SOA that is cut", header(ns=1) + ixfr + record("example.com", SOA, IN, 0, b"\0\0abc"), lenient, tcp=FORMERR)
    yield Case("IXFR with SOA", header(ns=1) + ixfr + soa_record(), NOERROR)
    yield Case("IXFR from a later serial", header(ns=1) + ixfr + soa_record(serial=9), NOERROR)
    yield Case("IXFR of class CH", header(ns=1) + question("example.com", IXFR, CH) + soa_record(), REFUSED)


def notify_and_update_cases():
    def message(opcode, body, qd=1, an=0, ns=0, ar=0):
        return header(qd, an, ns, ar, opcode=opcode) + body
    zone = question("example.com", SOA)
    for opcode, label in ((NOTIFY, "NOTIFY"), (UPDATE, "UPDATE")):
        yield Case(f"{label}, header alone", message(opcode, b"", 0), FORMERR)
        yield Case(f"{label}, question promised", message(opcode, b""), FORMERR)
        yield Case(f"{label}, question cut", message(opcode, zone[:-3]), FORMERR)
        yield Case(f"{label}, two zones", message(opcode, zone * 2, 2), FORMERR)
        yield Case(f"{label} of type A", message(opcode, question("example.com", A)), FORMERR)
        yield Case(f"{label} of class CH", message(opcode, question("example.com", SOA, CH)), (REFUSED, NOTAUTH, FORMERR))
        yield Case(f"{label} of a zone elsewhere", message(opcode, question("a.invalid", SOA)), NOTAUTH)
        yield Case(f"{label} of a name inside", message(opcode, question("www.example.com", SOA)), NOTAUTH)
        yield Case(f"{label}, garbage behind", message(opcode, zone + b"junk"), FORMERR)
        yield Case(f"{label}, record promised", message(opcode, zone, an=1), FORMERR)
        yield Case(f"{label}, record cut", message(opcode, zone + soa_record()[:-2], an=1), FORMERR)
    yield Case("NOTIFY from a stranger", message(NOTIFY, zone), (REFUSED, NOTAUTH))
    yield Case("UPDATE from a stranger", message(UPDATE, zone), (REFUSED, NOTAUTH, NOTIMP))
    yield Case("UPDATE that adds a record", message(UPDATE, zone + record("new.example.com", A, IN, 60, b"\x7f\0\0\1"), ns=1), (REFUSED, NOTAUTH, NOTIMP))
    yield Case("NOTIFY from the primary", message(NOTIFY, question("second.example", SOA)), NOERROR, False, answers_count(0))
    yield Case("NOTIFY with a SOA", message(NOTIFY, question("second.example", SOA) + soa_record("second.example", 7), an=1), NOERROR, False)
    yield Case("NOTIFY with a SOA of another zone", message(NOTIFY, question("second.example", SOA) + soa_record("other.example"), an=1), (NOERROR, FORMERR))
    yield Case("NOTIFY with a SOA that is malformed", message(NOTIFY, question("second.example", SOA) + record("second.example", SOA, IN, 0, b"\0\0"), an=1), (NOERROR, FORMERR))


def size_cases():
    for n in (1233, 4000, 4096, 4097, 8000, 60000):
        filled = n - len(ask(opt(option(65001))))
        yield Case(f"{n} octets with one long option", ask(opt(option(65001, b"x" * filled)), ar=1), (NOERROR, FORMERR) if n > 4096 else NOERROR, tcp=NOERROR)
        yield Case(f"{n} octets of garbage", ask(b"\xAA" * (n - len(ask()))), FORMERR)


CASES = list(itertools.chain(header_cases(), opcode_cases(), question_cases(), class_and_type_cases(), section_cases(), opt_cases(),
                             tsig_cases(), transfer_cases(), notify_and_update_cases(), size_cases()))
LARGE = "".join(f'large 300 IN TXT "{n:03} {"x" * 200}"\n' for n in range(250))  # an answer of more than 50,000 octets


def hostile_server(directory, more=""):
    t = Tandem(directory, {
        "server": {"identity": "hostile"},
        "keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}],
        "peers": [{"name": "primary", "address": "127.0.0.1@1"}],
        "zones": [{"name": "example.com", "role": "primary", "file": "zone", "transfer": "any"},
                  {"name": "second.example", "role": "secondary", "primaries": ["primary"]}]})
    t.file("zone", simple_zone("example.com.", extra=LARGE.replace("large", "large.example.com.") + more))
    t.start().wait_answer("example.com")
    return t


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    t = hostile_server(tmp_path_factory.mktemp("hostile") / "tandem")
    yield t
    t.stop()


class Udp:
    """Sends a case and an ordinary question behind it: what is not answered before that one is not answered at all."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((server.host, server.port))
        self.socket.settimeout(WAIT_S)

    def exchange(self, wire):
        """(answers to the case, answer to the ordinary question)"""
        self.socket.send(wire)
        self.socket.send(ORDINARY)
        got = []
        while True:
            got.append(self.socket.recv(65535))
            if got[-1][:2] == ORDINARY[:2]:
                return got[:-1], got[-1]

    def close(self):
        self.socket.close()


class Tcp:
    """The same on one connection; a new one goes on where the server closes. A transfer may go on behind the ordinary answer."""

    def __init__(self, server):
        self.server = server
        self.socket = connect(server)

    def exchange(self, wire):
        send_frames(self.socket, wire, ORDINARY)
        got, ordinary = [], None
        while not ordinary or (not got and is_transfer(wire)):
            frame = read_frame(self.socket)
            if frame is None:
                self.renew()
                send_frames(self.socket, ORDINARY)
                return got, read_frame(self.socket)
            if frame[:2] == ORDINARY[:2]:
                ordinary = frame
            else:
                got.append(frame)
        if is_transfer(wire):
            self.renew()
        return got[:1] if is_transfer(wire) else got, ordinary

    def renew(self):
        self.close()
        self.socket = connect(self.server)

    def close(self):
        self.socket.close()


def is_transfer(wire):
    return len(wire) > 2 and not wire[2] & 0x80 and (request_question(wire) or b"")[-4:-2] in (struct.pack("!H", AXFR), struct.pack("!H", IXFR))


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=WAIT_S)


def framed(*messages):
    return b"".join(struct.pack("!H", len(m)) + m for m in messages)


def send_frames(s, *messages):
    s.sendall(framed(*messages))


def read_exactly(s, n):
    out = b""
    while len(out) < n:
        data = s.recv(n - len(out))
        if not data:
            return None
        out += data
    return out


def read_frame(s):
    """None: the connection ended."""
    try:
        size = read_exactly(s, 2)
        return size and read_exactly(s, struct.unpack("!H", size)[0])
    except ConnectionError:
        return None


def judge(case, transport, request, got):
    """Raises if these answers are not what the case wants."""
    want = case.want[transport]
    if want is None:
        assert got == [], "no answer is due"
        return
    assert got, "an answer is due"
    assert len(got) == 1, "one answer, not several"
    m = check_form(request, got[0])
    assert m.rcode in (want if isinstance(want, tuple) else (want,)), f"rcode {m.rcode}"
    if case.has_opt is not None:
        assert bool(m.opt) == case.has_opt, "OPT"
    if case.check:
        case.check(m, request)
    if transport == "udp":
        assert len(got[0]) <= udp_limit(request), f"{len(got[0])} octets"


def udp_limit(request):
    """How large a response may be: RFC 1035 §4.2.1, RFC 6891 §6.2.3, and never over 1232."""
    try:
        asked = Message(request).opt
    except (Malformed, struct.error):
        return 1232
    return min(1232, max(512, asked[2])) if asked else 512


def check_ordinary(wire):
    m = Message(wire)
    assert m.ident == ORDINARY_ID and m.rcode == NOERROR and len(m.sections[0]) == 1, "the ordinary question behind it is answered"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_table(server, transport):
    """All cases; every one that fails is told."""
    client = (Udp if transport == "udp" else Tcp)(server)
    failures = []
    for case in CASES:
        request = case.make()
        try:
            got, ordinary = client.exchange(request)
            judge(case, transport, request, got)
            check_ordinary(ordinary)
        except (AssertionError, Malformed, OSError, struct.error) as e:
            failures.append(f"{case.label}: {str(e).splitlines()[0] if str(e) else type(e).__name__}; request {request[:80].hex()}")
            client.close()
            client = (Udp if transport == "udp" else Tcp)(server)
    client.close()
    print(f"{len(CASES)} cases over {transport}")
    assert not failures, f"{len(failures)} of {len(CASES)}\n" + "\n".join(failures)


def mutants(rng, count):
    """Requests with octets changed, cut off, or put in."""
    for _ in range(count):
        wire = bytearray(rng.choice(CASES).make())
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            at = rng.randrange(len(wire) + 1)
            kind = rng.randrange(4)
            if kind == 0:
                del wire[at:]
            elif kind == 1:
                wire[at:at] = rng.randbytes(rng.choice([1, 2, 11]))
            elif at < len(wire):
                wire[at] = rng.choice([0, 1, 0xC0, 0xFF, rng.randrange(256)])
        wire[:2] = struct.pack("!H", CASE_ID)[:len(wire)]
        yield bytes(wire)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_mutants_are_answered(server, soak, transport):
    """Whatever has a header and is no response gets an answer of right form."""
    client = (Udp if transport == "udp" else Tcp)(server)
    count = 500000 if soak else 5000
    failures = []
    for request in mutants(random.Random(7), count):
        due = len(request) >= 12 and not request[2] & 0x80
        try:
            got, ordinary = client.exchange(request)
            assert len(got) == due, f"{len(got)} answers"
            if due:
                check_form(request, got[0])
                assert transport == "tcp" or len(got[0]) <= 1232
            check_ordinary(ordinary)
        except (AssertionError, Malformed, OSError) as e:
            failures.append(f"{str(e).splitlines()[0] if str(e) else type(e).__name__}; request {request[:200].hex()}")
            client.close()
            client = (Udp if transport == "udp" else Tcp)(server)
    client.close()
    assert not failures, f"{len(failures)} of {count}\n" + "\n".join(failures[:20])


# ---- framing ----


def numbered(n, owner="www.example.com", qtype=A):
    return header(ident=n) + question(owner, qtype)


def check_alive(server):
    with connect(server) as s:
        send_frames(s, ORDINARY)
        check_ordinary(read_frame(s))


def read_to_end(s):
    """All frames until the server closes."""
    out = []
    while (frame := read_frame(s)) is not None:
        out.append(frame)
    return out


def test_tcp_message_of_length_0(server):
    """No message at all: the connection may end or go on, but a question behind it must not be lost on a connection that stays."""
    with connect(server) as s:
        s.sendall(b"\0\0" + framed(ORDINARY))
        frame = read_frame(s)
        if frame is not None:
            check_ordinary(frame)
    check_alive(server)


@pytest.mark.parametrize("size", [13, 100, 65535])
def test_tcp_length_beyond_the_data(server, size):
    """The client ends in the midst of a message: so does the server, without an answer to the half."""
    with connect(server) as s:
        s.sendall(framed(ORDINARY) + struct.pack("!H", size) + ORDINARY[:12])
        s.shutdown(socket.SHUT_WR)
        frames = read_to_end(s)
    assert len(frames) == 1
    check_ordinary(frames[0])
    check_alive(server)


def test_tcp_one_octet_at_a_time(server):
    with connect(server) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(3):
            for octet in framed(numbered(n)):
                s.sendall(bytes([octet]))
            m = Message(read_frame(s))
            assert m.ident == n and len(m.sections[0]) == 1


def test_tcp_messages_in_pieces_of_every_size(server):
    stream = framed(*[numbered(n) for n in range(40)])
    for size in (2, 3, 17, 31, 34, 35, 36, 100, 1000):
        with connect(server) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(stream), size):
                s.sendall(stream[at:at + size])
            assert sorted(Message(read_frame(s)).ident for _ in range(40)) == list(range(40))


def test_tcp_pipelining_of_50(server):
    """Fifty questions in one write; malformed ones among them and large answers hurt nobody."""
    questions = [numbered(n) for n in range(50)]
    questions[7] = header(qd=2, ident=7) + question()
    questions[8] = header(ident=8) + question("large.example.com", TXT)
    questions[9] = header(ident=9, opcode=13)
    with connect(server) as s:
        send_frames(s, *questions)
        got = {m.ident: m for m in (Message(read_frame(s)) for _ in range(50))}
    assert sorted(got) == list(range(50))
    assert got[7].rcode == FORMERR and got[9].rcode == NOTIMP and len(got[8].sections[0]) == 250
    assert all(m.rcode == NOERROR for n, m in got.items() if n not in (7, 9))


def test_tcp_half_closed_client_gets_its_answers(server):
    with connect(server) as s:
        send_frames(s, *[numbered(n) for n in range(20)], *[numbered(n, "large.example.com", TXT) for n in range(20, 60)])
        s.shutdown(socket.SHUT_WR)
        assert sorted(Message(f).ident for f in read_to_end(s)) == list(range(60))


def test_tcp_half_closed_client_gets_its_transfer(server):
    with connect(server) as s:
        send_frames(s, numbered(1, "example.com", AXFR), numbered(2))
        s.shutdown(socket.SHUT_WR)
        messages = [Message(f) for f in read_to_end(s)]
    records = [r for m in messages if m.ident == 1 for r in m.sections[0]]
    assert records[0][1] == records[-1][1] == SOA and len(records) == 255
    assert [m.ident for m in messages].count(2) == 1


def test_tcp_reset_in_every_state(server):
    """Connections that end by a reset, before, in and behind a message, and in a transfer."""
    for sent in (b"", b"\0", framed(ORDINARY)[:9], framed(ORDINARY), framed(numbered(1, "example.com", AXFR)) * 3):
        for _ in range(20):
            s = connect(server)
            s.sendall(sent)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    check_alive(server)
    wait_until(lambda: server.status()["counters"]["tcp-connections"] == 0, what="all connections to be gone")


# ---- slow clients ----


class SlowClients:
    """In a process of its own: `drips` connections that send one octet a second, and `deaf` ones that ask for transfers and large
    answers and never read. Those that the server ends come back."""

    def __init__(self, server, drips, deaf):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=run_slow_clients, args=(server.host, server.port, drips, deaf, other), daemon=True)
        self.process.start()
        assert self.pipe.poll(WAIT_S * 6) and self.pipe.recv() == "connected"

    def stop(self):
        """How many octets were dripped and how many connections were made."""
        self.pipe.send("stop")
        out = self.pipe.recv() if self.pipe.poll(WAIT_S * 6) else None
        self.process.join(WAIT_S)
        return out


def run_slow_clients(host, port, drips, deaf, pipe):
    drip_bytes = framed(ORDINARY)
    greedy = framed(numbered(1, "example.com", AXFR), *[numbered(n, "large.example.com", TXT) for n in range(2, 9)])
    made = sent = 0

    def connection(receive_bytes):
        nonlocal made
        made += 1
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        s.connect((host, port))
        s.setblocking(False)
        return s

    slow = [[connection(65536), 0] for _ in range(drips)]
    listless = []
    for _ in range(deaf):
        s = connection(2048)
        s.send(greedy)
        listless.append(s)
    pipe.send("connected")
    began, at = time.monotonic(), 0
    while True:  # connection k of N sends its octet at k/N of each second
        due = int((time.monotonic() - began) * drips) if drips else 0
        for _ in range(min(due - at, drips)):
            client = slow[at % drips]
            at += 1
            try:
                if client[1] == len(drip_bytes):
                    client[0].recv(512)
                    client[1] = 0
                client[0].send(drip_bytes[client[1]:client[1] + 1])
                client[1] += 1
                sent += 1
            except OSError:
                client[0].close()
                client[0], client[1] = connection(65536), 0
        if pipe.poll(0.002):
            for s in [c[0] for c in slow] + listless:
                s.close()
            pipe.send((sent, made))
            return


def is_sanitized(binary):
    with open(binary, "rb") as f:
        data = f.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def release_binary():
    """Times are measured on what users run, where that was built."""
    for path in (os.environ.get("TANDEM_RELEASE"), harness.ROOT / "build/release/src/tandem/tandem"):
        if path and pathlib.Path(path).exists():
            return str(path)
    return harness.BINARY


def ask_many(server, count):
    """Milliseconds that each of `count` questions over UDP took, and a new TCP connection every hundred."""
    udp, tcp = [], []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((server.host, server.port))
        s.settimeout(WAIT_S)
        for n in range(count):
            began = time.perf_counter()
            s.send(ORDINARY)
            wire = s.recv(4096)
            udp.append((time.perf_counter() - began) * 1000)
            if n % 100 == 0:
                check_ordinary(wire)
                began = time.perf_counter()
                check_alive(server)
                tcp.append((time.perf_counter() - began) * 1000)
    return udp, tcp


def p99(times):
    return sorted(times)[len(times) * 99 // 100]


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) / 1024


def ask_for(server, seconds):
    udp, tcp, until = [], [], time.monotonic() + seconds
    while time.monotonic() < until:
        u, t = ask_many(server, 500)
        udp, tcp = udp + u, tcp + t
    return udp, tcp


def test_slow_clients_cost_nobody_else(tmp_path, monkeypatch, soak):
    """A thousand that drip and a thousand that do not read: others do not notice, and when they are gone so is what they held."""
    binary = release_binary()
    monkeypatch.setattr(harness, "BINARY", binary)
    times = 20 if is_sanitized(binary) else 1
    server = hostile_server(tmp_path / "tandem", more="".join(f"h{n}.example.com. 300 IN AAAA 2001:db8::{n:x}\n" for n in range(20000)))
    try:
        ask_for(server, 0.5)
        quiet_udp, _ = ask_for(server, 1)
        before = memory_mib(server.pid())
        slow = SlowClients(server, 1000, 1000)
        wait_until(lambda: server.status()["counters"]["tcp-connections"] > 1900, what="two thousand connections")
        for _ in range(4):  # the machine may be busy, too: what blocks would do so each time
            udp, tcp = ask_for(server, 120 if soak else 12)
            undisturbed = p99(udp) < 5 * times + p99(quiet_udp) and p99(tcp) < 100 * times
            if undisturbed:
                break
        during = memory_mib(server.pid())
        octets, made = slow.stop()
        wait_until(lambda: server.status()["counters"]["tcp-connections"] == 0, what="the slow clients to be gone")
        after = memory_mib(server.pid())
        print(f"UDP p99 {p99(udp):.2f} ms (quiet {p99(quiet_udp):.2f}), slowest {max(udp):.1f} ms of {len(udp)}; new TCP slowest {max(tcp):.1f} ms of "
              f"{len(tcp)}; {octets} octets dripped, {made} connections; memory {before:.0f}, {during:.0f}, {after:.0f} MiB")
        assert octets > 5000
        assert undisturbed
        assert after < before + 16 * times
    finally:
        server.stop()
