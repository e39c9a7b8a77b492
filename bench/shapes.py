"""Zones of other shapes than a flat one, each with the questions that make something of its shape: rows of SHAPES."""
import random

import data

NAMES = 50000
ORIGIN = data.ORIGIN
HEAD = f"$ORIGIN {ORIGIN}\n$TTL 3600\n@ SOA {data.soa_text()}\n@ NS ns1\nns1 A 192.0.2.1\n"


def nibbles(rng):
    """Of an IPv6 address below one /64, the way ip6.arpa writes them."""
    return ".".join(f"{rng.randrange(1 << 64):016x}")


def reverse(rng):
    names = [nibbles(rng) for _ in range(NAMES)]
    return [f"{n} PTR host{i}.example.net." for i, n in enumerate(names)], [data.query(f"{n}.{ORIGIN}", 12) for n in names]


def deep(rng):
    labels = ("a", "bb", "ccc", "west", "east", "zone1", "zone2", "k8s")
    names = [".".join(rng.choices(labels, k=9)) + f".n{i % 5000}" for i in range(NAMES)]
    return [f"{n} A 192.0.2.7" for n in set(names)], [data.query(f"{n}.{ORIGIN}") for n in names]


def wildcard(rng):
    return ([f"*.s{i} A 192.0.2.9" for i in range(NAMES // 10)] + [f"there.s{i} A 192.0.2.8" for i in range(NAMES // 10)],
            [data.query(f"x{rng.randrange(1 << 30):x}.s{rng.randrange(NAMES // 10)}.{ORIGIN}") for _ in range(NAMES)])


def large_set(rng):
    return ([f"pool{i} A 10.{i % 200}.{k}.{i // 200}" for i in range(NAMES // 20) for k in range(40)],
            [data.query(f"pool{rng.randrange(NAMES // 20)}.{ORIGIN}", edns=True) for _ in range(NAMES)])


def truncated(rng):
    return large_set(rng)[0], [data.query(f"pool{rng.randrange(NAMES // 20)}.{ORIGIN}") for _ in range(NAMES)]


def mail(rng):
    lines = []
    for i in range(NAMES // 10):
        for p in (10, 20, 30):
            lines += [f"d{i} MX {p} mx{p}.d{i}", f"mx{p}.d{i} A 192.0.2.{p}", f"mx{p}.d{i} AAAA 2001:db8::{p}"]
    return lines, [data.query(f"d{rng.randrange(NAMES // 10)}.{ORIGIN}", 15, edns=True) for _ in range(NAMES)]


def chain(rng):
    lines = [f"c{i}-{k} CNAME c{i}-{k + 1}" for i in range(NAMES // 10) for k in range(5)] + [f"c{i}-5 A 192.0.2.5" for i in range(NAMES // 10)]
    return lines, [data.query(f"c{rng.randrange(NAMES // 10)}-0.{ORIGIN}") for _ in range(NAMES)]


def registry(rng):
    """Delegations as a top-level domain has them: most to servers elsewhere."""
    lines = [f"d{i} NS ns{k}.hoster{i % 300}.net." for i in range(NAMES) for k in (1, 2)]
    return lines, [data.query(f"www.d{rng.randrange(NAMES)}.{ORIGIN}", edns=True) for _ in range(NAMES)]


def glue(rng):
    lines = [f"d{i} NS ns{k}.d{i}\nns{k}.d{i} A 192.0.2.{k}\nns{k}.d{i} AAAA 2001:db8::{k}" for i in range(NAMES // 2) for k in (1, 2)]
    return lines, [data.query(f"www.d{rng.randrange(NAMES // 2)}.{ORIGIN}", edns=True) for _ in range(NAMES)]


def text(rng):
    big = " ".join(f'"{"v" * 200}"' for _ in range(5))
    return [f"t{i} TXT {big}" for i in range(NAMES // 10)], [
        data.query(f"t{rng.randrange(NAMES // 10)}.{ORIGIN}", 16, edns=True) for _ in range(NAMES)
    ]


def no_data(rng):
    return [f"h{i} A 192.0.2.3" for i in range(NAMES)], [data.query(f"h{rng.randrange(NAMES)}.{ORIGIN}", 28, edns=True) for _ in range(NAMES)]


def mixed_case(rng):
    def shake(name):
        return "".join(c.upper() if rng.random() < 0.5 else c for c in name)
    return ([f"host-with-a-long-name-{i} A 192.0.2.4" for i in range(NAMES)],
            [data.query(shake(f"host-with-a-long-name-{rng.randrange(NAMES)}.{ORIGIN}")) for _ in range(NAMES)])


def dname(rng):
    return ([f"old{i} DNAME new{i}\nwww.new{i} A 192.0.2.6" for i in range(NAMES // 10)],
            [data.query(f"www.old{rng.randrange(NAMES // 10)}.{ORIGIN}", edns=True) for _ in range(NAMES)])


def service(rng):
    lines = [f"_sip._tcp.v{i} SRV 1 {w} 5060 node{w}.v{i}\nnode{w}.v{i} A 192.0.2.{w}" for i in range(NAMES // 10) for w in (1, 2, 3)]
    return lines, [data.query(f"_sip._tcp.v{rng.randrange(NAMES // 10)}.{ORIGIN}", 33, edns=True) for _ in range(NAMES)]


SHAPES = {"ip6.arpa, 16 labels": reverse, "10 labels": deep, "wildcards": wildcard, "40 addresses": large_set, "40 addresses, truncated": truncated,
          "MX with 6 addresses": mail, "5 CNAMEs": chain, "referrals without glue": registry, "referrals with glue": glue, "1 KB of text": text,
          "absent types": no_data, "mixed case": mixed_case, "DNAME": dname, "SRV": service}


def write(path, shape):
    """The zone, and the messages."""
    lines, messages = SHAPES[shape](random.Random(data.SEED))
    path.write_text(HEAD + "\n".join(lines) + "\n")
    return messages
