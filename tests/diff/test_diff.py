"""Tandem beside BIND, Knot and NSD: the same questions over the same generated zones must get the same answers. What may differ is a
named rule below, with the section that allows it; the run prints how often each matched. Anything else fails."""
import collections
import os
import pathlib
import sys

import dns.name
import pytest

HERE = pathlib.Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "e2e")]

import asking  # noqa: E402
import generate  # noqa: E402
from harness import Bind, Knot, Nsd, Tandem  # noqa: E402

COUNT = int(os.environ.get("DIFF_QUESTIONS", "20000"))
SEED = int(os.environ.get("DIFF_SEED", "1"))


class Dummy:
    host, port, at = "127.0.0.1", 1, "127.0.0.1@1"


# ---- what may differ: name, section that allows it, (ours, theirs, question) -> the aspects it explains ----


def additional_is_optional(ours, theirs, q):
    """Additional data beyond required glue is a courtesy; truncated responses may lack it."""
    referral = not ours.aa and not ours.answer and "NS" in ours.types("authority")
    if not referral:
        return {"additional"}
    return {"additional"} if theirs.additional <= ours.additional else set()


def authority_ns_is_optional(ours, theirs, q):
    """A positive answer may carry the zone's NS in authority."""
    extra = theirs.authority ^ ours.authority
    signed = {r for r in extra if r[1] in ("NS", "RRSIG")}
    return {"authority"} if extra == signed and ours.answer and "NS" in {r[1] for r in extra} else set()


def any_may_be_minimal(ours, theirs, q):
    """ANY may be answered with one RRset, all of them, or a made-up HINFO, and need not follow a chain."""
    return {"answer", "authority", "additional", "tc", "rcode"} if q[1] == "ANY" else set()


def truncated_content_is_free(ours, theirs, q):
    """With TC set the content is not to be used; when to set it is a matter of size limits and optional data."""
    return {"answer", "authority", "additional", "tc"} if ours.tc or theirs.tc else set()


def zone_of(q):
    return dns.name.from_text(".".join(q[0].split(".")[-3:])).canonicalize()


def leaves_the_zone(answer, q):
    """Whether a CNAME in the answer points out of the zone that was asked."""
    targets = [dns.name.from_wire(rdata, 0)[0] for _, rdtype, _, rdata in answer if rdtype == "CNAME"]
    return any(not t.is_subdomain(zone_of(q)) for t in targets)


def chain_into_other_zones(ours, theirs, q):
    """How far a CNAME chain is followed into other zones of the same server is the server's choice; the resolver asks on."""
    small, large = sorted((ours.answer, theirs.answer), key=len)
    if not small <= large or not leaves_the_zone(large, q):
        return set()
    return {"answer", "authority", "additional", "rcode"}


def chain_that_loops(ours, theirs, q):
    """A CNAME loop is an error of the data; what a server says besides the records of the loop is its choice."""
    return {"rcode", "authority"} if ours.answer == theirs.answer and "CNAME" in ours.types("answer") and theirs.rcode == 2 else set()


def nsec_asked_at_cname_or_cut(ours, theirs, q):
    """NSEC may stand beside CNAME and on both sides of a cut: whether asking for it follows the CNAME, or gets a referral, differs."""
    return {"answer", "authority", "additional", "rcode", "aa"} if q[1] == "NSEC" else set()


def denial_may_prove_more(ours, theirs, q):
    """A proof may hold more NSEC or NSEC3 records than it needs; ours must not be the larger one."""
    extra = theirs.authority - ours.authority
    proofs = {r for r in extra if r[1] in ("NSEC", "NSEC3", "RRSIG")}
    return {"authority"} if ours.authority <= theirs.authority and extra == proofs and ours.authority else set()


def proof_behind_a_chain(ours, theirs, q):
    """Behind a CNAME or DNAME NSD proves a wildcard's NODATA with the closest encloser's NSEC where the covering one is due."""
    differing = {r[1] for r in ours.authority ^ theirs.authority}
    same_chain = ours.answer == theirs.answer and "CNAME" in ours.types("answer")
    return {"authority"} if same_chain and differing <= {"NSEC", "RRSIG"} else set()


def closest_provable_encloser(ours, theirs, q):
    """With opt-out an empty non-terminal above insecure cuts only has no NSEC3: the proof starts at the closest encloser that has one;
    NSD leaves the matching record away there."""
    differing = {r[1] for r in ours.authority ^ theirs.authority}
    optout = any(r[1] == "NSEC3" and r[3][1] & 1 for r in ours.authority)
    return {"authority"} if optout and differing <= {"NSEC3", "RRSIG"} and "NSEC3" in theirs.types("authority") else set()


def negative_without_soa(ours, theirs, q):
    """A negative answer without SOA is legal, if of little use; ours has it. (Knot gives one now and then below opt-out cuts.)"""
    bare = not theirs.answer and not theirs.authority and "SOA" in ours.types("authority") and not ours.answer
    return {"aa", "authority"} if bare and ours.aa and ours.rcode == theirs.rcode else set()


RULES = [
    ("additional-is-optional", "RFC 1034 §4.3.2 step 6", additional_is_optional),
    ("authority-ns-is-optional", "RFC 1034 §4.3.1, RFC 2181 §5.4.1", authority_ns_is_optional),
    ("any-may-be-minimal", "RFC 8482 §4", any_may_be_minimal),
    ("truncated-content-is-free", "RFC 2181 §9", truncated_content_is_free),
    ("chain-into-other-zones", "RFC 1034 §4.3.2 step 3a", chain_into_other_zones),
    ("chain-that-loops", "RFC 1034 §3.6.2", chain_that_loops),
    ("nsec-asked-at-cname-or-cut", "RFC 4035 §2.5, §2.6", nsec_asked_at_cname_or_cut),
    ("proof-behind-a-chain", "RFC 4035 §3.1.3.4", proof_behind_a_chain),
    ("closest-provable-encloser", "RFC 5155 §7.2.1", closest_provable_encloser),
    ("negative-without-soa", "RFC 2308 §2.1.1", negative_without_soa),
    ("denial-may-prove-more", "RFC 4035 §3.1.3, RFC 5155 §7.2", denial_may_prove_more),
]


def aspects(ours, theirs):
    names = ("rcode", "aa", "tc", "answer", "authority", "additional")
    return {n for n in names if getattr(ours, n) != getattr(theirs, n)}


def explain(ours, theirs, q, counts):
    """The aspects that no rule explains."""
    left = aspects(ours, theirs)
    for name, _, rule in RULES:
        if left and (explained := rule(ours, theirs, q) & left):
            counts[name] += 1
            left -= explained
    return left


def show(q, ours, theirs, left, peer):
    return f"--- {q} differs from {peer} in {sorted(left)}\n{ours.message}\n--- {peer}\n{theirs.message}\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    work = tmp_path_factory.mktemp("diff")
    zones = generate.make_zones(SEED, work / "keys")
    texts = {origin: text for origin, (_, text, _) in zones.items()}
    tandem = Tandem(work / "tandem", {"zones": [{"name": o, "role": "primary", "file": f"zone{n}"} for n, o in enumerate(texts)]})
    for n, text in enumerate(texts.values()):
        tandem.file(f"zone{n}", text)
    all_servers = [tandem] + [kind(work / kind.name, texts, Dummy) for kind in (Bind, Knot, Nsd)]
    try:
        for s in all_servers:
            s.start()
        for s in all_servers:
            for origin in texts:
                s.wait_answer(origin)
        yield zones, all_servers
    finally:
        for s in all_servers:
            s.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_same_answers(servers, transport):
    zones, (tandem, *peers) = servers
    questions = generate.make_questions(SEED + 1, zones, COUNT)
    packets = asking.wires(questions)
    numbers = list(range(COUNT)) if transport == "udp" else list(range(0, COUNT, 4))
    got = {s.name: asking.ask_udp(s, packets) if transport == "udp" else asking.ask_tcp(s, packets, numbers) for s in (tandem, *peers)}
    assert len(got["tandem"]) == len(numbers), "every question gets an answer"
    counts, bad = collections.Counter(), []
    for n in numbers:
        ours = asking.Response(got["tandem"][n])
        assert not ours.ra_ad
        for peer in peers:
            if n not in got[peer.name] or got[peer.name][n][2:] == got["tandem"][n][2:]:
                continue
            theirs = asking.Response(got[peer.name][n])
            left = explain(ours, theirs, questions[n], counts)
            if left:
                bad.append(show(questions[n], ours, theirs, left, peer.name))
    for name, section, _ in RULES:
        print(f"rule {name} ({section}): {counts[name]}")
    assert len(RULES) <= 12
    assert not bad, f"{len(bad)} unexplained differences\n" + "\n".join(bad[:int(os.environ.get('DIFF_SHOW', '5'))])


