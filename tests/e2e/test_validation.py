"""Signed zones as validators see them: unbound, with the zones' keys as trust anchors and Tandem as the only source, finds no answer
bogus; the children of the zones are real, so that referrals with and without DS are followed. delv says the same of a sample."""
import collections
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import sys

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from harness import LOOPBACK, Server, Tandem, simple_zone, wait_until

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

    def ask(self, name, rdtype="A", timeout=5.0, checking=True, **kw):
        q = dns.message.make_query(name, rdtype, want_dnssec=True, payload=4096)
        if not checking:
            q.flags |= dns.flags.CD
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


def below_dname(world, name):
    return any(name.lower().endswith("." + d.lower()) for z in world.zones.values() for d in z.dnames)


class World:
    """Generated parents and their children, signed and not, with what a validator needs."""

    def __init__(self, seed, directory, address):
        self.rng = random.Random(seed)
        self.directory = pathlib.Path(directory)
        self.zones, self.parents, self.children, self.anchors = {}, {}, {}, {}
        self.cuts = {}  # origin of a child -> whether it has DS
        for origin, how in SIGNED.items():
            zone = generate.Zone(origin, self.rng).fill(120)
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
            self.parent = self.add(serve(directory / "parent", {**w.parents, **w.plain}))
            if address:
                self.child = self.add(serve(directory / "child", w.children, host=address, port=53))
            stubs = {o: self.parent for o in (*w.parents, *w.plain)}
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
                if rdtype in ("CNAME", "DNAME") and below_dname(world, name):
                    continue  # unbound takes the CNAME that is made from the DNAME for what was asked, and misses its signature
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
    zone = max((o for o in world.zones if qname.lower().endswith("." + o.lower()) or qname.lower() == o.lower()), key=len)
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


def has_chain(server, name):
    """Whether an answer leads on: loops and chains that are too long are what else a resolver gives SERVFAIL for."""
    r = server.ask(name, "TYPE65399", want_dnssec=True)
    return any(rrset.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.DNAME) for rrset in r.answer)


def validate(setting, seed, count, kinds, secure):
    """Asks and counts; returns what is bogus and how many had no answer for other reasons."""
    questions = questions_about(setting.world, seed, count)
    answers = asking.ask_udp(setting.validator, recursive(asking.wires(questions)), timeout=20)
    assert len(answers) == count, "every question gets an answer"
    bogus, failed = [], 0
    for n, wire in answers.items():
        if wire[3] & 15 == dns.rcode.SERVFAIL:
            name, rdtype, _ = questions[n]
            failed += 1
            if setting.validator.ask(name, rdtype, checking=False, timeout=20).rcode() != dns.rcode.SERVFAIL or not has_chain(setting.parent, name):
                bogus.append(questions[n])
        elif n % 5 == 0:
            m = dns.message.from_wire(wire)
            kind = kind_of(setting.world, questions[n], m)
            kinds[kind] += 1
            secure[kind] += bool(m.flags & dns.flags.AD)
    return bogus, failed


def test_unbound_finds_nothing_bogus(tmp_path_factory, setting, soak):
    kinds, secure, bogus, failed, asked = collections.Counter(), collections.Counter(), [], 0, 0
    for n in range(SOAK // NORMAL + 1 if soak else 1):
        here = setting if n == 0 else Setting(tmp_path_factory.mktemp(f"validation{n}"), 100 + n)
        try:
            b, f = validate(here, 7 + n, NORMAL, kinds, secure)
            bogus, failed, asked = bogus + b + here.validator.bogus(), failed + f, asked + NORMAL
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
