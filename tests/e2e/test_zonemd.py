"""ZONEMD (RFC 8976) generated for each version; dnspython, an independent implementation, verifies it."""
import dns.query
import dns.rdatatype
import dns.update
import dns.zone
import pytest

from harness import LOOPBACK, SECRET, keyring, simple_zone

ZONE = "sum.example."
KEY = "edit.example."


def check(server):
    """The zone's serial; its digest fits."""
    zone = dns.zone.from_xfr(dns.query.xfr(server.host, ZONE, port=server.port, relativize=False), relativize=False)
    zone.verify_digest()
    soa = zone.find_rdataset(ZONE, dns.rdatatype.SOA)[0]
    digests = zone.find_rdataset(ZONE, dns.rdatatype.ZONEMD)
    assert len(digests) == 1 and digests[0].serial == soa.serial
    return soa.serial


@pytest.mark.parametrize("writers", [False, True], ids=["file", "updates"])
def test_each_version_has_its_digest(lab, writers):
    t, s = lab.tandem("primary"), lab.tandem("secondary")
    options = {"update": [KEY]} if writers else {}
    t.file("zone", simple_zone(ZONE))
    t.configure({"keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}], "peers": [{"name": "s", "address": s.at}],
                 "zones": [{"name": ZONE, "role": "primary", "file": "zone", "generate-zonemd": "true", "notify": ["s"],
                            "transfer": ["any"], **options}]})
    s.configure({"peers": [{"name": "p", "address": t.at}],
                 "zones": [{"name": ZONE, "role": "secondary", "primaries": ["p"], "transfer": ["any"]}]})
    t.start(), s.start()
    serial = check(t)
    s.wait_answer(ZONE, serial=serial)
    t.file("zone", simple_zone(ZONE) + "; nothing that counts\n")
    t.reload()
    assert check(t) == serial
    t.file("zone", simple_zone(ZONE, 2, f"more.{ZONE} 60 IN A 192.0.2.2\n"))
    t.reload()
    assert check(t) == serial + 1
    if writers:
        u = dns.update.UpdateMessage(ZONE, keyring=keyring(KEY), keyname=KEY)
        u.add("even-more", 60, "A", "192.0.2.3")
        u.delete("@", "ZONEMD")
        assert dns.query.tcp(u, LOOPBACK, port=t.port, timeout=20).rcode() == 0
        assert check(t) == serial + 2
    s.wait_answer(ZONE, serial=check(t))
    check(s)
    assert s.status(ZONE)["last-transfer"]["kind"] == "ixfr"
    t.stop()
    t.start()
    assert check(t) == check(s)
