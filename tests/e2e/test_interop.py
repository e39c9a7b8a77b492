"""BIND, Knot, NSD and PowerDNS from Debian on either side: AXFR, NOTIFY, TSIG, edits, restarts, wrong keys, serials that wrap, large
zones, kill -9 in the middle of a transfer."""
import random
import re
import threading

import pytest

from harness import KEY, LOOPBACK, SECRET, Bind, Knot, Nsd, Pdns, keyring, simple_zone, wait_until

PEERS = [Bind, Knot, Nsd, Pdns]
FROM_AND_TO = pytest.mark.parametrize("peer_is_primary", [True, False], ids=["from", "to"])
EVERY_PEER = pytest.mark.parametrize("kind", PEERS, ids=[k.name for k in PEERS])
# PowerDNS reads no \\# for types it knows, keeps DNSKEY beside the zone, and does not take every octet in a name.
EVERY_PEER_BUT_PDNS = pytest.mark.parametrize("kind", PEERS[:3], ids=[k.name for k in PEERS[:3]])
WRONG_SECRET = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc="
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
    server.put(n, text)
    server.reload()


@pytest.mark.parametrize("key", [False, True], ids=["plain", "tsig"])
@FROM_AND_TO
@EVERY_PEER
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


@FROM_AND_TO
@EVERY_PEER_BUT_PDNS
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
@FROM_AND_TO
@EVERY_PEER
def test_odd_names(lab, kind, peer_is_primary, zone):
    if kind is Pdns and "\\" in zone:
        pytest.skip("PowerDNS does not take every octet in a name")
    primary, secondary = sides(lab, kind, peer_is_primary, {zone: simple_zone(zone)}, True)
    primary.start()
    primary.wait_answer(zone)
    secondary.start()
    secondary.wait_answer(zone, serial=1)


@EVERY_PEER
def test_peer_primary_dies_and_returns(lab, kind):
    primary, secondary = sides(lab, kind, True, {"example.com.": simple_zone("example.com.", 1, refresh=1, retry=1)}, True)
    primary.start()
    primary.wait_answer("example.com")
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    primary.kill()
    assert secondary.ask("www.example.com").answer
    primary.put(0, simple_zone("example.com.", 2, refresh=1, retry=1))
    primary.start()
    secondary.wait_answer("example.com", serial=2)
    assert keyring()


# ---- wrong keys ----

def rekey(server, config, name=KEY, secret=SECRET):
    """The same configuration with another key in place of KEY."""
    text = {**config, "keys": [{"name": name, "algorithm": "hmac-sha256", "secret": secret}]}
    text["peers"] = [{**p, "key": name} for p in config["peers"]]
    server.configure(text)


@pytest.mark.parametrize("wrong", ["secret", "name"])
@FROM_AND_TO
@EVERY_PEER
def test_wrong_keys_are_told_precisely(lab, kind, peer_is_primary, wrong):
    primary, secondary = sides(lab, kind, peer_is_primary, {"example.com.": simple_zone("example.com.", 1, refresh=1, retry=1)}, True)
    tandem = secondary if peer_is_primary else primary
    good = tandem.config
    rekey(tandem, good, **({"secret": WRONG_SECRET} if wrong == "secret" else {"name": "other.example."}))
    primary.start()
    if peer_is_primary:
        primary.wait_answer("example.com")
        secondary.start()
        error = wait_until(lambda: secondary.status("example.com").get("last-error"), what="an error in status")
        if kind is Pdns:  # says no more than that
            assert "NOTAUTH" in error and "keys" in error, error
        else:
            assert ("BADSIG" if wrong == "secret" else "BADKEY") in error, error
            assert (KEY if wrong == "secret" else "other.example.").rstrip(".") in error, error
        assert not secondary.ask("example.com", "SOA").answer
    else:
        secondary.start()
        error = "BADSIG" if wrong == "secret" else "BADKEY"
        line = wait_until(lambda: next((x for x in primary.log().splitlines() if "tsig-failed" in x), None), what="the failure in the log")
        assert f"error={error}" in line and "key=xfr.example" in line and f"from={LOOPBACK}" in line.replace('"', ""), line
    tandem.configure(good)
    tandem.reload()
    secondary.wait_answer("example.com", serial=1, timeout=60)


# ---- serials ----

@FROM_AND_TO
@EVERY_PEER
def test_serial_wraps(lab, kind, peer_is_primary):
    timers = dict(refresh=1, retry=1)
    primary, secondary = sides(lab, kind, peer_is_primary, {"example.com.": simple_zone("example.com.", 4294967295, **timers)}, True)
    primary.start()
    primary.wait_answer("example.com")
    secondary.start()
    secondary.wait_answer("example.com", serial=4294967295)
    update(primary, 0, simple_zone("example.com.", 1, "new 60 IN A 192.0.2.9\n", **timers))
    secondary.wait_answer("example.com", serial=1)
    assert secondary.ask("new.example.com").answer


# ---- large zones ----

def large_zone(origin, serial, count, **timers):
    return simple_zone(origin, serial, "".join(f"h{i} 300 IN A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}\n" for i in range(count)), **timers)


@EVERY_PEER
@FROM_AND_TO
def test_large_zone(lab, soak, kind, peer_is_primary):
    if not soak and not (kind is Knot and peer_is_primary):
        pytest.skip("one peer and 100,000 records in the normal run; all of them and 1,000,000 with --soak")
    count = 1000000 if soak else 100000
    primary, secondary = sides(lab, kind, peer_is_primary, {"big.example.": large_zone("big.example.", 1, count)}, True)
    primary.start(**({} if peer_is_primary else {"timeout": 300}))
    primary.wait_answer("big.example", timeout=600)
    secondary.start()
    secondary.wait_answer("big.example", serial=1, timeout=600)
    for i in (0, 1, 65535, count - 1):
        assert secondary.ask(f"h{i}.big.example").answer
    tandem = secondary if peer_is_primary else primary
    assert tandem.status("big.example")["records"] == count + 4


# ---- kill -9 ----

@FROM_AND_TO
@EVERY_PEER
def test_kill_9_in_a_transfer(lab, soak, kind, peer_is_primary):
    """Either side is killed around the moment of a transfer; afterwards the secondary has all of the newest version."""
    count, origin, timers = 20000, "big.example.", dict(refresh=1, retry=1)
    primary, secondary = sides(lab, kind, peer_is_primary, {origin: large_zone(origin, 1, count, **timers)}, True)
    primary.start()
    primary.wait_answer(origin)
    secondary.start()
    secondary.wait_answer(origin, serial=1)
    rng, pause = random.Random(4), threading.Event()
    for n in range(2, 30 if soak else 4):
        update(primary, 0, large_zone(origin, n, count + n, **timers))
        pause.wait(rng.uniform(0, 0.2))
        victim = primary if n % 2 else secondary
        victim.kill()
        victim.start()
        primary.wait_answer(origin, timeout=60)
        if primary.serial(origin) != n:  # killed before it had read the file
            update(primary, 0, large_zone(origin, n, count + n, **timers))
        secondary.wait_answer(origin, serial=n, timeout=60)
        assert secondary.ask(f"h{count + n - 1}.{origin}").answer
    tandem = secondary if peer_is_primary else primary
    wait_until(lambda: tandem.status(origin)["records"] == count + n + 4)
    assert "store-damaged" not in tandem.log()
