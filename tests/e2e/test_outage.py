"""The outage: a resolver in front of two secondaries of a hidden primary, each in a network namespace of its own. The primary and one
secondary die, or fall silent, at random moments; at the stub no lookup fails. DRILL_SEED=... plays a drill again."""
import os
import random
import threading
import time

import dns.exception
import pytest

from harness import KEY, SECRET, Nsd, Unbound, simple_zone, soak_s, wait_until
from load import Load

ZONE = "steady.example"
KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]


def outage_lab(lab, network, kind):
    """(primary, [secondaries], resolver), all running and in sync."""
    primary = lab.tandem("primary", place=network.place())
    secondaries = [lab.tandem("first", place=network.place())]
    if kind == "nsd":
        secondaries.append(lab.add(Nsd, "second", {f"{ZONE}.": None}, primary, True, place=network.place()))
    else:
        secondaries.append(lab.tandem("second", place=network.place()))
    for s in secondaries:
        if s.name == "tandem":
            s.configure({"keys": KEYS, "peers": [{"name": "p", "address": primary.at, "key": KEY}], "zones": [
                {"name": ZONE, "role": "secondary", "primaries": ["p"], "refresh-min": "0.2", "retry-min": "0.2", "retry-max": "1"}]})
    peers = [{"name": f"s{n}", "address": s.at, "key": KEY} for n, s in enumerate(secondaries)]
    names = [p["name"] for p in peers]
    primary.configure({"keys": KEYS, "peers": peers, "zones": [
        {"name": ZONE, "role": "primary", "file": "zone", "notify": names, "transfer": names, "answer-to": names}]})
    publish(primary, 1)
    for s in (primary, *secondaries):
        s.start()
    for s in secondaries:
        s.wait_answer(ZONE, serial=1)
    resolver = lab.add(Unbound, "resolver", ZONE, secondaries).start()
    resolver.wait_answer(f"www.{ZONE}", rdtype="A", recurse=True)
    return primary, secondaries, resolver


def publish(primary, serial):
    primary.file("zone", simple_zone(f"{ZONE}.", serial, refresh=1, retry=1))
    if primary.process:
        wait_until(lambda: primary.run("reload").returncode == 0, what="the primary to reload")


def strike(rng, server):
    """It dies or falls silent; returns what makes it well again."""
    if rng.random() < 0.5:
        server.kill()
        return server.start
    server.place.silence()
    with pytest.raises(dns.exception.Timeout):
        server.ask(ZONE, "SOA", timeout=0.2)
    return lambda: server.place.silence(False)


@pytest.mark.parametrize("kind", ["tandem", "nsd"])
def test_outage_nobody_notices(lab, network, kind, soak, tell):
    seed = os.environ.get("DRILL_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"DRILL_SEED={seed}")
    rng, pause = random.Random(seed), threading.Event()
    primary, secondaries, resolver = outage_lab(lab, network, kind)
    ends = time.monotonic() + (soak_s(240) if soak else 8)
    serial = 1
    with Load(resolver, threads=2, timeout=2.5, tries=4, tcp_every=0) as load:
        while time.monotonic() < ends:
            cures = []
            for victim in (primary, rng.choice(secondaries)):
                pause.wait(rng.uniform(0, 0.7))
                cures.append(strike(rng, victim))
            pause.wait(rng.uniform(0.1, 10 if soak and rng.random() < 0.3 else 1))
            for cure in cures:
                cure()
            serial += 1
            publish(primary, serial)
            for s in secondaries:
                s.wait_answer(ZONE, serial=serial)
    tell(f"{serial - 1} outages, {load.check()}")
    assert serial > 2
