"""BIND, Knot and NSD from Debian on either side: AXFR, NOTIFY, TSIG, edits, restarts."""
import pytest

from harness import KEY, SECRET, Bind, Knot, Nsd, keyring, simple_zone

PEERS = [Bind, Knot, Nsd]
KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
EVERY_TYPE = r"""
a 300 IN A 192.0.2.1
aaaa 300 IN AAAA 2001:db8::1
cname 300 IN CNAME www
dname 300 IN DNAME other.example.net.
mx 300 IN MX 10 mail
txt 300 IN TXT "one" "two \"quoted\" \\ \000\255"
srv 300 IN SRV 1 2 3 target
ptr 300 IN PTR www
caa 300 IN CAA 0 issue "ca.example.net; policy=ev"
child 300 IN NS ns.child
child 300 IN DS 60485 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
ns.child 300 IN A 192.0.2.53
dnskey 300 IN DNSKEY 256 3 8 AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Qs8PkxUdp6p/DlUmObdk=
nsec3param 300 IN NSEC3PARAM 1 0 0 -
_443._tcp 300 IN TLSA 3 1 1 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
sshfp 300 IN SSHFP 4 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
naptr 300 IN NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp
hinfo 300 IN HINFO "CPU" "OS"
loc 300 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
uri 300 IN URI 10 1 "https://example.com/path"
* 300 IN TXT "wildcard"
a.b.c 300 IN A 192.0.2.3
MixedCase 300 IN A 192.0.2.4
esc\.aped\032\255 300 IN A 192.0.2.5
unknown 300 IN TYPE65280 \# 4 0A000001
svcb 300 IN TYPE64 \# 6 0001026F7200
"""


def sides(lab, kind, peer_is_primary, zones, key):
    """(primary, secondary): one is Tandem, the other the peer."""
    t = lab.tandem("tandem")
    peer = lab.add(kind, "peer", {z: (text if peer_is_primary else None) for z, text in zones.items()}, t, key)
    signed = {"key": KEY} if key else {}
    rules = {"role": "secondary", "primaries": ["other"], "refresh-min": "0.5", "retry-min": "0.5"} if peer_is_primary else \
        {"role": "primary", "notify": ["other"], "transfer": ["other"]}
    t.configure({"keys": KEYS if key else [], "peers": [{"name": "other", "address": peer.at, **signed}],
                 "zones": [{"name": z, **rules, **({} if peer_is_primary else {"file": f"zone{n}"})} for n, z in enumerate(zones)]})
    if peer_is_primary:
        return peer, t
    for n, text in enumerate(zones.values()):
        t.file(f"zone{n}", text)
    return t, peer


def update(server, n, text):
    """A new zone file is in force."""
    (server.dir / f"zone{n}").write_text(text)
    server.reload()


@pytest.mark.parametrize("key", [False, True], ids=["plain", "tsig"])
@pytest.mark.parametrize("peer_is_primary", [True, False], ids=["from", "to"])
@pytest.mark.parametrize("kind", PEERS, ids=[k.name for k in PEERS])
def test_transfer_notify_and_edit(lab, kind, peer_is_primary, key):
    zones = {"example.com.": simple_zone("example.com.", 1), "big.example.": simple_zone(
        "big.example.", 1, "".join(f"h{i} 300 IN A 10.0.{i >> 8}.{i & 255}\n" for i in range(4000)))}
    primary, secondary = sides(lab, kind, peer_is_primary, zones, key)
    primary.start()
    primary.wait_answer("example.com")
    primary.wait_answer("big.example")
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    secondary.wait_answer("big.example", serial=1)
    assert secondary.ask("h3999.big.example").answer
    update(primary, 0, simple_zone("example.com.", 2, "new 60 IN A 192.0.2.9\n"))
    secondary.wait_answer("example.com", serial=2)
    assert secondary.ask("new.example.com").answer


@pytest.mark.parametrize("peer_is_primary", [True, False], ids=["from", "to"])
@pytest.mark.parametrize("kind", PEERS, ids=[k.name for k in PEERS])
def test_every_type_arrives_unchanged(lab, kind, peer_is_primary):
    origin = "types.example."
    primary, secondary = sides(lab, kind, peer_is_primary, {origin: simple_zone(origin, 1, EVERY_TYPE)}, True)
    primary.start()
    primary.wait_answer(origin)
    secondary.start()
    secondary.wait_answer(origin, serial=1)
    tandem = primary if primary.name == "tandem" else secondary
    names = {line.split()[0] for line in EVERY_TYPE.splitlines() if line.strip()}
    for name in sorted(names - {"*", "child", "ns.child"}):
        for rdtype in ("A", "AAAA", "TXT", "MX", "SRV", "CNAME", "CAA", "TLSA", "SSHFP", "NAPTR", "HINFO", "LOC", "URI", "DNSKEY", "TYPE65280",
                       "TYPE64", "PTR", "DNAME"):
            full = f"{name}.{origin}"
            a, b = primary.ask(full, rdtype), secondary.ask(full, rdtype)
            assert (a.rcode(), a.answer) == (b.rcode(), b.answer), (full, rdtype)
    assert tandem.status(origin)["records"] == 4 + len([line for line in EVERY_TYPE.splitlines() if line.strip()])


@pytest.mark.parametrize("zone", [".", "no.", "0/26.2.0.192.in-addr.arpa.", "esc\\.aped\\032\\255.example."],
                         ids=["root", "no", "classless", "escaped"])
@pytest.mark.parametrize("peer_is_primary", [True, False], ids=["from", "to"])
@pytest.mark.parametrize("kind", PEERS, ids=[k.name for k in PEERS])
def test_odd_names(lab, kind, peer_is_primary, zone):
    primary, secondary = sides(lab, kind, peer_is_primary, {zone: simple_zone(zone)}, True)
    primary.start()
    primary.wait_answer(zone)
    secondary.start()
    secondary.wait_answer(zone, serial=1)


@pytest.mark.parametrize("kind", PEERS, ids=[k.name for k in PEERS])
def test_peer_primary_dies_and_returns(lab, kind):
    primary, secondary = sides(lab, kind, True, {"example.com.": simple_zone("example.com.", 1, refresh=1, retry=1)}, True)
    primary.start()
    primary.wait_answer("example.com")
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    primary.kill()
    assert secondary.ask("www.example.com").answer
    (primary.dir / "zone0").write_text(simple_zone("example.com.", 2, refresh=1, retry=1))
    primary.start()
    secondary.wait_answer("example.com", serial=2)
    assert keyring()
