"""Seeded zones and questions for the differential test: wildcards, cuts with and without glue, DNAMEs, empty non-terminals, CNAME
chains and loops, plain and signed with NSEC, NSEC3 and NSEC3 with opt-out."""
import pathlib
import random
import subprocess

LABELS = ["a", "b", "c", "www", "mail", "x", "ns", "deep", "_tcp", "_sip", "z9", "A-b", "0"]
TYPES = ["A", "AAAA", "TXT", "MX", "CNAME", "NS", "SOA", "DS", "SRV", "DNAME", "CAA", "ANY", "PTR", "TYPE65280", "NSEC", "DNSKEY", "HTTPS"]
TTLS = [60, 300, 3600]


class Zone:
    def __init__(self, origin, rng):
        self.origin, self.rng = origin, rng
        self.names = {}  # owner -> {type: [rdata]}
        self.cuts, self.dnames = [], []
        self.add(origin, "SOA", f"ns1.{origin} hostmaster.{origin} 1 3600 600 86400 300")
        for n in ("ns1", "ns2"):
            self.add(origin, "NS", f"{n}.{origin}")
            self.add(f"{n}.{origin}", "A", "192.0.2.1")

    def add(self, owner, rdtype, rdata):
        have = self.names.setdefault(owner, {})
        if "CNAME" in have or (rdtype == "CNAME" and have) or (rdtype == "DNAME" and "DNAME" in have):
            return False
        if rdata not in have.setdefault(rdtype, []):
            have[rdtype].append(rdata)
        return True

    def covered(self, owner):
        """Whether the name is at or below a cut or below a DNAME: nothing ordinary goes there."""
        return any(owner == c or owner.endswith("." + c) for c in self.cuts) or any(owner.endswith("." + d) for d in self.dnames)

    def name(self, depth=None):
        depth = depth or self.rng.choice([1, 1, 1, 2, 2, 3, 4])
        return ".".join(self.rng.choice(LABELS) for _ in range(depth)) + "." + self.origin

    def target(self):
        return self.rng.choice([self.name(), self.name(), self.rng.choice(list(self.names)), "outside.example.net.", "www.zone0.test."])

    def fill(self, count):
        makers = [self.plain, self.plain, self.plain, self.cname, self.wildcard, self.cut, self.dname, self.loop, self.mixed]
        while len(self.names) < count:
            self.rng.choice(makers)()
        return self

    def plain(self):
        owner = self.name()
        if self.covered(owner):
            return
        r = self.rng
        rdtype, rdata = r.choice([("A", f"192.0.2.{r.randrange(256)}"), ("AAAA", f"2001:db8::{r.randrange(65536):x}"), ("TXT", f'"t{r.randrange(9)}"'),
                                  ("MX", f"{r.randrange(50)} {self.target()}"), ("SRV", f"1 2 {r.randrange(9999)} {self.target()}"),
                                  ("CAA", '0 issue "ca.example.net"'), ("PTR", self.target()), ("TYPE65280", r"\# 2 abcd")])
        self.add(owner, rdtype, rdata)

    def mixed(self):
        owner = self.name()
        if not self.covered(owner):
            for i in range(self.rng.randrange(1, 5)):
                self.add(owner, "A", f"192.0.2.{i}")
                self.add(owner, "AAAA", f"2001:db8::{i}")
            self.add(owner, "MX", f"10 {owner}")

    def cname(self):
        owner = self.name()
        if not self.covered(owner) and owner not in self.names:
            self.add(owner, "CNAME", self.target())

    def loop(self):
        a, b = self.name(), self.name()
        if a != b and not self.covered(a) and not self.covered(b) and a not in self.names and b not in self.names:
            self.add(a, "CNAME", b)
            self.add(b, "CNAME", a)

    def wildcard(self):
        parent = self.name()
        if self.covered("*." + parent):
            return
        r = self.rng
        rdtype, rdata = r.choice([("A", "192.0.2.99"), ("CNAME", self.target()), ("MX", f"5 {self.target()}"), ("TXT", '"wild"')])
        self.add("*." + parent, rdtype, rdata)

    def cut(self):
        owner = self.name()
        below = [n for n in self.names if n == owner or n.endswith("." + owner)]
        if self.covered(owner) or below:
            return
        self.cuts.append(owner)
        kind = self.rng.randrange(4)
        if kind != 1:
            self.add(owner, "NS", f"ns.{owner}")
            self.add(f"ns.{owner}", "A", "192.0.2.53")
            if kind == 2:
                self.add(f"ns.{owner}", "AAAA", "2001:db8::53")
        if kind != 0:
            self.add(owner, "NS", "ns.elsewhere.example.net.")
        if self.rng.random() < 0.4:
            self.add(owner, "DS", "12345 13 2 " + "AB" * 32)

    def dname(self):
        owner = self.name(self.rng.choice([1, 2]))
        below = [n for n in self.names if n.endswith("." + owner)]
        if self.covered(owner) or below or owner in self.names:
            return
        self.dnames.append(owner)
        self.add(owner, "DNAME", self.rng.choice([self.name(1), "other.example.net.", "sub.zone0.test.", "x" * 60 + "." + "y" * 60 + "." + "z" * 60 + ".example.net."]))

    def text(self):
        lines = []
        for owner, sets in self.names.items():
            for rdtype, rdatas in sets.items():
                ttl = 3600 if owner == self.origin else TTLS[len(owner + rdtype) % 3]
                lines += [f"{owner} {ttl} IN {rdtype} {rdata}\n" for rdata in rdatas]
        return "".join(sorted(lines, key=lambda line: " SOA " not in line))


def sign(text, origin, directory, how):
    """Signed by BIND's tools; `how` is nsec, nsec3 or optout."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    zone = directory / "zone"
    zone.write_text(text)
    for flags in (["-f", "KSK"], []):
        subprocess.run(["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-K", directory, *flags, origin], check=True, capture_output=True)
    extra = {"nsec": [], "nsec3": ["-3", "-", "-H", "0"], "optout": ["-3", "AABB", "-H", "2", "-A"]}[how]
    subprocess.run(["dnssec-signzone", "-q", "-S", "-K", directory, "-d", directory, "-P", "-x", "-o", origin, "-e", "+30d", "-O", "full",
                    "-f", directory / "signed", *extra, zone], check=True, capture_output=True)
    return (directory / "signed").read_text()


def make_zones(seed, directory, names=120):
    """{origin: text}"""
    rng = random.Random(seed)
    zones = {}
    for n, how in enumerate(["plain", "plain", "nsec", "nsec3", "optout"]):
        origin = f"zone{n}.test."
        z = Zone(origin, rng).fill(names)
        zones[origin] = (z, z.text() if how == "plain" else sign(z.text(), origin, pathlib.Path(directory) / origin, how), how)
    return zones


def make_questions(seed, zones, count):
    """(name, type, do) in a seeded order: names that are there, near them, below them, and not at all."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        origin = rng.choice(list(zones))
        z, _, how = zones[origin]
        owner = rng.choice(list(z.names))
        kind = rng.randrange(10)
        if kind < 4:
            name = owner
        elif kind < 6:
            name = rng.choice(LABELS) + "." + owner
        elif kind < 7:
            name = rng.choice(LABELS) + "." + rng.choice(LABELS) + "." + owner
        elif kind < 8:
            name = owner.split(".", 1)[1] if owner != origin else owner
        else:
            name = z.name()
        if name.startswith("*.") and rng.random() < 0.5:
            name = rng.choice(LABELS) + name[1:]
        if rng.random() < 0.1:
            name = "".join(c.upper() if rng.random() < 0.5 else c for c in name)
        if len(name) > 250:
            name = owner
        out.append((name, rng.choice(TYPES), rng.random() < (0.6 if how != "plain" else 0.2)))
    return out
