"""Dynamic updates (RFC 2136): the usual clients, what each key may change, secondaries that forward, and BIND beside us."""
import random
import socket
import struct
import subprocess

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.update
import pytest

from harness import LOOPBACK, SECRET, Bind, free_port, keyring, simple_zone, wait_until

ALL, ACME, OTHER = "all.example.", "acme.", "other."
KEYS = [{"name": name, "algorithm": "hmac-sha256", "secret": SECRET} for name in (ALL, ACME, OTHER)]
ZONE = "dyn.example."
GRANTS = [{"key": ACME, "names": ["_acme-challenge.**"], "types": ["TXT"]}, ALL]


def zone_of(update, **more):
    return {"name": ZONE, "role": "primary", "file": "zone0", "transfer": ["any"], "update": update, **more}


def primary(lab, update=GRANTS, name="tandem", extra="", zones=(), **more):
    t = lab.tandem(name)
    t.file("zone0", simple_zone(ZONE, extra=extra))
    t.configure({"keys": KEYS, "zones": [zone_of(update, **more), *zones]})
    return t.start()


def nsupdate(server, lines, key=ALL, tcp=False, program="nsupdate"):
    """The client's exit code and what it said."""
    y = ["-y", f"hmac-sha256:{key}:{SECRET}"] if key else []
    text = f"server {server.host} {server.port}\nzone {ZONE}\n" + "\n".join(lines) + "\nsend\nquit\n"
    r = subprocess.run([f"/usr/bin/{program}", *(["-v"] if tcp else []), *y], input=text, capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout + r.stderr


def send(server, update, key=ALL, tcp=False, timeout=20):
    if key:
        update.use_tsig(keyring(key))
    return (dns.query.tcp if tcp else dns.query.udp)(update, server.host, port=server.port, timeout=timeout)


def rcode(server, update, **kw):
    return dns.rcode.to_text(send(server, update, **kw).rcode())


def texts(server, name, rdtype="TXT"):
    return sorted(rd.to_text().strip('"') for rrset in server.ask(name, rdtype).answer for rd in rrset)


# ---- clients ----

@pytest.mark.parametrize("program", ["nsupdate", "knsupdate"])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_usual_clients(lab, program, tcp):
    t = primary(lab)
    run = lambda *lines: nsupdate(t, lines, tcp=tcp, program=program)
    assert run(f"update add a.{ZONE} 60 A 192.0.2.7", f"update add a.{ZONE} 60 A 192.0.2.8")[0] == 0
    assert texts(t, f"a.{ZONE}", "A") == ["192.0.2.7", "192.0.2.8"] and t.serial(ZONE) == 2
    code, said = run(f"prereq nxdomain a.{ZONE}", f"update add b.{ZONE} 60 A 192.0.2.9")
    assert code != 0 and "YXDOMAIN" in said
    code, said = run(f"prereq yxrrset a.{ZONE} A 192.0.2.7", f"update add b.{ZONE} 60 A 192.0.2.9")
    assert code != 0 and "NXRRSET" in said
    assert run(f"prereq yxdomain a.{ZONE}", f"prereq yxrrset a.{ZONE} A", f"prereq nxrrset a.{ZONE} TXT", f"prereq nxdomain b.{ZONE}",
               f"update delete a.{ZONE} A 192.0.2.7", f"update add b.{ZONE} 60 TXT x")[0] == 0
    assert texts(t, f"a.{ZONE}", "A") == ["192.0.2.8"] and texts(t, f"b.{ZONE}") == ["x"] and t.serial(ZONE) == 3
    assert run(f"update delete a.{ZONE}")[0] == 0
    assert t.ask(f"a.{ZONE}").rcode() == dns.rcode.NXDOMAIN
    assert run(f"update delete a.{ZONE}", f"update add b.{ZONE} 60 TXT x")[0] == 0 and t.serial(ZONE) == 4  # all was so already


def test_thousands_of_changes_in_a_message(lab):
    t = primary(lab)
    for count, tcp in [(1000, True), (2900, True)]:
        u = dns.update.UpdateMessage(ZONE)
        for i in range(count):
            u.add(f"n{i}", 60, "A", f"10.{count >> 8}.{i >> 8}.{i & 255}")
        assert rcode(t, u, tcp=tcp) == "NOERROR"
        assert texts(t, f"n{count - 1}.{ZONE}", "A")
    assert t.serial(ZONE) == 3
    for part in range(3):  # ten thousand in as few messages as hold them
        u = dns.update.UpdateMessage(ZONE)
        for i in range(3334):
            u.add("many", 60, "A", f"10.{part}.{i >> 8}.{i & 255}")
        assert rcode(t, u, tcp=True, timeout=60) == "NOERROR"
    u = dns.update.UpdateMessage(ZONE)
    u.delete("many")
    assert rcode(t, u, tcp=True) == "NOERROR" and t.ask(f"many.{ZONE}").rcode() == dns.rcode.NXDOMAIN


def test_an_acme_key_writes_challenges_and_nothing_else(lab):
    t = primary(lab)
    for name in ("_acme-challenge", "_acme-challenge.www", "_acme-challenge.a.b"):
        u = dns.update.UpdateMessage(ZONE)
        u.add(name, 60, "TXT", "token")
        assert rcode(t, u, key=ACME) == "NOERROR" and texts(t, f"{name}.{ZONE}") == ["token"]
    before = t.axfr(ZONE)
    refused = []
    for name, rdtype, value in [("_acme-challenge", "A", "192.0.2.1"), ("www", "TXT", "x"), ("@", "TXT", "x"), ("x._acme-challenge", "TXT", "x")]:
        u = dns.update.UpdateMessage(ZONE)
        u.add("_acme-challenge.www", 60, "TXT", "second")  # goes with the rest
        u.add(name, 60, rdtype, value)
        refused.append(rcode(t, u, key=ACME))
    u = dns.update.UpdateMessage(ZONE)
    u.delete("www")
    refused += [rcode(t, u, key=ACME), rcode(t, u, key=OTHER)]
    u = dns.update.UpdateMessage(ZONE)
    u.add("x", 60, "TXT", "x")
    refused.append(rcode(t, u, key=None))
    assert refused == ["REFUSED"] * 7 and t.axfr(ZONE) == before
    assert "not granted: A _acme-challenge.dyn.example." in t.log()
    u = dns.update.UpdateMessage(ZONE)
    u.delete("_acme-challenge.www")  # all of its types are granted
    assert rcode(t, u, key=ACME) == "NOERROR" and texts(t, f"_acme-challenge.www.{ZONE}") == []


def test_a_zone_that_is_its_file_says_so(lab):
    t = primary(lab, zones=[{"name": "plain.example", "file": "plain.zone", "update": []}])
    t.file("plain.zone", simple_zone("plain.example."))
    t.reload()
    u = dns.update.UpdateMessage("plain.example.")
    u.add("x", 60, "A", "192.0.2.1")
    u.use_edns(0)
    answer = send(t, u)
    assert answer.rcode() == dns.rcode.REFUSED
    assert [(e.code, e.text) for e in answer.options] == [(18, "the zone is its file plain.zone")]


# ---- durable, told, transferred ----

def test_an_update_survives_and_reaches_secondaries(lab):
    t = lab.tandem("primary")
    s = lab.tandem("secondary")
    b = lab.add(Bind, "bind", {ZONE: None}, t)
    t.file("zone0", simple_zone(ZONE, refresh=1, retry=1))
    t.configure({"keys": KEYS, "peers": [{"name": "s", "address": s.at}, {"name": "b", "address": b.at}],
                 "zones": [zone_of(GRANTS, notify=["s", "b"])]})
    s.configure({"peers": [{"name": "p", "address": t.at}], "zones": [{"name": ZONE, "role": "secondary", "primaries": ["p"], "retry-min": "0.5", "retry-max": "0.5"}]})
    t.start(), s.start(), b.start()
    s.wait_answer(ZONE, serial=1), b.wait_answer(ZONE, serial=1)
    u = dns.update.UpdateMessage(ZONE)
    u.add("new", 60, "TXT", "kept")
    assert rcode(t, u) == "NOERROR"
    t.kill()
    t.start()
    assert texts(t, f"new.{ZONE}") == ["kept"]
    for server in (s, b):
        server.wait_answer(ZONE, serial=2)
        assert texts(server, f"new.{ZONE}") == ["kept"]


def test_many_in_flight_on_one_connection(lab):
    t = primary(lab)
    with socket.create_connection((t.host, t.port), timeout=20) as s:
        for i in range(200):
            u = dns.update.UpdateMessage(ZONE)
            u.add(f"f{i}", 60, "A", "192.0.2.1")
            u.use_tsig(keyring(ALL))
            wire = u.to_wire()
            s.sendall(struct.pack("!H", len(wire)) + wire)
            if i % 20 == 0:  # a question between them is answered as well
                q = dns.message.make_query(f"www.{ZONE}", "A").to_wire()
                s.sendall(struct.pack("!H", len(q)) + q)
        stream = s.makefile("rb")
        answers = {"UPDATE": 0, "QUERY": 0}
        for _ in range(210):
            size, = struct.unpack("!H", stream.read(2))
            wire = stream.read(size)
            assert wire[3] & 15 == 0
            answers["UPDATE" if wire[2] >> 3 & 15 == 5 else "QUERY"] += 1
    assert answers == {"UPDATE": 200, "QUERY": 10}
    assert len([r for r in t.axfr(ZONE) if r.startswith("f")]) == 200


def test_answers_come_from_the_address_that_was_asked(lab):
    t = lab.tandem("tandem", host="127.0.0.1")
    t.file("zone0", simple_zone(ZONE))
    t.configure({"server": {"listen": [f"0.0.0.0@{t.port}"]}, "keys": KEYS, "zones": [zone_of(GRANTS)]})
    t.start()
    for n, host in enumerate(("127.0.0.1", "127.0.0.7")):
        u = dns.update.UpdateMessage(ZONE, keyring=keyring(ALL))
        u.add("x", 60, "TXT", f"{n}")
        assert dns.query.udp(u, host, port=t.port, timeout=20).rcode() == 0  # dnspython looks at the source


def test_a_client_that_hangs_up_does_no_harm(lab):
    t = primary(lab)
    for i in range(30):
        u = dns.update.UpdateMessage(ZONE, keyring=keyring(ALL))
        u.add(f"h{i}", 60, "A", "192.0.2.1")
        wire = u.to_wire()
        with socket.create_connection((t.host, t.port)) as s:
            s.sendall(struct.pack("!H", len(wire)) + wire)
    wait_until(lambda: len([r for r in t.axfr(ZONE) if r.startswith("h")]) == 30, what="all updates to be made")


# ---- forwarding ----

def forwarding(lab, primaries=("p",), **more):
    t = lab.tandem("primary")
    s = lab.tandem("secondary")
    t.file("zone0", simple_zone(ZONE))
    t.configure({"keys": KEYS, "peers": [{"name": "s", "address": s.at}], "zones": [zone_of(GRANTS, notify=["s"])]})
    peers = [{"name": "p", "address": t.at}, {"name": "nobody", "address": f"{LOOPBACK}@{free_port()}"}]
    s.configure({"keys": KEYS, "peers": peers, "zones": [
        {"name": ZONE, "role": "secondary", "primaries": list(primaries), "update": [ALL, ACME], "transfer": ["any"], **more}]})
    t.start(), s.start()
    s.wait_answer(ZONE, serial=1)
    return t, s


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_secondary_forwards_with_the_clients_signature(lab, tcp):
    t, s = forwarding(lab)
    assert nsupdate(s, [f"update add f.{ZONE} 60 A 192.0.2.7"], tcp=tcp) == (0, "")
    assert texts(t, f"f.{ZONE}", "A") == ["192.0.2.7"]
    s.wait_answer(ZONE, serial=2)
    code, said = nsupdate(s, [f"prereq nxdomain f.{ZONE}", f"update add f.{ZONE} 60 A 192.0.2.8"], tcp=tcp)
    assert code != 0 and "YXDOMAIN" in said
    code, said = nsupdate(s, [f"update add f.{ZONE} 60 A 192.0.2.8"], key=ACME, tcp=tcp)  # judged by the primary
    assert code != 0 and "REFUSED" in said
    code, said = nsupdate(s, [f"update add f.{ZONE} 60 A 192.0.2.8"], key=OTHER, tcp=tcp)  # not even forwarded
    assert code != 0 and "REFUSED" in said
    wait_until(lambda: "update-refused" in s.log(), what="the refusal in the log")


def test_forwarding_tries_the_next_primary(lab):
    t, s = forwarding(lab, primaries=["nobody", "p"])
    u = dns.update.UpdateMessage(ZONE)
    u.add("f", 60, "TXT", "x")
    assert rcode(s, u) == "NOERROR" and texts(t, f"f.{ZONE}") == ["x"]
    t.kill()
    assert rcode(s, u, timeout=30) == "SERVFAIL"
    assert "update-failed" in s.log()


def test_bind_forwards_to_us_and_we_to_bind(lab):
    b = lab.add(UpdatableBind, "bind", {ZONE: simple_zone(ZONE)}, None, key=False)
    s = lab.tandem("secondary")
    s.configure({"keys": KEYS, "peers": [{"name": "b", "address": b.at}], "zones": [
        {"name": ZONE, "role": "secondary", "primaries": ["b"], "update": ["127.0.0.1", ALL], "refresh-max": "1"}]})
    b.start().wait_answer(ZONE)
    s.start().wait_answer(ZONE)
    for key in (None, ALL):
        u = dns.update.UpdateMessage(ZONE)
        u.add("x", 60, "TXT", key or "unsigned")
        assert rcode(s, u, key=key) == "NOERROR"
    assert texts(b, f"x.{ZONE}") == [ALL, "unsigned"]


# ---- beside BIND ----

class UpdatableBind(Bind):
    def __init__(self, directory, zones, other, **kw):
        class Nobody:
            host, port = LOOPBACK, 9
        super().__init__(directory, zones, other or Nobody, **kw)

    def write_config(self):
        super().write_config()
        path = self.dir / "named.conf"
        keys = f'key {ALL} {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
        path.write_text(keys + path.read_text().replace("check-integrity no;", "check-integrity no; allow-update { any; }; notify no;"))


NAMES = ["@", "a", "b", "c.a", "*.b", "www", "ns1", "cn", "dn", "x.dn", "e.n.t", "n.t", "sub", "ns.sub", "A.B", "other.example."]
RDATA = {
    "A": ["192.0.2.1", "192.0.2.2", "192.0.2.80"], "AAAA": ["2001:db8::1"], "TXT": ['"a"', '"b" "c"', '""'], "MX": ["10 a.dyn.example.", "20 b.dyn.example."],
    "CNAME": ["a.dyn.example.", "www.dyn.example."], "DNAME": ["t.example.", "u.example."], "NS": ["ns1.dyn.example.", "ns.sub.dyn.example.", "b.example."],
    "SRV": ["1 2 3 a.dyn.example."], "PTR": ["a.dyn.example."], "TYPE65280": [r"\# 4 0A000001", r"\# 0"], "CAA": ['0 issue "ca.example"'],
    "WKS": ["192.0.2.1 6 25", "192.0.2.1 6 80", "192.0.2.1 17 53"],
}
ANY, NONE, IN = 255, 254, 1


def random_record(rng, serial, section):
    """(owner, type, class, ttl, rdata): mostly sound, sometimes not."""
    name = dns.name.from_text(rng.choice(NAMES), dns.name.from_text(ZONE))
    rdtype = rng.choice(list(RDATA) + ["A", "TXT", "CNAME", "NS"] + ["SOA"] * (serial is not None))
    klass = rng.choice([ANY, NONE, IN]) if section == "prerequisite" else rng.choice([ANY, NONE, NONE, IN, IN, IN, IN])
    code = dns.rdatatype.from_text(rdtype)
    if rdtype == "SOA":
        value = f"ns1.{ZONE} {rng.choice('gh')}.{ZONE} {(serial + rng.choice([-3, 0, 1, 5])) % 2**32} 3600 600 86400 300"
    else:
        value = rng.choice(RDATA[rdtype])
    rdata = dns.rdata.from_text("IN", rdtype, value).to_wire()
    ttl = rng.choice([60, 60, 300, 0]) if klass == IN and section != "prerequisite" else 0
    empty = klass == ANY or (klass == NONE and section == "prerequisite")
    if empty and rng.random() < 0.3:
        code = dns.rdatatype.ANY
    if empty:
        rdata = b""
    if rng.random() < 0.02:
        ttl, klass = rng.choice([0, 60]), rng.choice([ANY, NONE, IN, 3])
    if rng.random() < 0.02:
        code, rdata = rng.choice([252, 253, 254, 255]), b""
    return name, code, klass, ttl, rdata


def random_update(rng, number, serial):
    few = lambda: rng.choice([0, 0, 0, 1, 1, 2])
    sections = [[random_record(rng, serial, "prerequisite") for _ in range(few())], [random_record(rng, serial, "update") for _ in range(rng.randint(0, 4))]]
    wire = struct.pack("!HHHHHH", number & 0xffff, 5 << 11, 1, len(sections[0]), len(sections[1]), 0)
    wire += dns.name.from_text(ZONE).to_wire() + struct.pack("!HH", rng.choice([6] * 40 + [1]), 1)
    for name, code, klass, ttl, rdata in sections[0] + sections[1]:
        wire += name.to_wire() + struct.pack("!HHIH", code, klass, ttl, len(rdata)) + rdata
    return wire, sections


def exchange(server, *wires):
    """The RCODE of each; all are sent before the first answer is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        for wire in wires:
            s.sendto(wire, (server.host, server.port))
        answers = [s.recv(4096) for _ in wires]
    rcodes = {answer[:2]: dns.rcode.to_text(answer[3] & 15) for answer in answers}
    return [rcodes[wire[:2]] for wire in wires]


def test_random_updates_do_what_they_do_to_bind(lab, soak):
    t = primary(lab, update=["any"])
    b = lab.add(UpdatableBind, "bind", {ZONE: simple_zone(ZONE)}, None)
    b.start().wait_answer(ZONE)
    rng = random.Random(2136)
    seen = {}
    for number in range(10000 if soak else 300):
        wire, sections = random_update(rng, number, t.serial(ZONE))
        (got,), (wanted,) = exchange(t, wire), exchange(b, wire)
        seen[wanted] = seen.get(wanted, 0) + 1
        assert got == wanted, f"{number} {sections} {b.log()[-600:]}"
        if wanted == "NOERROR":
            ours, theirs = set(t.axfr(ZONE)), set(b.axfr(ZONE))
            assert ours == theirs, f"{number} {sections} only ours: {ours - theirs} only BIND's: {theirs - ours} {b.log()[-900:]}"
    assert set(seen) == {"NOERROR", "FORMERR", "NXDOMAIN", "YXDOMAIN", "NXRRSET", "YXRRSET", "NOTZONE", "REFUSED"}, seen


def test_random_batches_do_what_they_do_to_bind_one_by_one(lab, soak):
    t = primary(lab, update=["any"])
    b = lab.add(UpdatableBind, "bind", {ZONE: simple_zone(ZONE)}, None)
    b.start().wait_answer(ZONE)
    rng = random.Random(3007)
    without_serial = lambda server: {r for r in server.axfr(ZONE) if " SOA " not in r}
    for number in range(1000 if soak else 30):
        batch = [random_update(rng, i, None) for i in range(rng.randint(2, 20))]
        wires = [wire for wire, _ in batch]
        got, wanted = exchange(t, *wires), [exchange(b, wire)[0] for wire in wires]
        assert got == wanted, f"{number} {batch}"
        ours, theirs = without_serial(t), without_serial(b)
        assert ours == theirs, f"{number} {batch} only ours: {ours - theirs} only BIND's: {theirs - ours}"
    assert t.serial(ZONE) < b.serial(ZONE), "no two of them were one version"
