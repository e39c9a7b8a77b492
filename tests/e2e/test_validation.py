"""Signed zones as validators see them: unbound, with the zones' keys as trust anchors and Tandem as the only source, finds no answer
bogus; the children of the zones are real, so that referrals with and without DS are followed. delv says the same of a sample."""
import base64
import collections
import os
import pathlib
import random
import re
import socket
import subprocess
import sys

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from harness import LOOPBACK, UNBOUND_PORTS, Server, Tandem, simple_zone, wait_until

sys.path.append(str(pathlib.Path(__file__).parents[1] / "diff"))

import asking  # noqa: E402
import generate  # noqa: E402

SIGNED = {"zone2.test.": "nsec", "zone3.test.": "nsec3", "zone4.test.": "optout"}
KINDS = ["positive", "wildcard", "nodata", "wildcard nodata", "nxdomain", "secure referral", "insecure referral", "cname", "dname"]
NORMAL, SOAK = 16000, 100000


def child_address():
    """An address whose port 53 the children can have: resolvers follow glue to no other port. None: this user may not."""
    rng = random.Random(os.getpid())
    for _ in range(20):
        address = f"127.{rng.randrange(1, 250)}.{rng.randrange(250)}.{rng.randrange(1, 250)}"
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind((address, 53))
            return address
        except PermissionError:
            return None
        except OSError:
            continue
    return None


class Validator(Server):
    """unbound that knows nothing but the given zones: {origin: server}."""
    name = "unbound"

    def __init__(self, directory, stubs, anchors, **kw):
        super().__init__(directory, **kw)
        user = '  username: ""\n' if os.geteuid() == 0 else ""
        (self.dir / "anchors").write_text("".join(anchors))
        text = f"""server:
  interface: {self.at}
  port: {self.port}
  do-daemonize: no
  chroot: ""
{user}  directory: "{self.dir}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  do-ip6: no
  num-threads: 1
  num-queries-per-thread: 1024
  outgoing-range: 512
  {UNBOUND_PORTS}
  module-config: "validator iterator"
  trust-anchor-file: "{self.dir}/anchors"
  val-log-level: 2
  val-bogus-ttl: 0
  aggressive-nsec: no
  harden-below-nxdomain: no
  qname-minimisation: no
  msg-cache-size: 4k
  msg-cache-slabs: 1
  rrset-cache-size: 256k
  rrset-cache-slabs: 1
  neg-cache-size: 0
  edns-buffer-size: 1232
  access-control: 127.0.0.0/8 allow
  local-zone: "test." nodefault
  local-zone: "127.in-addr.arpa." nodefault
"""
        for origin, server in stubs.items():
            text += f'stub-zone:\n  name: "{origin}"\n  stub-addr: {server.at}\n  stub-prime: no\n'
        (self.dir / "unbound.conf").write_text(text + "remote-control:\n  control-enable: no\n")

    def start(self):
        self.spawn(["/usr/sbin/unbound", "-d", "-c", self.dir / "unbound.conf"])
        return self

    def ask(self, name, rdtype="A", timeout=20.0, **kw):
        q = dns.message.make_query(name, rdtype, want_dnssec=True, payload=4096)
        return dns.query.udp(q, self.host, timeout=timeout, port=self.port)

    def bogus(self):
        return re.findall(r"validation failure .*", self.log())


class Child(generate.Zone):
    """A zone without cuts whose servers are those that the parent names."""

    def __init__(self, origin, rng, servers, address):
        super().__init__(origin, rng)
        self.names = {origin: {**self.names[origin], "NS": servers}, f"ns.{origin}": {"A": [address]}}

    def cut(self):
        pass


def drop_nested_dnames(zone):
    """A DNAME that leads to its own owner or above is used again and again in one answer, where its record stands once; for the second
    CNAME made from it unbound misses a signature."""
    for owner in [o for o in zone.dnames if f".{o}".lower().endswith("." + zone.names[o]["DNAME"][0].lower())]:
        del zone.names[owner]["DNAME"]
        zone.dnames.remove(owner)
        if not zone.names[owner]:
            del zone.names[owner]


def drop_chains_above(cuts, zone):
    """unbound asks for DS at every name between a zone and a cut, and cannot make sense of a chain that loops there."""
    for owner in [o for o in zone.names if any(c.endswith("." + o) for c in cuts)]:
        zone.names[owner].pop("CNAME", None)
        if not zone.names[owner]:
            del zone.names[owner]


def drop_unprovable_wildcards(zone):
    """With opt-out the name between a zone and an insecure cut has no NSEC3, so that no proof says why a wildcard above it does not
    apply there (RFC 5155 §7.1)."""
    for owner in [o for o in zone.names if o.startswith("*.")]:
        parent = owner[1:]
        if any(c.endswith(parent) and "." in c[:-len(parent)] and "DS" not in zone.names[c] for c in zone.cuts):
            del zone.names[owner]


def misread(world, name, rdtype):
    """Asked for CNAME or DNAME unbound takes a CNAME that was made from a DNAME for what was asked, and misses its signature."""
    dnames = [d.lower() for z in world.zones.values() for d in z.dnames]
    if rdtype == "DNAME":
        return name.lower() not in dnames
    return rdtype == "CNAME" and any(name.lower().endswith("." + d) for d in dnames)


class World:
    """Generated parents and their children, signed and not, with what a validator needs."""

    def __init__(self, seed, directory, address):
        self.rng = random.Random(seed)
        self.directory = pathlib.Path(directory)
        self.zones, self.parents, self.children, self.anchors = {}, {}, {}, {}
        self.cuts = {}  # origin of a child -> whether it has DS
        for origin, how in SIGNED.items():
            zone = generate.Zone(origin, self.rng).fill(120)
            drop_nested_dnames(zone)
            drop_chains_above(zone.cuts, zone)
            if how == "optout":
                drop_unprovable_wildcards(zone)
            if address:
                self.make_children(zone, address)
            self.zones[origin] = zone
            self.parents[origin] = generate.sign(zone.text(), origin, self.directory / origin, how)
            self.anchors[origin] = self.keys_of(origin)
        self.plain = {o: simple_zone(o, extra=f"ns.elsewhere.{o} 60 IN A {address or LOOPBACK}\n") for o in ("example.net.", "zone0.test.")}

    def keys_of(self, origin):
        return "".join(p.read_text() for p in (self.directory / origin).glob("K*.key") if "257 3" in p.read_text())

    def make_children(self, parent, address):
        """Every cut gets a zone: signed in one of the three ways if it has DS."""
        for n, cut in enumerate(parent.cuts):
            child = Child(cut, self.rng, parent.names[cut]["NS"], address).fill(12)
            child.names[f"ns.{cut}"] = {"A": [address]}  # and no other that it was given
            drop_nested_dnames(child)
            if f"ns.{cut}" in parent.names:
                parent.names[f"ns.{cut}"] = {"A": [address]}
            self.cuts[cut] = "DS" in parent.names[cut]
            self.zones[cut], self.children[cut] = child, child.text()
            if self.cuts[cut]:
                self.children[cut] = generate.sign(child.text(), cut, self.directory / cut, list(SIGNED.values())[n % 3])
                parent.names[cut]["DS"] = [next((self.directory / cut).glob("dsset-*")).read_text().split("DS", 1)[1].strip()]


def serve(directory, texts, **kw):
    t = Tandem(directory, {"zones": [{"name": o, "role": "primary", "file": f"zone{n}"} for n, o in enumerate(texts)]}, **kw)
    for n, text in enumerate(texts.values()):
        t.file(f"zone{n}", text)
    t.start()
    for origin in texts:
        t.wait_answer(origin)
    return t


class Setting:
    def __init__(self, directory, seed):
        self.servers = []
        address = child_address()
        self.world = w = World(seed, directory / "keys", address)
        try:
            parent = self.add(serve(directory / "parent", {**w.parents, **w.plain}))
            if address:
                self.add(serve(directory / "child", w.children, host=address, port=53))
            self.sources = list(self.servers)
            stubs = {o: parent for o in (*w.parents, *w.plain)}
            self.validator = self.add(Validator(directory / "unbound", stubs, w.anchors.values()).start())
            self.validator.wait_answer("example.net.")
        except BaseException:
            self.stop()
            raise

    def add(self, server):
        self.servers.append(server)
        return server

    def stop(self):
        for s in reversed(self.servers):
            s.stop()


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    s = Setting(tmp_path_factory.mktemp("validation"), 11)
    yield s
    s.stop()


# ---- questions and what comes of them ----


def questions_about(world, seed, count):
    """Distinct questions, two of three about the parents."""
    parents = {o: (world.zones[o], None, "signed") for o in world.parents}
    everything = {o: (z, None, "signed") for o, z in world.zones.items()}
    out = {}
    for n in range(100):
        for part in (parents, parents, everything):
            for name, rdtype, _ in generate.make_questions(seed, part, count // 3):
                if misread(world, name, rdtype):
                    continue
                if rdtype == "DS" and name.lower() in world.parents:
                    continue  # that is for a parent to say which is not here
                out[(name.lower(), rdtype)] = (name, rdtype, True)
            seed += 1
        if len(out) >= count:
            return random.Random(seed).sample(list(out.values()), count)
    raise AssertionError(f"only {len(out)} distinct questions")


def recursive(packets):
    return [p[:2] + bytes([p[2] | 1]) + p[3:] for p in packets]


def wildcard_of(zone, qname):
    """The wildcard that a name is made from, None if it exists or there is none."""
    names = {n.lower() for n in zone.names}
    labels = qname.lower().rstrip(".").split(".")
    for i in range(len(labels)):
        here = ".".join(labels[i:]) + "."
        if any(n == here or n.endswith("." + here) for n in names):
            return f"*.{here}" if i and f"*.{here}" in names else None
    return None


def kind_of(world, question, m):
    """Which of KINDS an answer is."""
    qname, rdtype, _ = question
    above = qname.lower().split(".", 1)[1] if rdtype == "DS" else qname.lower()
    zone = max((o for o in world.zones if f".{above}".endswith("." + o.lower())), key=len)
    if zone in world.cuts:
        return "secure referral" if world.cuts[zone] else "insecure referral"
    types = {dns.rdatatype.to_text(r.rdtype) for r in m.answer}
    if "DNAME" in types and rdtype not in ("DNAME", "ANY"):
        return "dname"
    if "CNAME" in types and rdtype not in ("CNAME", "ANY"):
        return "cname"
    if m.rcode() == dns.rcode.NXDOMAIN:
        return "nxdomain"
    wildcard = "wildcard" if wildcard_of(world.zones[zone], qname) else ""
    return wildcard or "positive" if types else f"{wildcard} nodata".strip()


def has_chain(setting, name):
    """Whether an answer leads on: loops and chains that are too long are what else a resolver gives SERVFAIL for."""
    answers = [rrset.rdtype for s in setting.sources for rrset in s.ask(name, "TYPE65399", want_dnssec=True).answer]
    return dns.rdatatype.CNAME in answers or dns.rdatatype.DNAME in answers


def validate(setting, seed, count, kinds, secure):
    """Asks and counts; returns what is bogus, as unbound's log says or because nothing else explains it, and how many failed in all."""
    questions = questions_about(setting.world, seed, count)
    answers = asking.ask_udp(setting.validator, recursive(asking.wires(questions)), timeout=20)
    assert len(answers) == count, "every question gets an answer"
    failed = [questions[n] for n, wire in answers.items() if wire[3] & 15 == dns.rcode.SERVFAIL]
    chains = {name: has_chain(setting, name) for name in {q[0].lower() for q in failed}}
    bogus = setting.validator.bogus() + [q for q in failed if not chains[q[0].lower()]]
    for n in range(0, count, 5):
        m = dns.message.from_wire(answers[n])
        if m.rcode() != dns.rcode.SERVFAIL:
            kind = kind_of(setting.world, questions[n], m)
            kinds[kind] += 1
            secure[kind] += bool(m.flags & dns.flags.AD)
    return bogus, len(failed)


def test_unbound_finds_nothing_bogus(tmp_path_factory, setting, soak):
    kinds, secure, bogus, failed, asked = collections.Counter(), collections.Counter(), [], 0, 0
    for n in range(SOAK // NORMAL + 1 if soak else 1):
        here = setting if n == 0 else Setting(tmp_path_factory.mktemp(f"validation{n}"), 100 + n)
        try:
            b, f = validate(here, 7 + n, NORMAL, kinds, secure)
            bogus, failed, asked = bogus + b, failed + f, asked + NORMAL
        finally:
            if n:
                here.stop()
    print(f"{asked} answers, {len(bogus)} bogus, {failed} chains that loop")
    for kind in KINDS:
        print(f"  {kind}: {kinds[kind]} of a fifth, {secure[kind]} secure")
    assert not bogus, bogus[:10]
    assert failed < asked // 10
    for kind in KINDS:
        if "referral" not in kind or setting.world.cuts:
            assert kinds[kind] > 0, kind
            assert (secure[kind] > 0) == (kind != "insecure referral"), kind


# ---- what unbound does not look at: it asks for DS where a referral's proof is wanting ----


def records(section, rdtype):
    return [(rrset.name, rd) for rrset in section if rrset.rdtype == rdtype for rd in rrset]


def type_bits(rd):
    return {window * 256 + i * 8 + bit for window, octets in rd.windows for i, octet in enumerate(octets) for bit in range(8) if octet & 0x80 >> bit}


def denies_ds(authority, cut):
    """Whether NSEC or NSEC3 say that the cut has no DS, RFC 4035 §5.2, RFC 5155 §8.9."""
    cut = dns.name.from_text(cut)
    unsigned_cut = lambda bits: dns.rdatatype.NS in bits and dns.rdatatype.DS not in bits and dns.rdatatype.SOA not in bits  # noqa: E731
    if any(owner == cut and unsigned_cut(type_bits(rd)) for owner, rd in records(authority, dns.rdatatype.NSEC)):
        return True
    nsec3 = records(authority, dns.rdatatype.NSEC3)
    if not nsec3:
        return False
    have = {owner.labels[0].decode().upper(): rd for owner, rd in nsec3}
    rd = nsec3[0][1]
    hashed = lambda name: dns.dnssec.nsec3_hash(name, rd.salt, rd.iterations, rd.algorithm)  # noqa: E731
    if hashed(cut) in have:
        return unsigned_cut(type_bits(have[hashed(cut)]))
    encloser, next_closer = cut.parent(), cut
    while hashed(encloser) not in have and len(encloser) > 2:
        encloser, next_closer = encloser.parent(), encloser
    wanted = hashed(next_closer)
    return hashed(encloser) in have and any(covers(owner, base32(rd.next), wanted) and rd.flags & 1 for owner, rd in have.items())


def base32(octets):
    return base64.b32encode(octets).decode().translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV")).rstrip("=")


def covers(owner, following, wanted):
    return owner < wanted < following if owner < following else wanted > owner or wanted < following


def test_referrals_carry_ds_or_its_denial(setting):
    parents = setting.world.parents
    cuts = [(c, "DS" in setting.world.zones[o].names[c]) for o in parents for c in setting.world.zones[o].cuts]
    assert len(cuts) > 20 and {secure for _, secure in cuts} == {True, False}
    for cut, secure in cuts:
        for tcp in (False, True):
            r = setting.sources[0].ask(f"below.{cut}", "A", want_dnssec=True, tcp=tcp)
            types = [rrset.rdtype for rrset in r.authority]
            assert not r.flags & dns.flags.AA and not r.answer and dns.rdatatype.NS in types, cut
            signed = {(rrset.name, rrset.covers) for rrset in r.authority if rrset.rdtype == dns.rdatatype.RRSIG}
            proof = {(rrset.name, rrset.rdtype) for rrset in r.authority} - {(n, t) for n, t in [(dns.name.from_text(cut), dns.rdatatype.NS)]}
            assert {(n, t) for n, t in proof if t != dns.rdatatype.RRSIG} == signed, f"every RRset but NS is signed: {r}"
            if secure:
                assert dns.rdatatype.DS in types and not {dns.rdatatype.NSEC, dns.rdatatype.NSEC3} & set(types), cut
            else:
                assert dns.rdatatype.DS not in types and denies_ds(r.authority, cut), f"{cut}: {r}"


# ---- delv ----


def test_delv_agrees(setting, tmp_path):
    world, server, verdicts = setting.world, setting.sources[0], collections.Counter()
    for origin, anchor in world.anchors.items():
        fields = next(line for line in anchor.splitlines() if "DNSKEY" in line and not line.startswith(";")).split("DNSKEY")[1].split()
        path = tmp_path / "anchor"
        path.write_text(f'trust-anchors {{ {origin} static-key {" ".join(fields[:3])} "{"".join(fields[3:])}"; }};\n')
        zone = world.zones[origin]
        quiet = [n for n, sets in zone.names.items() if not {"CNAME", "DNAME"} & set(sets) and not zone.covered(n) and not n.startswith("*.")]
        for name, rdtype in [(origin, "SOA"), (origin, "MX"), *[(n, "A") for n in quiet[:8]], *[(f"absent{i}.{n}", "TXT") for i, n in enumerate(quiet[:4])]]:
            r = subprocess.run(["delv", f"@{server.host}", "-p", str(server.port), "-a", path, f"+root={origin}", name, rdtype],
                               capture_output=True, text=True, timeout=30)
            text = r.stdout + r.stderr
            verdict = re.search(r"; ((?:negative response, )?(?:fully validated|unsigned answer))", text)
            assert verdict, f"{name} {rdtype}: {text}"
            verdicts[verdict[1]] += 1
    print(dict(verdicts))
    assert verdicts["fully validated"] >= 10 and verdicts["negative response, fully validated"] >= 10


# ---- and it can fail ----


def broken_signature(text, owner, rdtype):
    """The zone with one bit of a signature turned over."""
    lines, done = text.splitlines(keepends=True), 0
    for n, line in enumerate(lines):
        words = line.split()
        if len(words) > 12 and words[0].lower() == owner and words[3] == "RRSIG" and words[4] == rdtype:
            words[12] = ("B" if words[12][10] == "A" else "A").join((words[12][:10], words[12][11:]))
            lines[n] = " ".join(words) + "\n"
            done += 1
    assert done == 1, f"{done} signatures"
    return "".join(lines)


@pytest.mark.parametrize("origin", SIGNED)
def test_a_broken_signature_is_bogus(tmp_path, origin):
    text = simple_zone(origin, extra=f"mail.{origin} 300 IN A 192.0.2.25\n")
    signed = generate.sign(text, origin, tmp_path / "keys", SIGNED[origin])
    anchor = "".join(p.read_text() for p in (tmp_path / "keys").glob("K*.key") if "257 3" in p.read_text())
    server = serve(tmp_path / "tandem", {origin: broken_signature(signed, f"www.{origin}", "A")})
    validator = Validator(tmp_path / "unbound", {origin: server}, [anchor]).start()
    try:
        validator.wait_answer(origin)
        good, bad = validator.ask(f"mail.{origin}"), validator.ask(f"www.{origin}")
        assert good.rcode() == dns.rcode.NOERROR and good.flags & dns.flags.AD
        assert bad.rcode() == dns.rcode.SERVFAIL
        wait_until(lambda: any(f"www.{origin}" in b for b in validator.bogus()), what="unbound to say so")
        assert len(validator.bogus()) == 1
    finally:
        validator.stop()
        server.stop()
