"""Incremental transfers out: by hand, condensed, when history ends, and to BIND, Knot and NSD as secondaries."""
import random

import dns.message
import dns.query
import dns.rdatatype
import dns.rrset
import pytest

from harness import Bind, Knot, Nsd, Pdns, simple_zone

ORIGIN = "inc.example."


def primary(lab, notify=None, records=0, **zone):
    config = {"zones": [{"name": ORIGIN, "role": "primary", "file": "zone", "transfer": ["any"], **zone}]}
    if notify:
        config["peers"] = [{"name": f"p{i}", "address": p.at} for i, p in enumerate(notify)]
        config["zones"][0]["notify"] = [p["name"] for p in config["peers"]]
    t = lab.tandem("primary", config)
    t.records = {f"n{i}.{ORIGIN} 300 IN A 10.0.{i >> 8 & 255}.{i & 255}\n" for i in range(records)}
    return t


def put(t, serial):
    t.serial_now = serial
    t.file("zone", simple_zone(ORIGIN, serial, "".join(sorted(t.records))))


def edit(t, serial):
    put(t, serial)
    t.run("reload", ORIGIN, check=0)


class Ixfr:
    """The answer to an IXFR: records as text in the order they came, octets on the wire."""

    def __init__(self, t, serial):
        q = dns.message.make_query(ORIGIN, "IXFR")
        q.authority.append(dns.rrset.from_text(ORIGIN, 300, "IN", "SOA", f"ns1.{ORIGIN} h.{ORIGIN} {serial} 1 1 1 1"))
        self.octets, self.records = 0, []
        with dns.query.socket_factory(dns.query.socket.AF_INET, dns.query.socket.SOCK_STREAM, 0) as s:
            s.settimeout(20)
            s.connect((t.host, t.port))
            s.sendall(len(q.to_wire()).to_bytes(2, "big") + q.to_wire())
            with s.makefile("rb") as f:
                while not self.is_whole():
                    n = int.from_bytes(f.read(2), "big")
                    self.octets += n
                    for rrset in dns.message.from_wire(f.read(n), one_rr_per_rrset=True, xfr=True).answer:
                        self.records += [(rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype), rd.to_text()) for rd in rrset]

    def soas(self):
        return [int(r[2].split()[2]) for r in self.records if r[1] == "SOA"]

    def is_whole(self):
        """The served SOA stands at both ends; in between, of a difference, at the end of each sequence as well."""
        if not self.records:
            return False
        soas = self.soas()
        if len(self.records) > 1 and self.records[1][1] == "SOA":
            return len(soas) % 2 == 0 and len(soas) > 2 and self.records[-1][1] == "SOA" and soas[-1] == soas[0] and soas[-2] != soas[-1] \
                or (len(soas) > 3 and self.records[-1][1] == "SOA" and soas[-1] == soas[0] and soas.count(soas[0]) == 3)
        return len(soas) == 2 or (len(self.records) == 1 and self.single)

    single = False


class Single(Ixfr):
    single = True


def test_differences_by_hand(lab):
    t = primary(lab, records=5000)
    put(t, 1)
    t.start()
    for serial in range(2, 6):
        t.records.add(f"new{serial}.{ORIGIN} 300 IN A 192.0.2.{serial}\n")
        t.records.discard(f"n{serial}.{ORIGIN} 300 IN A 10.0.0.{serial}\n")
        edit(t, serial)
    assert Single(t, 5).soas() == [5]
    assert Single(t, 6).soas() == [5], "nothing older is sent to who is ahead"
    one = Ixfr(t, 4)
    assert one.soas() == [5, 4, 5, 5] and len(one.records) == 6
    assert one.records[2][:2] == (f"n5.{ORIGIN}", "A") and one.records[4][:2] == (f"new5.{ORIGIN}", "A")
    assert one.octets < 400
    several = Ixfr(t, 2)
    assert several.soas() == [5, 2, 3, 3, 4, 4, 5, 5], "each change as it was: nothing is gained by condensing"
    assert Ixfr(t, 77 + 2**31).soas() == [5, 5], "an unknown serial gets the zone"
    # what comes and goes is left out
    t.records.add(f"brief.{ORIGIN} 300 IN A 192.0.2.99\n")
    edit(t, 6)
    t.records.discard(f"brief.{ORIGIN} 300 IN A 192.0.2.99\n")
    edit(t, 7)
    condensed = Ixfr(t, 5)
    assert condensed.soas() == [7, 5, 7, 7] and len(condensed.records) == 4
    # history is there after a restart
    t.stop()
    t.start()
    assert Ixfr(t, 4).soas() == [7, 4, 7, 7]


def test_ten_changes_of_a_large_zone_are_small(lab):
    t = primary(lab, records=60000)
    put(t, 1)
    t.start()
    for i in range(10):
        t.records.add(f"fresh{i}.{ORIGIN} 300 IN A 192.0.2.{i}\n")
        edit(t, 2 + i)
    x = Ixfr(t, 1)
    assert x.soas()[0] == 11 and x.octets < 4096, x.octets


def test_more_than_the_zone_is_the_zone(lab):
    t = primary(lab, records=50)
    put(t, 1)
    t.start()
    t.records = {f"other{i}.{ORIGIN} 300 IN A 10.1.0.{i}\n" for i in range(50)}
    edit(t, 2)
    assert Ixfr(t, 1).soas() == [2, 2]


PEERS = {  # kind, its file, and what makes it take IXFR and show us what it has
    "bind": (Bind, "named.conf", {"request-ixfr no;": "request-ixfr yes; allow-transfer { any; };"}),
    "knot": (Knot, "knot.conf", {"    acl: in\n": "    acl: [in, out]\n"}),
    "nsd": (Nsd, "nsd.conf", {"request-xfr: AXFR": "request-xfr:", "  allow-notify:": "  provide-xfr: 127.0.0.0/8 NOKEY\n  allow-notify:"}),
    "pdns": (Pdns, "pdns.conf", {}),
}


def secondary(lab, t, kind):
    cls, name, changes = PEERS[kind]
    peer = lab.add(cls, kind, {ORIGIN: None}, t)
    text = (peer.dir / name).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (peer.dir / name).write_text(text)
    if cls is Pdns:
        peer.util("set-meta", ORIGIN, "IXFR", "1")
    return peer


@pytest.mark.parametrize("kind", PEERS)
def test_secondaries_follow_by_ixfr(lab, kind, soak):
    rng = random.Random(kind)
    t = primary(lab, records=500)
    peer = secondary(lab, t, kind)
    t.config["peers"] = [{"name": "p", "address": peer.at}]
    t.config["zones"][0]["notify"] = ["p"]
    t.configure(t.config)
    put(t, 1)
    t.start()
    peer.start()
    peer.wait_answer(ORIGIN, serial=1)
    serial = 1
    slow = kind == "pdns"  # looks at its zones once a second
    for _ in range(1000 if soak else 7 if slow else 25):
        for record in rng.sample(sorted(t.records), rng.randrange(4)):
            t.records.discard(record)
        for _ in range(rng.randrange(1, 5)):
            n = rng.randrange(700)
            t.records.add(rng.choice((f"n{n}.{ORIGIN} 300 IN A 10.9.0.{n % 250}\n", f"t{n}.{ORIGIN} 300 IN TXT \"{n} text\"\n",
                                      f"*.w{n}.{ORIGIN} 300 IN MX 10 n{n}\n", f"n{n}.{ORIGIN} 300 IN A 10.9.1.{n % 250}\n")))
        serial += 1
        edit(t, serial)
        if slow or rng.random() < 0.5:
            peer.wait_answer(ORIGIN, serial=serial)
    peer.wait_answer(ORIGIN, serial=serial)
    assert peer.axfr(ORIGIN) == t.axfr(ORIGIN)
    sent = [line for line in t.log().splitlines() if "transfer-out-done zone=" in line]  # others say how many lines were left out
    incremental = [line for line in sent if "kind=IXFR" in line]
    assert len(incremental) >= 5 and len(sent) - len(incremental) <= 3, "\n".join(sent[-20:])


def test_a_transfer_under_way_is_not_cut_by_changes(lab):
    t = primary(lab, records=60000)
    put(t, 1)
    t.start()
    q = dns.message.make_query(ORIGIN, "AXFR").to_wire()
    with dns.query.socket.create_connection((t.host, t.port)) as s:
        s.settimeout(20)
        s.sendall(len(q).to_bytes(2, "big") + q)
        first = s.recv(500)
        for serial in (2, 3):
            t.records.add(f"during{serial}.{ORIGIN} 300 IN A 192.0.2.{serial}\n")
            edit(t, serial)
        soas, data = [], first
        while len(soas) < 2:
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                more = s.recv(1 << 20)
                assert more, "the connection was cut"
                data += more
            n = int.from_bytes(data[:2], "big")
            for rrset in dns.message.from_wire(data[2:2 + n], one_rr_per_rrset=True, xfr=True).answer:
                if rrset.rdtype == dns.rdatatype.SOA:
                    soas.append(rrset[0].serial)
                assert "during" not in rrset.name.to_text()
            data = data[2 + n:]
    assert soas == [1, 1]
    assert t.serial(ORIGIN) == 3
