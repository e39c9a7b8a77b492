"""An hour of random faults (--soak; TANDEM_SOAK_S bounds it): a hidden primary, two Tandem secondaries behind a resolver, secondaries of
three other makes, and a zone that comes from Knot; under edits, kills, silence and a full disk. Throughout, no lookup fails, no serial
goes back, what is served is what was published, and no secondary is stale without saying so. In the end all are equal.
DRILL_SEED=... plays it again."""
import os
import random
import threading
import time

import dns.exception
import pytest

from disk import fill
from harness import KEY, SECRET, Bind, Knot, Nsd, Unbound, simple_zone, soak_s, wait_until
from load import Load

ZONE, FOREIGN = "steady.example", "foreign.example"
KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
TIMERS = {"refresh": 1, "retry": 1}
HONEST_S = 10  # after which a secondary that is behind has to say why
HISTORY = {"bytes-per-zone": "1M"}
DISK_BYTES = 24 << 20  # so much history, images and the log itself stay below it for as long as it runs


class Soak:
    def __init__(self, lab, network, small_disk, rng):
        self.rng, self.pause = rng, threading.Event()
        self.primary = lab.tandem("primary", place=network.place())
        self.first, self.second = (lab.tandem(name, place=network.place()) for name in ("first", "second"))
        self.peers = [lab.add(kind, kind.name, {f"{ZONE}.": None}, self.primary, True, place=network.place()) for kind in (Nsd, Knot, Bind)]
        self.tandems = [self.first, self.second]
        self.foreign = lab.add(Knot, "foreign", {f"{FOREIGN}.": self.text(FOREIGN, 1)}, self.first, True, place=network.place())
        self.serials = {ZONE: 1, FOREIGN: 1}
        self.seen = {}
        self.down, self.silent, self.ballast = set(), set(), None
        small_disk(self.first.dir / "state", DISK_BYTES)
        self.configure()
        for s in self.servers():
            s.start()
        self.even(120)
        self.resolver = lab.add(Unbound, "resolver", ZONE, self.tandems).start()
        self.resolver.wait_answer(f"www.{ZONE}", rdtype="A", recurse=True)

    def servers(self):
        return [self.primary, self.foreign, *self.tandems, *self.peers]

    def secondaries(self):
        return self.tandems + self.peers

    def configure(self):
        peers = [{"name": s.name + str(n), "address": s.at, "key": KEY} for n, s in enumerate(self.secondaries())]
        names = [p["name"] for p in peers]
        self.primary.configure({"keys": KEYS, "peers": peers, "zones": [
            {"name": ZONE, "role": "primary", "file": "zone0", "notify": names, "transfer": names, "answer-to": names}]})
        self.primary.put(0, self.text(ZONE, 1))
        for s in self.tandems:
            zone = {"role": "secondary", "refresh-min": "0.2", "retry-min": "0.2", "retry-max": "1", "transfer": ["any"]}
            s.configure({"keys": KEYS, "history": HISTORY, "peers": [{"name": "p", "address": self.primary.at, "key": KEY},
                                                 {"name": "f", "address": self.foreign.at, "key": KEY}],
                         "zones": [{"name": ZONE, "primaries": ["p"], **zone}, {"name": FOREIGN, "primaries": ["f"], **zone}]})

    # ---- edits ----

    def text(self, zone, serial):
        """The version of this serial; large now and then."""
        size = 3000 if serial % 17 == 0 else serial % 40
        return simple_zone(f"{zone}.", serial, f"v.{zone}. 60 IN TXT \"{serial}\"\n" + "".join(
            f"h{i}.{zone}. 60 IN TXT \"{serial if i % 5 == 0 else 0} some text to fill the disk with\"\n" for i in range(size)), **TIMERS)

    def edit(self, zone):
        primary = self.primary if zone == ZONE else self.foreign
        self.serials[zone] += 1
        primary.put(0, self.text(zone, self.serials[zone]))
        if primary in self.down:
            return
        if zone == ZONE:
            primary.run("reload", check=0)
        else:
            primary.reload()

    # ---- faults, and what ends them ----

    def kill(self, server):
        server.kill()
        self.down.add(server)

        def cure():
            server.start()
            if server is self.foreign:  # a SIGHUP that comes before Knot is ready ends it
                server.wait_answer(FOREIGN)
            self.down.discard(server)
        return cure

    def silence(self, server):
        server.place.silence()
        self.silent.add(server)

        def cure():
            server.place.silence(False)
            self.silent.discard(server)
        return cure

    def fill_disk(self, _):
        self.ballast = fill(self.first.dir / "state")

        def cure():
            self.ballast.unlink()
            self.ballast = None
        return cure

    def strike(self):
        """Some faults at once, never at both of the secondaries that the resolver asks."""
        kept = self.rng.choice(self.tandems)
        victims = [s for s in self.servers() if s is not kept]
        cures = [self.rng.choice([self.kill, self.silence])(s) for s in self.rng.sample(victims, self.rng.randrange(1, 4))]
        # a kill -9 with a full disk would be a start without its store: that is a drill of its own
        if self.first not in self.down and self.rng.random() < 0.3:
            cures.append(self.fill_disk(self.first))
        return cures

    # ---- what must hold ----

    def serial(self, server, zone):
        try:
            answer = server.ask(zone, "SOA", timeout=1).answer
        except dns.exception.Timeout:
            return None
        return answer[0][0].serial if answer else None

    def check_forward(self, server, zone):
        serial, before = self.serial(server, zone), self.seen.get((server, zone), 0)
        if serial is None:
            return before
        assert before <= serial <= self.serials[zone], f"{server.dir.name}: {zone} was {before} and is {serial}"
        self.seen[server, zone] = serial
        return serial

    def reachable(self, server):
        return server not in self.down and server not in self.silent

    def check(self):
        for s in self.tandems:
            if not self.reachable(s):
                continue
            for zone in (ZONE, FOREIGN):
                def honest(s=s, zone=zone):
                    if self.check_forward(s, zone) == self.serials[zone]:
                        return True
                    return self.serials[zone] > self.seen.get((s, zone), 0) and "last-error" in s.status(zone)
                wait_until(honest, HONEST_S, f"{s.dir.name} to have {zone} {self.serials[zone]} or to say why not")
        for s in self.peers:
            if self.reachable(s):
                self.check_forward(s, ZONE)

    def check_content(self, server, zone):
        """All of a version, and of one version."""
        records = server.axfr(zone)
        serial = next(int(r.split()[5]) for r in records if r.split()[2] == "SOA")
        count = len(self.text(zone, serial).splitlines())
        assert len(records) == count, f"{server.dir.name}: {zone} {serial} has {len(records)} records, not {count}"
        assert f"v.{zone}. 60 TXT \"{serial}\"" in records

    def even(self, timeout=60):
        for s in self.secondaries():
            s.wait_answer(ZONE, serial=self.serials[ZONE], timeout=timeout)
        for s in self.tandems:
            s.wait_answer(FOREIGN, serial=self.serials[FOREIGN], timeout=timeout)

    def check_end(self):
        self.even()
        for s in self.tandems:
            for zone in (ZONE, FOREIGN):
                wait_until(lambda s=s, zone=zone: s.status(zone)["durable"], 120, f"{s.dir.name} to be durable")
                assert "trouble" not in s.status(zone)
                self.check_content(s, zone)
            assert "store-damaged" not in s.log()
        assert self.first.axfr(ZONE) == self.second.axfr(ZONE) and self.first.axfr(FOREIGN) == self.second.axfr(FOREIGN)
        for s in self.peers:
            assert s.ask(f"v.{ZONE}", "TXT").answer[0][0].strings == (str(self.serials[ZONE]).encode(),)

    def round(self):
        cures = self.strike()
        ends = time.monotonic() + self.rng.uniform(0, 6)
        while time.monotonic() < ends:
            self.edit(self.rng.choice([ZONE, ZONE, FOREIGN]))
            self.pause.wait(self.rng.uniform(0, 0.8))
        self.check()
        self.rng.shuffle(cures)
        for cure in cures:
            cure()
            self.pause.wait(self.rng.uniform(0, 1))
        self.even()
        for s in self.tandems:
            self.check_content(s, self.rng.choice([ZONE, FOREIGN]))


def test_an_hour_of_random_faults(lab, network, small_disk, soak, tell):
    if not soak:
        pytest.skip("an hour: only with --soak")
    seed = os.environ.get("DRILL_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"DRILL_SEED={seed}")
    it = Soak(lab, network, small_disk, random.Random(seed))
    ends, rounds = time.monotonic() + soak_s(3600), 0
    with Load(it.resolver, f"www.{ZONE}", threads=2, timeout=2.5, tries=4, tcp_every=0) as load:
        while time.monotonic() < ends:
            it.round()
            rounds += 1
        it.check_end()
    tell(f"{rounds} rounds of faults, serials {it.serials}, {load.check()}")
