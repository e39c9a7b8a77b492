"""Zones, questions and messages for bench.py, made from seeds: the same on every machine."""
import base64
import bisect
import hashlib
import itertools
import random
import struct

SEED = 20261122
ORIGIN = "bench.example."
A, NS, SOA, DNSKEY, NSEC, NSEC3, RRSIG, NSEC3PARAM = 1, 2, 6, 48, 47, 50, 46, 51
HEX32 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHIJKLMNOPQRSTUV")


def address(i):
    """Of host number i, at first."""
    return 0x0A000000 | random.Random(SEED + i).randrange(256) << 16 | i & 0xFFFF


def dotted(a):
    return f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}"


def soa_text(serial=1):
    return f"ns1 hostmaster {serial} 3600 600 86400 300"


def write_flat(path, names):
    """`names` hosts, one address each."""
    with open(path, "w") as f:
        f.write(f"$ORIGIN {ORIGIN}\n$TTL 3600\n@ SOA {soa_text()}\n@ NS ns1\nns1 A 192.0.2.1\n")
        f.writelines(f"host{i} A {dotted(address(i))}\n" for i in range(names))
    return names + 3


def write_small(path):
    """One of the many zones: 10 records, relative to its name."""
    path.write_text("$TTL 3600\n@ SOA " + soa_text() + "\n@ NS ns1\n@ NS ns2\n@ MX 10 mail\n@ TXT \"v=spf1 mx -all\"\nns1 A 192.0.2.1\n"
                    "ns2 A 192.0.2.2\nmail A 192.0.2.25\nwww A 192.0.2.80\nwww AAAA 2001:db8::80\n")
    return 10


# ---- signed zones: the chains are right, the signatures are random octets, for no server looks at them ----

def signature(rng, covered, labels):
    sig = base64.b64encode(rng.randbytes(64)).decode()
    return f"RRSIG {covered} 13 {labels} 3600 20380101000000 20200101000000 12345 {ORIGIN} {sig}"


def nsec3_hash(name, salt=b""):
    """Of a name in text, no iterations."""
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"
    return base64.b32encode(hashlib.sha1(wire + salt).digest()).translate(HEX32).decode().lower()


def write_signed(path, names, nsec3):
    """`names` hosts with one address each, and a delegation for every tenth; every RRset has one signature."""
    rng = random.Random(SEED)
    types = {"@": "NS SOA RRSIG DNSKEY" + (" NSEC3PARAM" if nsec3 else " NSEC"), "ns1": "A RRSIG" + ("" if nsec3 else " NSEC")}
    count = 0
    with open(path, "w") as f:
        def put(owner, line, sign=True):
            nonlocal count
            f.write(f"{owner} {line}\n")
            count += 1
            if sign:
                f.write(f"{owner} {signature(rng, line.split()[0], 2 if owner == '@' else 3)}\n")
                count += 1
        f.write(f"$ORIGIN {ORIGIN}\n$TTL 3600\n")
        put("@", f"SOA {soa_text()}")
        put("@", "NS ns1")
        put("@", f"DNSKEY 257 3 13 {base64.b64encode(rng.randbytes(64)).decode()}")
        put("ns1", "A 192.0.2.1")
        if nsec3:
            put("@", "NSEC3PARAM 1 0 0 -")
        for i in range(names):
            put(f"host{i}", f"A {dotted(address(i))}")
            types[f"host{i}"] = "A RRSIG" + ("" if nsec3 else " NSEC")
            if i % 10 == 0:
                put(f"sub{i}", "NS ns1", sign=False)
                put(f"sub{i}", f"DS 12345 13 2 {rng.randbytes(32).hex()}")
                types[f"sub{i}"] = "NS DS RRSIG" + ("" if nsec3 else " NSEC")
        if nsec3:
            chain = sorted((nsec3_hash(ORIGIN if n == "@" else f"{n}.{ORIGIN}"), t) for n, t in types.items())
        else:
            chain = sorted(types.items(), key=lambda item: "" if item[0] == "@" else item[0])
        for (name, bits), (following, _) in zip(chain, chain[1:] + chain[:1]):
            if nsec3:
                put(name, f"NSEC3 1 0 0 - {following} {bits}")
            else:
                put(name, f"NSEC {ORIGIN if following == '@' else following + '.' + ORIGIN} {bits}")
    return count


# ---- questions, as bench_load reads them ----

def wire_name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


def query(name, qtype=A, edns=False, do=False):
    question = wire_name(name) + struct.pack("!HH", qtype, 1)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000 if do else 0, 0) if edns or do else b""
    return struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 1 if opt else 0) + question + opt


def write_queries(path, messages):
    with open(path, "wb") as f:
        f.writelines(struct.pack("!H", len(m)) + m for m in messages)
    return path


def hosts(names, count, seed, zipf=False):
    """Numbers of hosts: each as likely as any, or the n-th most wanted one 1/n as often as the first."""
    rng = random.Random(SEED + seed)
    if not zipf:
        return [rng.randrange(names) for _ in range(count)]
    sums = list(itertools.accumulate(1 / n for n in range(1, names + 1)))
    rank = list(range(names))
    rng.shuffle(rank)
    return [rank[bisect.bisect_left(sums, rng.random() * sums[-1])] for _ in range(count)]


def mixes(names, zones, count):
    """name -> (which zone data it asks, its messages)."""
    rng = random.Random(SEED + 9)
    host = [f"host{n}.{ORIGIN}" for n in hosts(names, count, 1)]
    popular = [f"host{n}.{ORIGIN}" for n in hosts(names, count, 2, zipf=True)]
    signed = hosts(max(names // 10, 1), count, 3)
    return {
        "one name": ("small", [query(f"host0.{ORIGIN}")]),
        "uniform": ("large", [query(n) for n in host]),
        "zipf 1.0": ("large", [query(n) for n in popular]),
        "30 % nxdomain": ("large", [query(n if rng.random() >= 0.3 else "x" + n) for n in host]),
        "all nxdomain": ("large", [query("x" + n) for n in host]),
        "5 % DO": ("nsec", [query(f"host{n}.{ORIGIN}", edns=True, do=rng.random() < 0.05) for n in signed]),
        "NSEC nxdomain DO": ("nsec", [query(f"host{n}x.{ORIGIN}", do=True) for n in signed]),
        "NSEC referral DO": ("nsec", [query(f"www.sub{n // 10 * 10}.{ORIGIN}", do=True) for n in signed]),
        "NSEC3 nxdomain DO": ("nsec3", [query(f"host{n}x.{ORIGIN}", do=True) for n in signed]),
        "many zones": ("many", [query(f"www.zone{n}.example.") for n in hosts(zones, count, 4)]),
    }


# ---- messages of a primary, with the zone's name at offset 12 ----

def record(owner, rtype, rdata, ttl=3600):
    """`owner`: the label below the zone, or none."""
    label = bytes([len(owner)]) + owner.encode() if owner else b""
    return label + b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, ttl, len(rdata)) + rdata


def soa_record(serial):
    return record("", SOA, b"\x03ns1\xc0\x0c\x0ahostmaster\xc0\x0c" + struct.pack("!IIIII", serial, 3600, 600, 86400, 300))


def answer(message_id, origin, qtype, records, count):
    """A whole message."""
    return struct.pack("!HHHHHH", message_id, 0x8400, 1, count, 0, 0) + wire_name(origin) + struct.pack("!HH", qtype, 1) + records
