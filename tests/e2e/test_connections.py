"""Many zones on few connections, both as the secondary that asks and as the primary that is asked."""
import socket
import struct

import dns.message
import dns.rdatatype
import pytest

from harness import KEY, LOOPBACK, SECRET, Bind, Knot, Nsd, Pdns, keyring, simple_zone, wait_until
from relay import Relay

KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
RULES = {"role": "secondary", "primaries": ["other"], "transfer": ["any"], "refresh-min": "0.5", "retry-min": "0.5"}


@pytest.fixture
def relays():
    made = []
    yield lambda port: made.append(Relay(port).start()) or made[-1]
    for relay in made:
        relay.stop()


def zone(origin, n, serial=1):
    return simple_zone(origin, serial, "".join(f"h{i} 300 IN A 10.{n >> 8}.{n & 255}.{i}\n" for i in range(n % 9)))


def follow(s, relay, origins):
    s.configure({"keys": KEYS, "peers": [{"name": "other", "address": relay.at, "key": KEY}], "zones": [{"name": z, **RULES} for z in origins]})
    return s.start()


def serials(server, origins):
    return [server.serial(z) for z in origins]


def test_a_thousand_zones_on_a_few_connections(lab, relays):
    origins = [f"z{n}.example." for n in range(1000)]
    p, s = lab.tandem("primary"), lab.tandem("secondary")
    p.configure({"keys": KEYS, "peers": [{"name": "other", "address": s.at, "key": KEY}],
                 "templates": {"own": {"role": "primary", "notify": ["other"], "transfer": ["other"]}}, "zone-lists": [{"dir": "zones", "template": "own"}]})
    (p.dir / "zones").mkdir()
    for n, z in enumerate(origins):
        p.file(f"zones/{z[:-1]}.zone", zone(z, n))
    p.start()
    relay = relays(p.port)
    follow(s, relay, origins)
    wait_until(lambda: s.status()["served"] == 1000, 60, "all zones")
    print(f"{relay.connections} connections, {relay.most} at once, {relay.datagrams} datagrams")
    assert relay.connections <= 10
    for z in origins[::37]:
        assert s.axfr(z) == p.axfr(z, keyring())
    for n, z in enumerate(origins):
        p.file(f"zones/{z[:-1]}.zone", zone(z, n + 1, 2))
    p.reload()
    wait_until(lambda: set(serials(s, origins)) == {2}, 60, "the second version")
    print(f"{relay.connections} connections in all")
    assert relay.connections <= 30
    assert all("last-error" not in s.status(z) for z in origins[::100]), s.status(origins[0])
    wait_until(lambda: relay.open == 0, what="idle connections to be closed")


@pytest.mark.parametrize("kind", [Bind, Knot, Nsd, Pdns], ids=["bind", "knot", "nsd", "pdns"])
def test_fifty_zones_of_every_peer(lab, kind, relays):
    origins = [f"z{n}.example." for n in range(20 if kind is Pdns else 50)]  # pdnsutil takes its time
    nowhere = type("Nowhere", (), {"host": LOOPBACK, "port": 9, "at": f"{LOOPBACK}@9"})
    p = lab.add(kind, "primary", {z: zone(z, n) for n, z in enumerate(origins)}, nowhere, True)
    p.start()
    for z in origins:
        p.wait_answer(z)
    relay = relays(p.port)
    s = follow(lab.tandem("secondary"), relay, origins)
    wait_until(lambda: s.status()["served"] == len(origins), 60, "all zones")
    print(f"{kind.name}: {relay.connections} connections, {relay.most} at once")
    for z in origins[::7]:
        assert s.axfr(z) == p.axfr(z, keyring())
    assert relay.connections <= 10
    assert "refresh-failed" not in s.log() and "transfer-failed" not in s.log(), s.log()[-2000:]


def test_pipelined_transfers_with_questions_between(lab):
    """20 transfers and 20 questions in one write: all are answered whole, the small ones before the large one ends."""
    origins = [f"z{n}.example." for n in range(20)]
    t = lab.tandem("t", {"zones": [{"name": z, "role": "primary", "file": f"zone{n}", "transfer": ["any"]} for n, z in enumerate(origins)]})
    for n, z in enumerate(origins):
        t.put(n, zone(z, n) if n else simple_zone(z, 1, "".join(f"h{i} 300 IN TXT \"{i:0200}\"\n" for i in range(20000))))
    t.start()
    out, soas, ends, answers = b"", {}, [], 0
    for n, z in enumerate(origins):
        for rdtype, number in (("AXFR", n), ("SOA", 1000 + n)):
            q = dns.message.make_query(z, rdtype, id=number)
            out += struct.pack("!H", len(q.to_wire())) + q.to_wire()
    with socket.create_connection((LOOPBACK, t.port), timeout=20) as stream:
        stream.sendall(out)
        answer = stream.makefile("rb")
        while len(ends) < 20 or answers < 20:
            wire = answer.read(struct.unpack("!H", answer.read(2))[0])
            number = struct.unpack("!H", wire[:2])[0]
            if number >= 1000:
                answers += 1
                continue
            m = dns.message.from_wire(wire, ignore_trailing=False, xfr=True, one_rr_per_rrset=True)
            assert m.rcode() == 0
            soas[number] = soas.get(number, 0) + sum(r.rdtype == dns.rdatatype.SOA for r in m.answer)
            if soas[number] == 2:
                ends.append(number)
    assert sorted(ends) == list(range(20)) and ends[-1] == 0, ends
