"""Many questions to one server: over UDP with a window of them in flight, over TCP pipelined. Gives {question number: response}."""
import socket
import struct
import time

import dns.flags
import dns.message
import dns.name
import dns.rdatatype

WINDOW = 64


def wires(questions):
    out = []
    for n, (name, rdtype, do) in enumerate(questions):
        q = dns.message.make_query(dns.name.from_text(name), rdtype, use_edns=0 if do or n % 3 else -1, want_dnssec=do, payload=1232, id=n & 0xFFFF)
        q.flags &= ~dns.flags.RD
        out.append(q.to_wire())
    return out


def ask_udp(server, packets, timeout=10.0):
    answers, waiting, at = {}, {}, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((server.host, server.port))
        s.settimeout(timeout)
        while at < len(packets) or waiting:
            while at < len(packets) and len(waiting) < WINDOW:
                s.send(packets[at])
                waiting[at & 0xFFFF] = at
                at += 1
            try:
                data = s.recv(65535)
            except TimeoutError:
                for n in list(waiting.values()):  # lost on the way: once more, then it counts as no answer
                    s.send(packets[n])
                try:
                    data = s.recv(65535)
                except TimeoutError:
                    return answers
            n = waiting.pop(struct.unpack("!H", data[:2])[0], None)
            if n is not None:
                answers[n] = data
    return answers


def ask_tcp(server, packets, numbers, timeout=60.0):
    """Pipelined over connections of at most 50 questions."""
    answers = {}
    for first in range(0, len(numbers), 50):
        part = numbers[first:first + 50]
        with socket.create_connection((server.host, server.port), timeout=timeout) as s:
            s.sendall(b"".join(struct.pack("!H", len(packets[n])) + packets[n] for n in part))
            buffer, by_id, deadline = b"", {n & 0xFFFF: n for n in part}, time.monotonic() + timeout
            while by_id and time.monotonic() < deadline:
                data = s.recv(65535)
                if not data:
                    break
                buffer += data
                while len(buffer) >= 2 and len(buffer) >= 2 + struct.unpack("!H", buffer[:2])[0]:
                    size = struct.unpack("!H", buffer[:2])[0]
                    message, buffer = buffer[2:2 + size], buffer[2 + size:]
                    n = by_id.pop(struct.unpack("!H", message[:2])[0], None)
                    if n is not None:
                        answers[n] = message
    return answers


class Response:
    """A response taken apart for comparing: sections are sets of (owner, type, ttl, rdata), all in lower case."""

    def __init__(self, wire):
        m = dns.message.from_wire(wire, ignore_trailing=False)
        self.message = m
        self.rcode = m.rcode()
        self.aa = bool(m.flags & dns.flags.AA)
        self.tc = bool(m.flags & dns.flags.TC)
        self.ra_ad = m.flags & (dns.flags.RA | dns.flags.AD)
        self.answer, self.authority, self.additional = map(flatten, (m.answer, m.authority, m.additional))
        self.size = len(wire)

    def types(self, section):
        return {t for _, t, _, _ in getattr(self, section)}


def flatten(section):
    out = set()
    for rrset in section:
        owner = rrset.name.canonicalize().to_wire()
        for rd in rrset:
            rdtype = dns.rdatatype.to_text(rrset.rdtype)
            out.add((owner, rdtype, rrset.ttl, rd.to_digestable()))
    return frozenset(out)



