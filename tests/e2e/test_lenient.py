"""Strict with files, lenient with transfers: a scripted primary sends zones that no good server would, and the secondary takes what can be
served and refuses what can't."""
import socket
import struct
import threading

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from harness import LOOPBACK, free_port, wait_until

ORIGIN = "example.com."
SOA = f"{ORIGIN} 300 IN SOA ns1.{ORIGIN} h.{ORIGIN} 5 3600 600 86400 300"
GOOD = [SOA, f"{ORIGIN} 300 IN NS ns1.{ORIGIN}", f"ns1.{ORIGIN} 300 IN A 192.0.2.1"]


def rrset(line):
    owner, ttl, _, rdtype, rdata = line.split(" ", 4)
    return dns.rrset.from_text(owner, int(ttl), "IN", rdtype, rdata)


class ScriptedPrimary:
    """Answers SOA over UDP and sends the given lines as one AXFR message; a line may be bytes: a raw record."""

    def __init__(self, lines):
        self.lines, self.at = lines, (LOOPBACK, free_port())
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.udp.bind(self.at)
        self.tcp.bind(self.at)
        self.tcp.listen(50)
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def serve_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            q = dns.message.from_wire(data)
            r = dns.message.make_response(q)
            r.flags |= dns.flags.AA
            r.answer = [rrset(SOA)]
            self.udp.sendto(r.to_wire(), peer)

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                size = struct.unpack("!H", conn.recv(2, socket.MSG_WAITALL))[0]
                q = dns.message.from_wire(conn.recv(size, socket.MSG_WAITALL))
                wire = self.transfer(q)
                conn.sendall(struct.pack("!H", len(wire)) + wire)
                conn.recv(1)

    def transfer(self, q):
        r = dns.message.make_response(q)
        r.use_edns(-1)
        r.flags |= dns.flags.AA
        body = b"".join(line if isinstance(line, bytes) else wire_record(line) for line in self.lines)
        head = bytearray(r.to_wire())
        head[6:8] = struct.pack("!H", len(self.lines))
        return bytes(head) + body

    def close(self):
        self.udp.close()
        self.tcp.close()


def wire_record(line):
    rs = rrset(line)
    rdata = rs[0].to_wire()
    return rs.name.to_wire() + struct.pack("!HHIH", rs.rdtype, 1, rs.ttl, len(rdata)) + rdata


@pytest.fixture
def transferred(lab):
    made = []

    def make(lines):
        primary = ScriptedPrimary(lines)
        made.append(primary)
        t = lab.tandem("secondary", {"peers": [{"name": "p", "address": "%s@%d" % primary.at}],
                                     "zones": [{"name": "example.com", "role": "secondary", "primaries": ["p"]}]})
        return t.start()
    yield make
    for p in made:
        p.close()


def test_out_of_zone_records_are_dropped_and_counted(transferred):
    t = transferred(GOOD + ["www.example.org. 300 IN A 192.0.2.66", f"www.{ORIGIN} 300 IN A 192.0.2.80", SOA])
    t.wait_answer("example.com", serial=5)
    assert t.ask("www.example.com").answer
    assert t.ask("www.example.org").rcode() == dns.rcode.REFUSED
    assert t.status("example.com")["last-transfer"]["dropped"] == 1
    assert t.log().count("transfer-in-dropped") == 1


def test_cname_beside_other_data_answers_with_the_cname(transferred):
    t = transferred(GOOD + [f"x.{ORIGIN} 300 IN A 192.0.2.9", f"x.{ORIGIN} 300 IN CNAME ns1.{ORIGIN}", SOA])
    t.wait_answer("example.com", serial=5)
    answer = t.ask("x.example.com").answer
    assert [dns.rdatatype.to_text(rs.rdtype) for rs in answer] == ["CNAME", "A"]
    assert answer[1].name == dns.name.from_text(f"ns1.{ORIGIN}")
    wait_until(lambda: "CNAME and other data" in t.log(), what="the warning, which comes when it is served already")


def test_mixed_ttls_become_the_lowest(transferred):
    t = transferred(GOOD + [f"x.{ORIGIN} 300 IN A 192.0.2.9", f"x.{ORIGIN} 60 IN A 192.0.2.10", f"x.{ORIGIN} 900 IN A 192.0.2.11", SOA])
    t.wait_answer("example.com", serial=5)
    assert t.ask("x.example.com").answer[0].ttl == 60


REFUSED = {
    "no-soa-first": GOOD[1:] + [SOA],
    "last-soa-differs": GOOD + [SOA.replace(" 5 ", " 6 ")],
    "two-soas": GOOD + [SOA.replace(" 5 ", " 4 "), f"www.{ORIGIN} 300 IN A 192.0.2.80", SOA],
    "bad-rdata": GOOD + [dns.name.from_text(f"x.{ORIGIN}").to_wire() + struct.pack("!HHIH", 1, 1, 60, 3) + b"\1\2\3", SOA],
    "class-chaos": GOOD + [dns.name.from_text(f"x.{ORIGIN}").to_wire() + struct.pack("!HHIH", 1, 3, 60, 4) + b"\1\2\3\4", SOA],
}


@pytest.mark.parametrize("lines", REFUSED.values(), ids=REFUSED)
def test_these_refuse_the_version(transferred, lines):
    t = transferred(lines)
    error = wait_until(lambda: t.status("example.com").get("last-error"), what="the refusal")
    assert error
    assert t.ask("example.com", "SOA").rcode() == dns.rcode.SERVFAIL
