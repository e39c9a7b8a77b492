"""A primary and its secondaries, all Tandem: transfers, NOTIFY, TSIG, access rules, the hidden primary, the outage."""
import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.xfr
import dns.zone
import pytest

from harness import KEY, SECRET, keyring, simple_zone, wait_until

KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
NEW_SECRET = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy1uZXc="
ODD_NAMES = {
    ".": "root",
    "no.": "no",
    "0/26.2.0.192.in-addr.arpa.": "classless",
    "esc\\.aped\\032\\255.example.": "escaped",
}


def pair(lab, zones={"example.com.": simple_zone("example.com.")}, key=True, secondaries=1, options=None, secondary_options=None):
    """Not started: (primary, [secondaries])."""
    primary = lab.tandem("primary")
    others = [lab.tandem(f"secondary{i}") for i in range(secondaries)]
    peer = {"key": KEY} if key else {}
    names = [f"s{i}" for i in range(secondaries)]
    primary.configure({
        "keys": KEYS if key else [],
        "peers": [{"name": n, "address": s.at, **peer} for n, s in zip(names, others)],
        "zones": [{"name": z, "role": "primary", "file": f"zone{i}", "notify": names, "transfer": names, **(options or {})}
                  for i, z in enumerate(zones)]})
    for i, text in enumerate(zones.values()):
        primary.file(f"zone{i}", text)
    for s in others:
        s.configure({
            "keys": KEYS if key else [],
            "peers": [{"name": "p", "address": primary.at, **peer}],
            "zones": [{"name": z, "role": "secondary", "primaries": ["p"], "refresh-min": "0.2", "retry-min": "0.2", "retry-max": "1",
                       **(secondary_options or {})} for z in zones]})
    return primary, others


def allowed_axfr(server, zone, key):
    return server.axfr(zone, key)


def test_first_transfer_and_an_edit(lab):
    primary, (secondary,) = pair(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    primary.file("zone0", simple_zone("example.com.", 2, "new 60 IN TXT \"hello\"\n"))
    primary.reload()
    secondary.wait_answer("example.com", serial=2)
    assert secondary.ask("new.example.com", "TXT").answer[0][0].strings == (b"hello",)
    last = secondary.status("example.com")["last-transfer"]
    assert last["peer"] == "p" and last["tsig"] is True and last["kind"] == "ixfr"


def test_secondary_starts_with_its_primary_dead(lab):
    primary, (secondary,) = pair(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    secondary.stop()
    primary.kill()
    secondary.start()
    assert secondary.serial("example.com") == 1, "answers at ready, from the store"
    primary.file("zone0", simple_zone("example.com.", 9))
    primary.start()
    secondary.wait_answer("example.com", serial=9)


def test_secondary_that_never_had_it_says_not_ready(lab):
    _, (secondary,) = pair(lab)
    secondary.start()
    r = secondary.ask("example.com", "SOA")
    assert r.rcode() == dns.rcode.SERVFAIL
    assert [o.code for o in r.options if o.otype == 15] == [14]


def test_wrong_key_is_refused_and_named(lab):
    primary, (secondary,) = pair(lab)
    config = secondary.config
    config["keys"] = [{**KEYS[0], "secret": "d3JvbmctLXdyb25nLS13cm9uZy0td3JvbmctLTMyYnl0ZXM="}]
    secondary.configure(config)
    primary.start()
    secondary.start()
    error = wait_until(lambda: secondary.status("example.com").get("last-error"), what="the error")
    assert "BADSIG" in error
    assert secondary.ask("example.com", "SOA").rcode() == dns.rcode.SERVFAIL


def test_nothing_is_open_by_default(lab):
    t = lab.tandem("server", {"zones": [{"name": "example.com", "role": "primary", "file": "z"}]})
    t.file("z", simple_zone("example.com."))
    t.start()
    with pytest.raises(dns.xfr.TransferError):
        t.axfr("example.com")
    notify = dns.message.make_query("example.com", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    assert dns.query.udp(notify, t.host, port=t.port, timeout=20).rcode() in (dns.rcode.REFUSED, dns.rcode.NOTAUTH)
    update = dns.message.Message()
    update.set_opcode(dns.opcode.UPDATE)
    update.question = [dns.rrset.RRset(dns.name.from_text("example.com"), 1, 6)]
    assert dns.query.udp(update, t.host, port=t.port, timeout=20).rcode() in (dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.NOTAUTH)


def test_transfer_needs_address_and_key(lab):
    primary, _ = pair(lab)
    primary.start()
    with pytest.raises(dns.xfr.TransferError):
        primary.axfr("example.com")
    assert len(primary.axfr("example.com", keyring())) == 4
    wrong = keyring(secret="d3JvbmctLXdyb25nLS13cm9uZy0td3JvbmctLTMyYnl0ZXM=")
    with pytest.raises((dns.tsig.PeerBadSignature, dns.xfr.TransferError, dns.exception.DNSException)):
        primary.axfr("example.com", wrong)


@pytest.mark.parametrize("zone", ODD_NAMES, ids=ODD_NAMES.values())
def test_zones_with_odd_names_transfer_and_answer(lab, zone):
    primary, (secondary,) = pair(lab, {zone: simple_zone(zone)})
    primary.start()
    secondary.start()
    secondary.wait_answer(zone, serial=1)
    assert primary.axfr(zone, keyring())
    exported = secondary.run("export", zone, check=0).stdout
    again = lab.tandem("again", {"zones": [{"name": zone, "role": "primary", "file": "z"}]})
    again.file("z", exported)
    again.start()
    for name in (zone, "www." + (zone if zone != "." else "")):
        for rdtype in ("SOA", "NS", "A", "TXT"):
            a, b, c = (s.ask(name, rdtype) for s in (primary, secondary, again))
            assert (a.rcode(), a.answer, a.authority) == (b.rcode(), b.answer, b.authority) == (c.rcode(), c.answer, c.authority)


def test_hidden_primary_is_no_different_from_a_stranger(lab):
    primary, (secondary,) = pair(lab, options={"answer-to": ["s0"]})
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    for tcp in (False, True):
        for opcode in (dns.opcode.QUERY, dns.opcode.NOTIFY, dns.opcode.UPDATE, dns.opcode.STATUS):
            for rdtype in ("SOA", "A", "AXFR", "ANY", "DS"):
                if rdtype == "AXFR" and opcode == dns.opcode.QUERY and not tcp:
                    continue
                replies = []
                for name in ("example.com", "example.org"):
                    q = dns.message.make_query(name, rdtype, id=77, use_edns=0)
                    q.set_opcode(opcode)
                    wire = q.to_wire()
                    import socket
                    import struct
                    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
                        s.settimeout(20)
                        s.connect((primary.host, primary.port))
                        s.sendall((struct.pack("!H", len(wire)) if tcp else b"") + wire)
                        replies.append(s.recv(65535).replace(b"\x03org", b"\x03com"))
                assert replies[0] == replies[1], (tcp, opcode, rdtype)
                assert replies[0]


def test_strangers_drop_says_nothing(lab):
    primary, (secondary,) = pair(lab, options={"answer-to": ["s0"], "strangers": "drop"})
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    with pytest.raises(dns.exception.Timeout):
        primary.ask("www.example.com", timeout=0.3)


def test_primary_gone_nobody_notices(lab):
    primary, secondaries = pair(lab, secondaries=2)
    primary.start()
    for s in secondaries:
        s.start()
        s.wait_answer("example.com", serial=1)
    primary.kill()
    for s in secondaries:
        assert s.ask("www.example.com").answer
    secondaries[0].kill()
    assert secondaries[1].ask("www.example.com").answer
    primary.file("zone0", simple_zone("example.com.", 2))
    primary.start()
    secondaries[0].start()
    for s in secondaries:
        s.wait_answer("example.com", serial=2)


def test_expiry_and_recovery_without_a_command(lab):
    timers = dict(refresh=1, retry=1, expire=2)
    primary, (secondary,) = pair(lab, {"example.com.": simple_zone("example.com.", **timers)})
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    primary.kill()
    wait_until(lambda: secondary.ask("www.example.com").rcode() == dns.rcode.SERVFAIL, what="expiry")
    assert secondary.status("example.com")["state"] == "expired"
    primary.start()
    wait_until(lambda: secondary.ask("www.example.com").rcode() == dns.rcode.NOERROR, what="recovery")


def test_chain_of_secondaries(lab):
    """A secondary feeds another: no extra code path, only configuration."""
    primary, (middle,) = pair(lab)
    last = lab.tandem("last", {
        "keys": KEYS, "peers": [{"name": "p", "address": middle.at, "key": KEY}],
        "zones": [{"name": "example.com", "role": "secondary", "primaries": ["p"]}]})
    config = middle.config
    config["peers"].append({"name": "last", "address": last.at, "key": KEY})
    config["zones"][0].update({"notify": ["last"], "transfer": ["last"]})
    middle.configure(config)
    primary.start()
    middle.start()
    middle.wait_answer("example.com", serial=1)
    last.start()
    last.wait_answer("example.com", serial=1)
    primary.file("zone0", simple_zone("example.com.", 2))
    primary.reload()
    last.wait_answer("example.com", serial=2)


def test_retransfer_notify_and_refresh_commands(lab):
    primary, (secondary,) = pair(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    assert "serial 1" in secondary.run("retransfer example.com", check=0).stdout
    assert primary.run("notify example.com", check=0).stdout
    assert secondary.run("reload example.com", check=0).stdout
    primary.kill()
    assert secondary.run("retransfer example.com", check=1).stderr


def test_large_zone_transfers_whole(lab):
    count = 20000
    text = simple_zone("big.example.", extra="".join(f"h{i} 300 IN A 10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(count)))
    primary, (secondary,) = pair(lab, {"big.example.": text})
    primary.start(timeout=120)
    secondary.start()
    secondary.wait_answer("big.example", serial=1)
    assert primary.axfr("big.example", keyring()) == sorted(primary.axfr("big.example", keyring()))
    assert secondary.status("big.example")["records"] == count + 4
    for i in (0, 1, 777, count - 1):
        assert secondary.ask(f"h{i}.big.example").answer


def test_key_rotation(lab):
    """From an old key to a new one, one side after the other, with an edit after each step: no transfer fails, and in the end the old
    key is worth nothing."""
    old, new = "old.example.", "new.example."
    primary, (secondary,) = pair(lab)
    keys = [{"name": old, "algorithm": "hmac-sha256", "secret": SECRET},
            {"name": new, "algorithm": "hmac-sha512", "secret": NEW_SECRET}]
    configs = {s: s.config for s in (primary, secondary)}
    serial = 1

    def with_keys(server, *names):
        config = configs[server]
        server.configure({**config, "keys": [k for k in keys if k["name"] in names],
                          "peers": [{"name": config["peers"][0]["name"], "address": config["peers"][0]["address"], "keys": names}]})

    def edit():
        nonlocal serial
        serial += 1
        primary.file("zone0", simple_zone("example.com.", serial))
        primary.reload()
        secondary.wait_answer("example.com", serial=serial)

    for server in (primary, secondary):
        with_keys(server, old)
        server.start()
    secondary.wait_answer("example.com", serial=1)
    for server, names in ((primary, (old, new)), (secondary, (new, old)), (primary, (new, old)), (primary, (new,)), (secondary, (new,))):
        with_keys(server, *names)
        server.reload()
        edit()
        assert secondary.status("example.com")["last-transfer"]["tsig"] is True
    assert "failed" not in secondary.log() and "tsig-failed" not in primary.log() + secondary.log()
    with_keys(secondary, old)
    secondary.reload()
    primary.file("zone0", simple_zone("example.com.", serial + 1))
    primary.reload()
    wait_until(lambda: "(BADKEY)" in secondary.status("example.com").get("last-error", ""), what="the old key to be refused")
    assert secondary.serial("example.com") == serial
