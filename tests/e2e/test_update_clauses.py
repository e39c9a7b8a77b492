"""RFC 2136 clause by clause: each row is sent to us and to BIND, each time for a zone of its own."""
import socket
import struct

import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype

from harness import Bind, soa

CLASSES = {"IN": 1, "CH": 3, "NONE": 254, "ANY": 255}
SERIAL = 10
DIGEST = "D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"
ZONE = f"""\
@ 3600 NS ns1
@ 3600 NS ns2.x.lean
@ 3600 MX 10 www
ns1 300 A 192.0.2.1
*.lean 300 A 192.0.2.2
www 300 A 192.0.2.2
www 300 A 192.0.2.3
www 300 TXT hello
cn 300 CNAME www
dn 300 DNAME elsewhere.
a.b 300 A 192.0.2.4
*.w 300 A 192.0.2.5
wks 300 WKS 192.0.2.1 6 25
sub 300 NS ns.sub
ns.sub 300 A 192.0.2.6
signed 300 NS ns.sub
signed 300 DS 1 8 2 {DIGEST}
"""

# (clause, message, RCODE, difference). A message has lines "OWNER CLASS TTL TYPE RDATA"; "?" before one makes it a prerequisite, "+" an
# additional record. "zone NAME TYPE CLASS": another zone section; "counts Z P U": another header. The difference has the zone's lines with
# + and -; the serial rises by one with it, or to what "serial N" says. A fifth member is (RCODE, difference) of BIND where it is another.
ROWS = [
    # ---- the zone section
    ("2.3 a zone section and nothing else", "", "NOERROR", ""),
    ("3.1.1 no zone", "counts 0 0 0", "FORMERR", ""),
    ("3.1.1 two zones", "counts 2 0 0", "FORMERR", ""),
    ("3.1.1 the type is not SOA", "zone @ A IN", "FORMERR", ""),
    ("3.1.1 the type is not SOA", "zone @ ANY IN", "FORMERR", ""),
    ("3.1.2 a name in the zone is not the zone", "zone www SOA IN", "NOTAUTH", ""),
    ("3.1.2 a zone of others", "zone nowhere. SOA IN", "NOTAUTH", ""),
    ("3.1.2 a delegated zone", "zone sub SOA IN", "NOTAUTH", ""),
    ("3.1.2 another class", "zone @ SOA CH", "NOTAUTH", "", ("NOTIMP", "")),
    ("2.6 additional records are looked at by nobody", "+far.away. IN 60 A 192.0.2.1", "NOERROR", ""),
    ("2.3 the case of the zone", "zone UPPER SOA IN\nnew IN 60 A 192.0.2.1", "NOERROR", "+new 60 A 192.0.2.1"),
    # ---- prerequisites
    ("2.4.1 RRset exists", "?www ANY 0 A", "NOERROR", ""),
    ("2.4.1 in any case", "?WWW ANY 0 A", "NOERROR", ""),
    ("2.4.1 another type", "?www ANY 0 AAAA", "NXRRSET", ""),
    ("2.4.1 no name", "?nobody ANY 0 A", "NXRRSET", ""),
    ("2.4.1 a wildcard is a name like others", "?*.w ANY 0 A", "NOERROR", ""),
    ("2.4.1 and makes no others", "?x.w ANY 0 A", "NXRRSET", ""),
    ("2.4.1 nor does a DNAME", "?x.dn ANY 0 CNAME", "NXRRSET", ""),
    ("2.4.1 a CNAME is not followed", "?cn ANY 0 A", "NXRRSET", ""),
    ("2.4.1 below a zone cut", "?ns.sub ANY 0 A", "NOERROR", ""),
    ("2.4.2 all of the RRset in any order", "?www IN 0 A 192.0.2.3\n?www IN 0 A 192.0.2.2", "NOERROR", ""),
    ("2.4.2 with others in between", "?www IN 0 A 192.0.2.2\n?ns1 IN 0 A 192.0.2.1\n?www IN 0 A 192.0.2.3", "NOERROR", ""),
    ("2.4.2 not all of it", "?www IN 0 A 192.0.2.2", "NXRRSET", ""),
    ("2.4.2 more than it", "?www IN 0 A 192.0.2.2\n?www IN 0 A 192.0.2.3\n?www IN 0 A 192.0.2.4", "NXRRSET", ""),
    ("2.4.2 other values", "?www IN 0 A 192.0.2.2\n?www IN 0 A 192.0.2.9", "NXRRSET", ""),
    ("2.4.2 names in RDATA in any case", "?cn IN 0 CNAME WWW", "NOERROR", ""),
    ("2.4.2 text in its case", "?www IN 0 TXT HELLO", "NXRRSET", ""),
    ("2.4.2 not there", "?www IN 0 MX 10 a", "NXRRSET", ""),
    ("2.4.2 one after all others", "?www IN 0 A 192.0.2.9\n?nobody ANY 0 ANY", "NXDOMAIN", ""),
    ("2.4.3 RRset does not exist", "?www NONE 0 AAAA\n?nobody NONE 0 A\n?x.w NONE 0 A", "NOERROR", ""),
    ("2.4.3 but it does", "?www NONE 0 A", "YXRRSET", ""),
    ("2.4.4 name is in use", "?www ANY 0 ANY\n?sub ANY 0 ANY\n?ns.sub ANY 0 ANY", "NOERROR", ""),
    ("2.4.4 but it is not", "?nobody ANY 0 ANY", "NXDOMAIN", ""),
    ("2.4.4 an empty non-terminal is not", "?b ANY 0 ANY", "NXDOMAIN", ""),
    ("2.4.4 nor what a wildcard would make", "?x.w ANY 0 ANY", "NXDOMAIN", ""),
    ("2.4.5 name is not in use", "?nobody NONE 0 ANY\n?b NONE 0 ANY\n?x.w NONE 0 ANY", "NOERROR", ""),
    ("2.4.5 but it is", "?www NONE 0 ANY", "YXDOMAIN", ""),
    ("3.2.1 a TTL", "?www ANY 1 A", "FORMERR", ""),
    ("3.2.1 a TTL", "?www NONE 1 AAAA", "FORMERR", ""),
    ("3.2.1 a TTL", "?www IN 1 TXT hello", "FORMERR", ""),
    ("3.2.1 a TTL that counts as 0 (RFC 2181 8)", "?www ANY 2147483648 A", "NOERROR", "", ("FORMERR", "")),
    ("3.2.2 not in the zone", "?far.away. ANY 0 ANY", "NOTZONE", ""),
    ("3.2.2 not in the zone", "?far.away. NONE 0 A", "NOTZONE", ""),
    ("3.2.2 not in the zone", "?far.away. IN 0 A 192.0.2.1", "NOTZONE", ""),
    ("3.2.3 RDATA", "?www ANY 0 A 192.0.2.2", "FORMERR", ""),
    ("3.2.3 RDATA", "?www NONE 0 A 192.0.2.2", "FORMERR", ""),
    ("3.2.4 another class", "?www CH 0 A 192.0.2.2", "FORMERR", ""),
    ("3.2.5 the first that does not hold is told", "?www NONE 0 A\n?nobody ANY 0 ANY", "YXRRSET", ""),
    ("3.2.5 nothing is done if one does not hold", "?www ANY 0 A\n?nobody ANY 0 A\nnew IN 60 A 192.0.2.1", "NXRRSET", ""),
    ("3.2.5 done if all hold", "?www ANY 0 A\nnew IN 60 A 192.0.2.1", "NOERROR", "+new 60 A 192.0.2.1"),
    ("3.2.5 of the zone as it was", "?new NONE 0 ANY\nnew IN 60 A 192.0.2.1", "NOERROR", "+new 60 A 192.0.2.1"),
    ("2.4.2 nothing can be said of all types", "?www IN 0 ANY", "NXRRSET", ""),
    # ---- prescan
    ("3.4.1.1 not in the zone", "far.away. IN 60 A 192.0.2.1", "NOTZONE", ""),
    ("3.4.1.1 after what is", "new IN 60 A 192.0.2.1\nfar.away. ANY 0 ANY", "NOTZONE", ""),
    ("3.4.1.2 another class", "new CH 60 A 192.0.2.1", "FORMERR", ""),
    ("3.4.1.2 class IN, type ANY", "new IN 60 ANY", "FORMERR", ""),
    ("3.4.1.2 class IN, type AXFR", "new IN 60 AXFR", "FORMERR", ""),
    ("3.4.1.2 class IN, type IXFR", "new IN 60 IXFR", "FORMERR", ""),
    ("3.4.1.2 class IN, type MAILA", "new IN 60 MAILA", "FORMERR", ""),
    ("3.4.1.2 class IN, type MAILB", "new IN 60 MAILB", "FORMERR", ""),
    ("3.4.1.2 class IN, type OPT", "new IN 60 OPT", "FORMERR", ""),
    ("3.4.1.2 class IN without RDATA", "new IN 60 A", "FORMERR", ""),
    ("3.4.1.2 class ANY with a TTL", "www ANY 60 A", "FORMERR", ""),
    ("3.4.1.2 class ANY with RDATA", "www ANY 0 A 192.0.2.2", "FORMERR", ""),
    ("3.4.1.2 class ANY, type AXFR", "www ANY 0 AXFR", "FORMERR", ""),
    ("3.4.1.2 class ANY, type MAILA", "www ANY 0 MAILA", "FORMERR", ""),
    ("3.4.1.2 class ANY, type MAILB", "www ANY 0 MAILB", "FORMERR", ""),
    ("3.4.1.2 class NONE with a TTL", "www NONE 60 A 192.0.2.2", "FORMERR", ""),
    ("3.4.1.2 class NONE, type ANY", "www NONE 0 ANY", "FORMERR", ""),
    ("3.4.1.2 class NONE, type AXFR", "www NONE 0 AXFR", "FORMERR", ""),
    ("3.4.1.2 class NONE, type MAILA", "www NONE 0 MAILA", "FORMERR", ""),
    ("3.4.1.2 class NONE, type MAILB", "www NONE 0 MAILB", "FORMERR", ""),
    ("3.4.1.3 nothing is done if one is wrong", "new IN 60 A 192.0.2.1\nwww ANY 60 A", "FORMERR", ""),
    ("3 what is wrong in the update counts before what does not hold", "?nobody ANY 0 ANY\nfar.away. IN 60 A 192.0.2.1", "NOTZONE", ""),
    # ---- adding
    ("3.4.2.2 to a new name", "new IN 60 A 192.0.2.1", "NOERROR", "+new 60 A 192.0.2.1"),
    ("3.4.2.2 to an RRset", "www IN 300 A 192.0.2.9", "NOERROR", "+www 300 A 192.0.2.9"),
    ("3.4.2.2 a duplicate", "www IN 300 A 192.0.2.2", "NOERROR", ""),
    ("3.4.2.2 twice in one message", "new IN 60 A 192.0.2.1\nNEW IN 60 A 192.0.2.1", "NOERROR", "+new 60 A 192.0.2.1", ("NOERROR", "+NEW 60 A 192.0.2.1")),
    ("3.4.2.2 below a zone cut", "other.sub IN 60 A 192.0.2.1", "NOERROR", "+other.sub 60 A 192.0.2.1"),
    ("3.4.2.2 a wildcard", "*.new IN 60 A 192.0.2.1", "NOERROR", "+*.new 60 A 192.0.2.1"),
    ("3.4.2.2 a type that nobody knows", r"new IN 60 TYPE65280 \# 3 010203", "NOERROR", r"+new 60 TYPE65280 \# 3 010203"),
    ("3.4.2.2, RFC 2181 5.2 another TTL is that of all", "www IN 60 A 192.0.2.9", "NOERROR",
     "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3\n+www 60 A 192.0.2.2\n+www 60 A 192.0.2.3\n+www 60 A 192.0.2.9"),
    ("3.4.2.2, RFC 2181 5.2 a duplicate of another TTL", "www IN 60 A 192.0.2.2", "NOERROR",
     "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3\n+www 60 A 192.0.2.2\n+www 60 A 192.0.2.3"),
    ("RFC 2181 8 a TTL over 2^31-1 is 0", "new IN 2147483648 A 192.0.2.1", "NOERROR", "+new 0 A 192.0.2.1"),
    ("3.4.2.2 CNAME beside others", "www IN 60 CNAME a", "NOERROR", ""),
    ("3.4.2.2 CNAME at the apex", "@ IN 60 CNAME a", "NOERROR", ""),
    ("3.4.2.2 others beside a CNAME", "cn IN 60 A 192.0.2.1\ncn IN 60 MX 10 a", "NOERROR", ""),
    ("3.4.2.2 one CNAME: the last", "cn IN 300 CNAME a\ncn IN 300 CNAME b", "NOERROR", "-cn 300 CNAME www\n+cn 300 CNAME b"),
    ("3.4.2.2 a CNAME with another TTL", "cn IN 60 CNAME www", "NOERROR", "-cn 300 CNAME www\n+cn 60 CNAME www"),
    ("3.4.2.2 the same CNAME", "cn IN 300 CNAME WWW", "NOERROR", ""),
    ("3.4.2.2 in this order: CNAME first", "new IN 60 CNAME a\nnew IN 60 A 192.0.2.1", "NOERROR", "+new 60 CNAME a"),
    ("3.4.2.2 in this order: CNAME last", "new IN 60 A 192.0.2.1\nnew IN 60 CNAME a", "NOERROR", "+new 60 A 192.0.2.1"),
    ("3.4.2.2 a CNAME once the name is free", "www ANY 0 ANY\nwww IN 60 CNAME a", "NOERROR",
     "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3\n-www 300 TXT hello\n+www 60 CNAME a"),
    ("3.4.2.2 a CNAME of a name in part free", "www ANY 0 A\nwww IN 60 CNAME a", "NOERROR", "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3"),
    ("3.4.2.2 others once the CNAME is gone", "cn ANY 0 CNAME\ncn IN 60 A 192.0.2.1", "NOERROR", "-cn 300 CNAME www\n+cn 60 A 192.0.2.1"),
    ("RFC 4035 2.5 KEY beside a CNAME", r"cn IN 60 KEY \# 7 02000308010203", "NOERROR", r"+cn 60 KEY \# 7 02000308010203"),
    ("RFC 4035 2.5 but no DS", f"cn IN 60 DS 1 8 2 {DIGEST}", "NOERROR", ""),
    ("RFC 4035 2.5 CNAME beside a KEY", "new IN 60 KEY \\# 7 02000308010203\nnew IN 60 CNAME a", "NOERROR", "+new 60 KEY \\# 7 02000308010203\n+new 60 CNAME a"),
    ("3.4.2.2 SOA with a higher serial", "@ IN 3600 SOA ns1 h 20 1 2 3 4", "NOERROR",
     "serial 20\n-@ 3600 SOA ns1 hostmaster 10 3600 600 86400 300\n+@ 3600 SOA ns1 h 20 1 2 3 4"),
    ("3.4.2.2 SOA with a higher serial, and more", "@ IN 3600 SOA ns1 hostmaster 20 3600 600 86400 300\nnew IN 60 A 192.0.2.1", "NOERROR",
     "serial 20\n+new 60 A 192.0.2.1"),
    ("3.4.2.2 SOA with the same serial", "@ IN 3600 SOA ns1 h 10 1 2 3 4", "NOERROR", ""),
    ("3.4.2.2 SOA with a lower serial (RFC 1982)", "@ IN 3600 SOA ns1 h 2147483670 1 2 3 4", "NOERROR", ""),
    ("3.4.2.2 SOA with a lower serial, and more", "@ IN 3600 SOA ns1 h 9 1 2 3 4\nnew IN 60 A 192.0.2.1", "NOERROR", "+new 60 A 192.0.2.1"),
    ("3.4.2.2 SOA of a name that has none", "www IN 3600 SOA ns1 h 20 1 2 3 4", "NOERROR", ""),
    ("3.4.2.2 WKS of the same address and protocol", "wks IN 300 WKS 192.0.2.1 6 80", "NOERROR", "-wks 300 WKS 192.0.2.1 6 25\n+wks 300 WKS 192.0.2.1 6 80"),
    ("3.4.2.2 WKS of another protocol", "wks IN 300 WKS 192.0.2.1 17 53", "NOERROR", "+wks 300 WKS 192.0.2.1 17 53"),
    ("3.4.2.2 WKS of another address", "wks IN 300 WKS 192.0.2.2 6 80", "NOERROR", "+wks 300 WKS 192.0.2.2 6 80"),
    ("RFC 6672 2.4 one DNAME: the last", "dn IN 300 DNAME b.", "NOERROR", "-dn 300 DNAME elsewhere.\n+dn 300 DNAME b."),
    ("RFC 4592 4.2, 4.4 a wildcard is neither delegated nor redirected", "*.new IN 60 NS ns1\n*.new IN 60 DNAME a.", "NOERROR", ""),
    ("RFC 4035 2.4 DS at a zone cut", f"sub IN 60 DS 1 8 2 {DIGEST}", "NOERROR", f"+sub 60 DS 1 8 2 {DIGEST}"),
    ("RFC 4035 2.4 no DS where nothing is delegated", f"www IN 60 DS 1 8 2 {DIGEST}\nnew IN 60 DS 1 8 2 {DIGEST}", "NOERROR", "", ("NOERROR", "serial 11")),
    ("RFC 4035 2.4 DS and NS in either order", f"new IN 60 DS 1 8 2 {DIGEST}\nnew IN 60 NS ns1", "NOERROR", f"+new 60 DS 1 8 2 {DIGEST}\n+new 60 NS ns1"),
    # ---- deleting
    ("3.4.2.3 an RRset", "www ANY 0 A", "NOERROR", "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3"),
    ("3.4.2.3 that is not there", "www ANY 0 AAAA\nnobody ANY 0 A", "NOERROR", ""),
    ("3.4.2.3 SOA and NS of the apex stay", "@ ANY 0 SOA\n@ ANY 0 NS", "NOERROR", ""),
    ("3.4.2.3 other RRsets of the apex do not", "@ ANY 0 MX", "NOERROR", "-@ 3600 MX 10 www"),
    ("3.4.2.3 nor NS below it", "sub ANY 0 NS", "NOERROR", "-sub 300 NS ns.sub"),
    ("3.4.2.3 a name", "www ANY 0 ANY", "NOERROR", "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3\n-www 300 TXT hello"),
    ("3.4.2.3 all of the apex but SOA and NS", "@ ANY 0 ANY", "NOERROR", "-@ 3600 MX 10 www"),
    ("3.4.2.3 a name that does not exist", "nobody ANY 0 ANY\nb ANY 0 ANY\nx.w ANY 0 ANY", "NOERROR", ""),
    ("3.4.2.3 a wildcard alone", "*.w ANY 0 ANY", "NOERROR", "-*.w 300 A 192.0.2.5"),
    ("RFC 4035 2.4 DS goes with its NS", "signed ANY 0 NS", "NOERROR", f"-signed 300 NS ns.sub\n-signed 300 DS 1 8 2 {DIGEST}"),
    ("RFC 4035 2.4 with the last of them", "signed NONE 0 NS ns.sub", "NOERROR", f"-signed 300 NS ns.sub\n-signed 300 DS 1 8 2 {DIGEST}"),
    ("RFC 4035 2.4 but not before", "signed IN 300 NS ns1\nsigned NONE 0 NS ns.sub", "NOERROR", "+signed 300 NS ns1\n-signed 300 NS ns.sub"),
    ("3.4.2.4 a record", "www NONE 0 A 192.0.2.2", "NOERROR", "-www 300 A 192.0.2.2"),
    ("3.4.2.4 in any case", "CN NONE 0 CNAME WWW", "NOERROR", "-cn 300 CNAME www"),
    ("3.4.2.4 that is not there", "www NONE 0 A 192.0.2.9\nnobody NONE 0 A 192.0.2.9", "NOERROR", ""),
    ("3.4.2.4 not the SOA", "@ NONE 0 SOA ns1 hostmaster 10 3600 600 86400 300", "NOERROR", ""),
    ("3.4.2.4 not the last NS of the apex", "@ NONE 0 NS ns1\n@ NONE 0 NS ns2.x.lean", "NOERROR", "-@ 3600 NS ns1"),
    ("3.4.2.4 but the last NS below it", "sub NONE 0 NS ns.sub", "NOERROR", "-sub 300 NS ns.sub"),
    ("3.4.2.4 NS of the apex exchanged", "@ IN 3600 NS ns.a.\n@ NONE 0 NS ns1\n@ NONE 0 NS ns2.x.lean", "NOERROR", "+@ 3600 NS ns.a.\n-@ 3600 NS ns1\n-@ 3600 NS ns2.x.lean"),
    # ---- order, serial
    ("3.4.2 in order: added and deleted", "new IN 60 A 192.0.2.1\nnew ANY 0 ANY", "NOERROR", ""),
    ("3.4.2 in order: deleted and added", "www ANY 0 A\nwww IN 300 A 192.0.2.7", "NOERROR",
     "-www 300 A 192.0.2.2\n-www 300 A 192.0.2.3\n+www 300 A 192.0.2.7"),
    ("3.6 the serial rises once", "new IN 60 A 192.0.2.1\nnew2 IN 60 A 192.0.2.1\nwww ANY 0 TXT", "NOERROR",
     "+new 60 A 192.0.2.1\n+new2 60 A 192.0.2.1\n-www 300 TXT hello"),
    ("3.6 what ends where it began is no change", "www NONE 0 A 192.0.2.2\nwww IN 300 A 192.0.2.2", "NOERROR", ""),
    # ---- what BIND asks besides
    ("RFC 4035 2.4 no DS at the apex", f"@ IN 60 DS 1 8 2 {DIGEST}", "REFUSED", "", ("NOERROR", "")),
    ("RFC 4035 2.2 signatures are the signer's", "www IN 60 NSEC a A", "REFUSED", ""),
    ("a name server of the zone keeps an address", "ns1 ANY 0 A", "REFUSED", ""),
    ("RFC 4592 3.3.1 be it a wildcard's: not lost by a record of its own", "ns2.x.lean IN 60 TXT x", "REFUSED", ""),
    ("RFC 4592 3.3.1 nor by one below it", "a.ns2.x.lean IN 60 TXT x", "REFUSED", ""),
    ("RFC 4592 3.3.1 nor by one beside it, at or below the next closer name", "other.x.lean IN 60 TXT x", "REFUSED", ""),
    ("RFC 4592 3.3.1 but another name there hinders nobody", "new.lean IN 60 TXT x", "NOERROR", "+new.lean 60 TXT x"),
    ("RFC 4592 3.3.1 nor does a record with an address of its own", "ns2.x.lean IN 60 TXT x\nns2.x.lean IN 60 A 192.0.2.9", "NOERROR",
     "+ns2.x.lean 60 TXT x\n+ns2.x.lean 60 A 192.0.2.9"),
    ("RFC 2181 10.3 and is no alias", "@ IN 3600 NS cn", "REFUSED", ""),
]


def zone_name(number):
    return dns.name.from_text(f"z{number}.clause.example.")


def text_of(origin):
    return soa(origin.to_text(), SERIAL).replace(f"ns1.{origin}", "ns1").replace(f"hostmaster.{origin}", "hostmaster") + "".join(
        "{} {} IN {}\n".format(*line.split(" ", 2)) for line in ZONE.splitlines())


def record(origin, owner, klass, ttl, rdtype, value):
    code = dns.rdatatype.from_text(rdtype)
    rdata = dns.rdata.from_text("IN", code, value, origin=origin, relativize=False).to_wire() if value else b""
    return dns.name.from_text(owner, origin).to_wire() + struct.pack("!HHIH", code, CLASSES[klass], int(ttl), len(rdata)) + rdata


def message(number, lines):
    origin = zone_name(number)
    sections, zone, counts = [[], [], []], origin.to_wire() + struct.pack("!HH", 6, 1), None
    for line in lines.splitlines():
        words = line.lstrip("?+").split(None, 4)
        if words[0] == "counts":
            counts = [int(n) for n in words[1:]]
        elif words[0] == "zone":
            name = origin.to_text().upper() if words[1] == "UPPER" else words[1]
            zone = dns.name.from_text(name, origin).to_wire() + struct.pack("!HH", dns.rdatatype.from_text(words[2]), CLASSES[words[3]])
        else:
            sections[{"?": 0, "+": 2}.get(line[0], 1)].append(record(origin, *words, *[""] * (5 - len(words))))
    zones, prerequisites, updates = counts or [1, len(sections[0]), len(sections[1])]
    header = struct.pack("!HHHHHH", number, 5 << 11, zones, prerequisites, updates, len(sections[2]))
    return header + zone * zones + b"".join(sum(sections, []))


def ask(server, wire):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.sendto(wire, (server.host, server.port))
        answer = s.recv(4096)
    assert answer[:2] == wire[:2] and answer[2] >> 3 == 0b10101, "an answer to an UPDATE (2.2)"
    return dns.rcode.to_text(answer[3] & 15)


def canonical(origin, line):
    owner, ttl, rdtype, value = line.split(" ", 3)
    return f"{dns.name.from_text(owner, origin)} {ttl} {rdtype} {dns.rdata.from_text('IN', rdtype, value, origin=origin, relativize=False).to_text()}"


def outcome(server, number, wire):
    """(RCODE, serial, what went, what came)"""
    origin = zone_name(number)
    rcode = ask(server, wire)
    after = set(server.axfr(origin.to_text()))
    serial = [int(r.split()[5]) for r in after if " SOA " in r][0]
    before = {canonical(origin, line) for line in f"@ 3600 SOA ns1 hostmaster {serial} 3600 600 86400 300\n{ZONE}".splitlines()}
    return rcode, serial, before - after, after - before


def wanted(number, rcode, difference):
    origin = zone_name(number)
    serial, went, came = SERIAL + bool(difference), set(), set()
    for line in difference.splitlines():
        if line.startswith("serial"):
            serial = int(line.split()[1])
        else:
            (came if line[0] == "+" else went).add(canonical(origin, line[1:]))
    keep = {r.replace(" 10 3600 600 ", f" {serial} 3600 600 ") for r in went}
    return rcode, serial, keep, came


def test_every_clause(lab):
    t = lab.tandem("tandem")
    zones = {zone_name(n).to_text(): text_of(zone_name(n)) for n in range(len(ROWS))}
    for origin, text in zones.items():
        t.file(origin, text)
    t.configure({"zones": [{"name": o, "role": "primary", "file": o, "transfer": ["any"], "update": ["any"]} for o in zones]})
    b = lab.add(Bind, "bind", zones, t)
    path = b.dir / "named.conf"
    path.write_text(path.read_text().replace("check-integrity no;", "check-integrity no; allow-update { any; }; notify no;"))
    b.start(), t.start()
    b.wait_answer(zone_name(len(ROWS) - 1).to_text(), timeout=60)
    wrong = []
    for number, (clause, lines, *ours) in enumerate(ROWS):
        wire = message(number, lines)
        for server, expected in ((t, ours[:2]), (b, ours[2] if len(ours) > 2 else ours[:2])):
            got, should = outcome(server, number, wire), wanted(number, *expected)
            if got != should:
                wrong.append(f"{server.name}: {clause}: {lines!r}\n    got    {got}\n    wanted {should}")
    assert not wrong, "\n".join(wrong)
