#!/usr/bin/python3
"""make bench: Tandem, Knot, NSD, BIND and PowerDNS from Debian in turn, in one interleaved run. Prints a table and leaves build/bench.json.

  make bench ARGS="--cases answers,axfr-out --peers knot,nsd --rounds 3 --seconds 1"     ARGS=--quick is a run of minutes

CPU an answer is the time of all the server's processes from the kernel's accounting, user and system apart, divided by the answers that
bench_load counted. The server runs on one CPU with one worker, the generator on another. Compare ratios within a run, never figures
across runs."""
import argparse
import array
import bisect
import contextlib
import functools
import json
import math
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("TANDEM", str(ROOT / "build/release/src/tandem/tandem"))

import data  # noqa: E402
import network  # noqa: E402
import primary  # noqa: E402
import servers  # noqa: E402
import shapes  # noqa: E402

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SERVER_CPU, OUR_CPU = 0, max(os.cpu_count() - 1, 0)
PATIENCE_S = 120
IN_FLIGHT = 256
CHANGES = 1000
NEAR_MS = 100  # after a NOTIFY: it is served within 10, and what is not needed any more is freed
COMPACTION_WINDOWS = 20
DELTA_RECORD_BYTES = 39  # of a hostN in a changeset
STEADY_MIXES = ["one name", "uniform", "zipf", "30 %", "5 %", "NSEC nxdomain", "NSEC3 nxdomain", "many"]
CHANGING = "changing.example."
BESIDE, UPDATES_A_SECOND, LOST_S = "beside.example.", 300, 3


# ---- what the kernel says of a server ----

def processes(server):
    """The server's process and all below it."""
    todo, found = [server.pid()], []
    while todo:
        pid = todo.pop()
        found.append(pid)
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                todo += [int(p) for p in (task / "children").read_text().split()]
            except OSError:
                pass
    return found


def cpu_s(server):
    """User and system time, that of children that have ended with it: NSD replaces its processes at each change."""
    user = system = 0
    for pid in processes(server):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]) + int(fields[13]), system + int(fields[12]) + int(fields[14])
    return user * TICK_S, system * TICK_S


def busy_s():
    """What the CPUs did since the machine was started, interrupts included."""
    rows = {f[0]: sum(map(int, f[1:4] + f[6:8])) * TICK_S for f in map(str.split, open("/proc/stat")) if f[0].startswith("cpu")}
    return {"all": rows["cpu"], "server": rows[f"cpu{SERVER_CPU}"]}


def memory_bytes(server):
    """Proportional set size of all processes: shared pages count once."""
    total = 0
    for pid in processes(server):
        m = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        total += int(m.group(1)) * 1024
    return total


def pin(server):
    for pid in processes(server):
        subprocess.run(["taskset", "-a", "-p", "-c", str(SERVER_CPU), str(pid)], capture_output=True)


# ---- asking ----

class Asker:
    """One question after the other, without the cost of a whole library."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((server.host, server.port))
        self.socket.settimeout(0.25)
        self.id = 0

    def ask(self, message):
        """The response, or None."""
        self.id = (self.id + 1) & 0xFFFF
        try:
            self.socket.send(struct.pack("!H", self.id) + message[2:])
            while True:
                response = self.socket.recv(4096)
                if response[:2] == struct.pack("!H", self.id):
                    return response
        except OSError:
            return None

    def until(self, message, good, patience_s=PATIENCE_S, server=None):
        """The time at which the answer was good."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if server and server.process.poll() is not None:
                raise RuntimeError(f"it ended: {server.log()[-500:]}")
            response = self.ask(message)
            if response and good(response):
                return time.monotonic()
            if response is None or response[3] & 15:  # not there yet: let it work
                threading.Event().wait(0.002)
        raise RuntimeError(f"no good answer within {patience_s} s")

    def close(self):
        self.socket.close()


def answered(response):
    return response[3] & 15 == 0 and response[6:8] != b"\0\0"


def serial_is(serial):
    """The SOA's five numbers end the answer section, and nothing else is in these answers."""
    return lambda response: answered(response) and struct.pack("!I", serial) + struct.pack("!IIII", 3600, 600, 86400, 300) in response


def start(server, question):
    """Seconds from the start to the first answer."""
    began = time.monotonic()
    os.sched_setaffinity(0, {SERVER_CPU, OUR_CPU})
    server.start()
    os.sched_setaffinity(0, {OUR_CPU})
    asker = Asker(server)
    try:
        return asker.until(question, answered, server=server) - began
    finally:
        asker.close()


def load(server, queries, seconds, rate=None, times=None):
    """bench_load's figures, with user and system time an answer."""
    pin(server)
    u0, s0 = cpu_s(server)
    r = subprocess.run(["taskset", "-c", str(OUR_CPU), servers.PROGRAMS / "bench_load", server.at, queries, str(seconds), str(IN_FLIGHT),
                        *([str(a) for a in (rate, times) if a])], capture_output=True, text=True, check=True)
    u1, s1 = cpu_s(server)
    figures = json.loads(r.stdout)
    answers = max(figures["answers"], 1)
    return {**figures, "user": (u1 - u0) / answers * 1e6, "system": (s1 - s0) / answers * 1e6}


def beside(told, times):
    """What the answers soon after NOTIFYs do to the p99 of a window: its ratio to that of all others, and how many of all are later.
    Both come from the same seconds, so that the machine's own pauses, which no window is without, are in both."""
    values = array.array("Q", times.read_bytes())
    answers = sorted(zip(values[0::2], values[1::2]))
    due = [a[0] for a in answers]
    edges = [0]
    for at in told:
        edges += [bisect.bisect(due, at), bisect.bisect(due, at + NEAR_MS * 1_000_000)]
    edges.append(len(answers))
    others = sorted(took for a, b in zip(edges[::2], edges[1::2]) for _, took in answers[a:b])
    calm_p99, p99 = (row[int(0.99 * len(row))] for row in (others, sorted(took for _, took in answers)))
    return {"ratio": p99 / calm_p99, "later": sum(took > calm_p99 for _, took in answers) / len(answers) * 100}


# ---- a run ----

class Run:
    def __init__(self, options, work):
        self.o, self.work = options, work
        self.kinds = ["tandem"] + [p for p in options.peers.split(",") if p]
        self.results = {kind: {} for kind in self.kinds + ["floor"]}
        self.files, self.records, self.queries = {}, {}, {}

    def note(self, kind, row, value):
        self.results[kind][row] = value
        print(f"  {row}: {kind} {value:.4g}", flush=True)

    def attempt(self, kind, what, f, *args):
        """A peer that can't do a thing has no figure; everybody else goes on."""
        try:
            return f(kind, *args)
        except (RuntimeError, OSError, subprocess.SubprocessError, AssertionError) as e:
            print(f"  {what}: {kind}: {e}", flush=True)
            return None

    def make(self, kind, name, **options):
        return servers.KINDS[kind](self.work / f"{name.replace(' ', '-')}-{kind}", servers.Options(**options))

    def zone_data(self, name):
        """The file of one of the zones of data.mixes, made when it is first needed."""
        if name not in self.files:
            path = self.work / f"{name}.zone"
            writers = {"small": lambda: data.write_flat(path, 10), "large": lambda: data.write_flat(path, self.o.names),
                       "nsec": lambda: data.write_signed(path, max(self.o.names // 10, 1), False),
                       "nsec3": lambda: data.write_signed(path, max(self.o.names // 10, 1), True),
                       "many": lambda: data.write_small(path) * self.o.zones}
            self.records[name] = writers[name]()
            self.files[name] = path
        return self.files[name]

    def options_of(self, name):
        path = self.zone_data(name)
        if name == "many":
            return {"zones": [], "many": self.o.zones, "many_file": path}
        return {"zones": [(data.ORIGIN, path, None)]}

    def mixes(self):
        if not self.queries:
            for name, (zone, messages) in data.mixes(self.o.names, self.o.zones, self.o.queries).items():
                self.queries[name] = (zone, data.write_queries(self.work / f"{name.replace(' ', '-')}.q", messages))
        return self.queries

    # ---- answers, start, memory ----

    def started(self, kind, zone):
        server = self.make(kind, zone, **self.options_of(zone))
        if kind == "floor":
            server.start()
            return server
        question = data.query("zone0.example." if zone == "many" else data.ORIGIN, data.SOA)
        self.note(kind, f"{zone}: start, s", start(server, question))
        self.note(kind, f"{zone}: memory, octets a record", memory_bytes(server) / self.records[zone])
        return server

    def answers(self):
        chosen = {m: q for m, q in self.mixes().items() if not self.o.mixes or any(w in m for w in self.o.mixes.split(","))}
        for zone in dict.fromkeys(z for z, _ in chosen.values()):
            running = {}
            for kind in self.kinds + ["floor"]:
                server = self.attempt(kind, zone, self.started, zone)
                if server:
                    running[kind] = server
            for mix in [m for m, (z, _) in chosen.items() if z == zone]:
                self.interleave(running, mix, chosen[mix][1])
            for kind, server in running.items():
                server.stop(timeout=60)
                if kind == "floor":
                    continue
                question = data.query("zone0.example." if zone == "many" else data.ORIGIN, data.SOA)
                self.note(kind, f"{zone}: restart, s", start(server, question))
                server.stop(timeout=60)

    def interleave(self, running, mix, queries):
        samples = {kind: [] for kind in running}
        for _ in range(self.o.rounds):
            for kind, server in running.items():
                samples[kind].append(load(server, queries, self.o.seconds))
        for kind, rows in samples.items():
            self.note(kind, f"{mix}: CPU us an answer", statistics.median(r["user"] + r["system"] for r in rows))
            self.note(kind, f"{mix}: user us", statistics.median(r["user"] for r in rows))
            self.note(kind, f"{mix}: answers/s", statistics.median(r["answers/s"] for r in rows))
            if sum(r["rcodes"].get("0", 0) + r["rcodes"].get("3", 0) for r in rows) < 0.99 * sum(r["answers"] for r in rows):
                print(f"  {mix}: {kind} gave other answers: {rows[0]['rcodes']}")

    # ---- a secondary that takes changes ----

    def secondary(self, kind, name, names):
        source = primary.Primary(data.ORIGIN, names)
        source.make_whole()
        server = self.make(kind, name, zones=[(data.ORIGIN, None, source)])
        return source, server

    def beside_changes(self, kind, zone):
        """A server of the zone's data, and the primary of a large zone on it: the zone itself, or one beside it."""
        if zone == "large":
            return self.secondary(kind, "steady-large", self.o.names)
        source = primary.Primary(CHANGING, self.o.names)
        source.make_whole()
        options = self.options_of(zone)
        options["zones"] = options["zones"] + [(CHANGING, None, source)]
        return source, self.make(kind, f"steady-{zone}", **options)

    def steady(self):
        """Answers while an IXFR of CHANGES lands every second, each window of it after one without."""
        wanted = self.o.mixes.split(",") if self.o.mixes else ["uniform"] if self.o.quick else STEADY_MIXES
        chosen = {m: zq for m, zq in self.mixes().items() if any(w in m for w in wanted)}
        for zone in dict.fromkeys(z for z, _ in chosen.values()):
            for kind in self.kinds:
                if servers.KINDS[kind].incremental:
                    self.attempt(kind, f"steady {zone}", self.steady_one, zone, {m: q for m, (z, q) in chosen.items() if z == zone})

    def steady_one(self, kind, zone, mixes):
        source, server = self.beside_changes(kind, zone)
        try:
            start(server, data.query(source.origin, data.SOA))
            asker = Asker(server)
            asker.until(data.query("zone0.example." if zone == "many" else data.ORIGIN, data.SOA), answered, server=server)
            asker.close()
            os.sync()  # what starting wrote, or the kernel writes it 30 s later
            for mix, queries in mixes.items():
                self.steady_mix(kind, mix, queries, source, server)
        finally:
            server.stop(timeout=60)
            source.close()

    def steady_mix(self, kind, mix, queries, source, server):
        seconds, rows = self.o.seconds + 2, []
        for _ in range(self.o.rounds):
            row = {"calm": load(server, queries, seconds, self.o.rate)}
            source.prepare(CHANGES, math.ceil(self.o.seconds) + 3)
            stop, told, times = threading.Event(), [], self.work / "times"
            changer = threading.Thread(target=self.change_each_second, args=(source, server, stop, told))
            before = len(source.kinds)
            changer.start()
            row["IXFR a second"] = load(server, queries, seconds, self.o.rate, times)
            stop.set()
            changer.join()
            if not told or not all(r["answers"] for r in row.values()):
                raise RuntimeError(f"{mix}: a window without answers or changes")
            if source.kinds[before:].count("IXFR") < len(told) - 1:  # the last may be under way
                print(f"  {mix}: {kind} asked for {source.kinds[before:]} after {len(told)} changes")
                print("".join(f"    {line}\n" for line in server.log().splitlines()[-2 * len(told):]), end="")
            rows.append({**row, **beside(told, times)})
        for label in ("calm", "IXFR a second"):
            for q in ("p50 us", "p99 us", "p999 us"):
                self.note(kind, f"{mix}, {label}: {q}", statistics.median(r[label][q] for r in rows))
            self.note(kind, f"{mix}, {label}: CPU us an answer", statistics.median(r[label]["user"] + r[label]["system"] for r in rows))
            self.note(kind, f"{mix}, {label}: lost", sum(r[label]["lost"] for r in rows))
        for name, of in (("median", statistics.median), ("least", min), ("most", max)):
            self.note(kind, f"{mix}: p99 to that without the {NEAR_MS} ms after NOTIFYs, {name}", of(r["ratio"] for r in rows))
        self.note(kind, f"{mix}: later than that p99, %", statistics.median(r["later"] for r in rows))

    def compaction(self):
        """Answers while an IXFR of CHANGES lands every second, without and with a fresh image written and gone over to meanwhile."""
        queries = next(q for m, (z, q) in self.mixes().items() if z == "large" and "uniform" in m)
        rows = {"IXFR a second": [], "and a compaction": []}
        source, server = self.secondary("tandem", "compaction", self.o.names)
        try:
            start(server, data.query(data.ORIGIN, data.SOA))
            pin(server)
            for _ in range(self.o.rounds):
                for label, row in rows.items():
                    if label == "and a compaction":
                        self.lengthen_tail(source, server)
                    before = server.log().count("zone-compacted")
                    stop = threading.Event()
                    changer = threading.Thread(target=self.change_each_second, args=(source, server, stop))
                    changer.start()
                    for _ in range(COMPACTION_WINDOWS):
                        source.prepare(CHANGES, math.ceil(self.o.seconds) + 3)
                        row.append(load(server, queries, self.o.seconds + 2, self.o.rate))
                        if label == "IXFR a second" or server.log().count("zone-compacted") > before:
                            break
                    stop.set()
                    changer.join()
                    if (server.log().count("zone-compacted") > before) != (label == "and a compaction"):
                        raise RuntimeError(f"{label}: the tail is {tail_bytes(server)} octets")
            for label, row in rows.items():
                for q in ("p50 us", "p99 us", "p999 us"):
                    self.note("tandem", f"{label}: {q}", statistics.median(r[q] for r in row))
                self.note("tandem", f"{label}: lost", sum(r["lost"] for r in row))
        finally:
            server.stop(timeout=60)
            source.close()

    def lengthen_tail(self, source, server):
        """Large IXFRs until the next second's brings the fresh image."""
        most = (256 << 10) + max(p.stat().st_size for p in (server.dir / "state" / "segments").iterdir()) // 2
        while most - tail_bytes(server) > 2 * CHANGES * DELTA_RECORD_BYTES:
            self.took(source, server, 2 * CHANGES)  # what one message holds
        while most - tail_bytes(server) > CHANGES * DELTA_RECORD_BYTES:
            self.took(source, server, CHANGES // 2)

    @staticmethod
    def change_each_second(source, server, stop, told=None):
        while not stop.wait(1):
            source.change(CHANGES)
            if told is not None:
                told.append(time.monotonic_ns())
            source.notify(server)

    def took(self, source, server, changes):
        """Seconds from NOTIFY to the answer with the new serial."""
        source.change(changes)
        asker = Asker(server)
        began = time.monotonic()
        source.notify(server)
        end = asker.until(data.query(data.ORIGIN, data.SOA), serial_is(source.serial), 60)
        asker.close()
        return end - began

    def axfr_in(self):
        """A whole zone from nothing to served, then changes of it, then how it gives them away."""
        for kind in self.kinds:
            self.attempt(kind, "axfr-in", self.axfr_in_one)

    def axfr_in_one(self, kind):
        source, server = self.secondary(kind, "axfr-in", self.o.names)
        try:
            self.note(kind, "AXFR in to served, s", start(server, data.query(data.ORIGIN, data.SOA)))
            if not server.incremental:
                return
            first = source.serial
            times = [self.took(source, server, CHANGES) for _ in range(max(self.o.rounds, 9))]
            self.note(kind, f"IXFR in of {CHANGES}: NOTIFY to served, ms", statistics.median(times) * 1e3)
            source.sent = 0
            self.took(source, server, CHANGES)
            self.note(kind, "IXFR in: kind (1 incremental)", float(source.kinds[-1] == "IXFR"))
            self.note(kind, "IXFR in: octets", source.sent)
            seconds, records, octets = transfer_out(server, CHANGES + 4, first=source.serial - 1)
            self.note(kind, f"IXFR out of {CHANGES}: ms", seconds * 1e3)
            self.note(kind, "IXFR out: octets", octets)
        finally:
            server.stop(timeout=60)
            source.close()
            shutil.rmtree(server.dir, ignore_errors=True)

    def notify(self):
        """One change of a zone of 1,000 records."""
        for kind in self.kinds:
            self.attempt(kind, "notify", self.notify_one)

    def notify_one(self, kind):
        source, server = self.secondary(kind, "notify", 1000)
        try:
            start(server, data.query(data.ORIGIN, data.SOA))
            times = []
            for _ in range(10 * self.o.rounds):
                times.append(self.took(source, server, 2) * 1e3)
                threading.Event().wait(0.02)
            self.note(kind, "NOTIFY to served, median ms", statistics.median(times))
            self.note(kind, "NOTIFY to served, longest ms", max(times))
        finally:
            server.stop(timeout=60)
            source.close()

    # ---- transfers out ----

    def axfr_out(self):
        running = {}
        for kind in self.kinds:
            server = self.make(kind, "axfr-out", **self.options_of("large"))
            if self.attempt(kind, "axfr-out", lambda k: start(server, data.query(data.ORIGIN, data.SOA))) is not None:
                running[kind] = server
                pin(server)
        rates = {kind: [] for kind in running}
        for _ in range(self.o.rounds):
            for kind, server in running.items():
                u0, s0 = cpu_s(server)
                done = self.attempt(kind, "axfr-out", lambda k: transfer_out(server, self.records["large"] + 1))
                u1, s1 = cpu_s(server)
                if done:
                    rates[kind].append((done[1] / done[0], (u1 - u0 + s1 - s0) / done[1] * 1e9, done[2] / done[1]))
        for kind, rows in rates.items():
            for i, row in enumerate(("AXFR out, records/s", "AXFR out, CPU ns a record", "AXFR out, octets a record")):
                if rows:
                    self.note(kind, row, statistics.median(r[i] for r in rows))
            running[kind].stop(timeout=60)

    # ---- updates ----

    def updates(self):
        for kind in self.kinds:
            if servers.KINDS[kind].updatable:
                self.attempt(kind, "updates", self.updates_one)

    def updates_one(self, kind):
        (self.work / f"updates-{kind}").mkdir()
        path = self.work / f"updates-{kind}" / "zone"  # BIND keeps its journal beside it
        data.write_flat(path, 1000)
        server = self.make(kind, "updates", zones=[(data.ORIGIN, path, None)], updates=True, signed=True)
        start(server, data.query(data.ORIGIN, data.SOA))
        before, made = {fixed: server.state_bytes(fixed) for fixed in (True, False)}, 0
        for in_flight in (1, 32):
            rows = []
            for _ in range(self.o.rounds):
                used = cpu_s(server)
                r = subprocess.run([servers.PROGRAMS / "bench_update", server.at, data.ORIGIN, str(in_flight), str(self.o.seconds),
                                    servers.KEY, servers.SECRET.hex()], capture_output=True, text=True)
                figures = json.loads(r.stdout)
                if figures["refused"]:
                    print(f"  updates: {kind} refused {figures['refused']} of {figures['answered']}")
                made += figures["answered"]
                cpu = sum(cpu_s(server)) - sum(used)
                done = figures["answered"] - figures["refused"]
                rows.append((figures["updates-per-s"] * done / figures["answered"], cpu / figures["answered"] * 1e6, figures["own-cpu-us"]))
            for i, row in enumerate(("updates/s", "update, CPU us", "update, the generator's CPU us")):
                self.note(kind, f"{row}, {in_flight} in flight", statistics.median(r[i] for r in rows))
        server.stop(timeout=60)
        self.note(kind, "store: octets an update", (server.state_bytes() - before[True]) / made)
        server.settle()
        self.note(kind, "store: the same without files of fixed size", (server.state_bytes(False) - before[False]) / made)

    def propagation(self):
        """From the acknowledged update at a primary to the answer of its secondary, both of one kind."""
        for kind in self.kinds:
            if servers.KINDS[kind].updatable:
                self.attempt(kind, "propagation", self.propagation_one)

    def propagation_one(self, kind):
        path = self.work / f"propagation-{kind}.zone"
        data.write_flat(path, 1000)

        class Later:  # each names the other, so the first must know the second's port
            host, port = "127.0.0.1", servers.harness.free_port()
            at = f"127.0.0.1@{port}"
        first = self.make(kind, "propagation-first", zones=[(data.ORIGIN, path, None)], updates=True, notify=Later)
        second = servers.KINDS[kind](self.work / f"propagation-second-{kind}", servers.Options([(data.ORIGIN, None, first)]))
        second.port = Later.port
        second.configure() if kind != "pdns" else second.file(
            "pdns.conf", re.sub(r"local-port=\d+", f"local-port={Later.port}", (second.dir / "pdns.conf").read_text()))
        try:
            start(first, data.query(data.ORIGIN, data.SOA))
            start(second, data.query(data.ORIGIN, data.SOA))
            at, times = Asker(first), []
            asker = Asker(second)
            for i in range(20 * self.o.rounds):
                reply = at.ask(update_message(f"new{i}"))
                if not reply or reply[3] & 15:
                    raise RuntimeError("an update was refused")
                began = time.monotonic()
                times.append((asker.until(data.query(f"new{i}.{data.ORIGIN}"), answered, 60) - began) * 1e3)
            times.sort()
            self.note(kind, "commit to answered by a secondary, p50 ms", times[len(times) // 2])
            self.note(kind, "commit to answered by a secondary, p99 ms", times[len(times) * 99 // 100])
        finally:
            first.stop(timeout=60)
            second.stop(timeout=60)

    def beside(self):
        """Updates of a small zone, so many a second whatever comes back, while a large one is transferred for the first time."""
        path = self.work / "beside.zone"
        data.write_flat(path, 1000)
        path.write_text(path.read_text().replace(data.ORIGIN, BESIDE))
        for kind in self.kinds:
            if servers.KINDS[kind].updatable:
                self.attempt(kind, "beside", self.beside_one, path)

    def beside_one(self, kind, path):
        rows = {"calm": [], "AXFR of a large zone": []}
        for i in range(self.o.rounds):
            source = primary.Primary(data.ORIGIN, self.o.names)
            source.make_whole()
            server = self.make(kind, f"beside-{i}", zones=[(BESIDE, path, None), (data.ORIGIN, None, source)], updates=True)
            try:
                server.start()
                asker = Asker(server)
                asker.until(data.query(BESIDE, data.SOA), answered, server=server)
                loaded = functools.partial(self.is_loaded, asker)
                rows["AXFR of a large zone"].append(paced_updates(server, UPDATES_A_SECOND, self.o.seconds + 1, loaded))
                rows["calm"].append(paced_updates(server, UPDATES_A_SECOND, self.o.seconds + 1))
                asker.close()
            finally:
                server.stop(timeout=60)
                source.close()
                shutil.rmtree(server.dir, ignore_errors=True)
        for label, times in rows.items():
            all_ms = sorted(t for row, _ in times for t in row)
            for q in (50, 99):
                self.note(kind, f"update beside, {label}: p{q} ms", all_ms[len(all_ms) * q // 100])
            self.note(kind, f"update beside, {label}: longest ms", all_ms[-1])
            self.note(kind, f"update beside, {label}: refused or lost", sum(refused for _, refused in times))

    @staticmethod
    def is_loaded(asker):
        response = asker.ask(data.query(data.ORIGIN, data.SOA))
        return bool(response) and answered(response)

    def shapes(self):
        """Zones that are not flat, one after the other."""
        for shape in shapes.SHAPES:
            if self.o.mixes and not any(w in shape for w in self.o.mixes.split(",")):
                continue
            source = self.work / "shape.zone"
            queries = data.write_queries(self.work / "shape.q", shapes.write(source, shape))
            running = {}
            for kind in self.kinds:
                server = self.make(kind, f"shape {shape}".replace(",", ""), zones=[(data.ORIGIN, source, None)])
                if self.attempt(kind, shape, lambda k: start(server, data.query(data.ORIGIN, data.SOA))) is not None:
                    running[kind] = server
            self.interleave(running, shape, queries)
            for server in running.values():
                server.stop(timeout=60)

    def xdp(self):
        """Over a cable between two network namespaces, by sockets and by AF_XDP. The kernel's part is not the server's process then but
        interrupts' on either CPU, so that the time of both CPUs counts, the generator's with it."""
        net = network.Network()
        try:
            place, source = net.place(), self.zone_data("small")
            queries = data.write_queries(self.work / "cable.q", [data.query(f"host{i % 10}.{data.ORIGIN}") for i in range(1000)])
            for kind in self.kinds:
                for way in ["sockets"] + ["AF_XDP"] * servers.KINDS[kind].has_xdp:
                    server = self.make(kind, f"cable {way}", zones=[(data.ORIGIN, source, None)], place=place, xdp=way == "AF_XDP")
                    self.attempt(kind, f"cable, {way}", self.over_a_cable, server, queries, f"cable, {way}")
                    server.stop(timeout=60)
        finally:
            net.close()

    def over_a_cable(self, kind, server, queries, label):
        start(server, data.query(data.ORIGIN, data.SOA))
        if kind == "tandem" and server.options.xdp and "for=AF_XDP" not in server.log():
            raise RuntimeError(server.log())
        rows = []
        for _ in range(self.o.rounds):
            before = busy_s()
            figures = load(server, queries, self.o.seconds)
            rows.append({**figures, **{k: (v - before[k]) / figures["answers"] * 1e6 for k, v in busy_s().items()}})
        self.note(kind, f"{label}: CPU us an answer, both CPUs", statistics.median(r["all"] for r in rows))
        self.note(kind, f"{label}: CPU us an answer, the server's", statistics.median(r["server"] for r in rows))
        self.note(kind, f"{label}: answers/s", statistics.median(r["answers/s"] for r in rows))

    CASES = {"answers": answers, "shapes": shapes, "xdp": xdp, "steady": steady, "compaction": compaction, "axfr-in": axfr_in,
             "notify": notify, "axfr-out": axfr_out, "updates": updates, "propagation": propagation, "beside": beside}


def tail_bytes(server):
    """Of the changes behind the newest image of the only zone."""
    with contextlib.closing(sqlite3.connect(f"file:{server.dir}/state/log.db?mode=ro", uri=True)) as log:
        return log.execute("SELECT coalesce(sum(removed + added), 0) FROM changeset WHERE seq > (SELECT max(seq) FROM snapshot)").fetchone()[0] * DELTA_RECORD_BYTES


def paced_updates(server, rate, seconds, ended=None):
    """Milliseconds from when each was due to its answer; those behind a stall wait with it. With `ended` it goes on till that is so."""
    s, due, times, next_look, refused = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), {}, [], 0, 0
    s.connect((server.host, server.port))
    began, count = time.monotonic(), 0
    end = None if ended else began + seconds
    while due or end is None or time.monotonic() < end:
        now = time.monotonic()
        while (end is None or now < end) and began + count / rate <= now:
            s.send(struct.pack("!H", count & 0xFFFF) + update_message(f"b{began:.6f}-{count}".replace(".", "-"), BESIDE)[2:])
            due[count & 0xFFFF] = began + count / rate
            count += 1
        if end is None and now > next_look:
            next_look = now + 0.05
            end = now + 0.2 if ended() else None
        s.settimeout(max(began + count / rate - time.monotonic(), 0.0001) if end is None or now < end else LOST_S)
        try:
            response = s.recv(512)
        except TimeoutError:
            if end and now > end:
                break  # the rest is lost
            continue
        refused += response[3] & 15 != 0
        times.append((time.monotonic() - due.pop(struct.unpack_from("!H", response)[0])) * 1e3)
    s.close()
    return times, refused + len(due)


def update_message(label, origin=data.ORIGIN):
    head = struct.pack("!HHHHHH", 0, 0x2800, 1, 0, 1, 0) + data.wire_name(origin) + struct.pack("!HH", data.SOA, 1)
    return head + data.record(label, data.A, b"\xc0\0\2\5", 60)


def transfer_out(server, records, first=None):
    """Reads a transfer of so many records and throws it away: seconds, records, octets. `first`: an IXFR from that serial."""
    question = data.wire_name(data.ORIGIN) + struct.pack("!HH", 252 if first is None else 251, 1)
    request = struct.pack("!HHHHHH", 7, 0, 1, 0, first is not None, 0) + question
    request += data.soa_record(first) if first is not None else b""
    buffer, have, got, octets = bytearray(1 << 20), 0, 0, 0
    view = memoryview(buffer)
    with socket.create_connection((server.host, server.port), 60) as s:
        began = time.monotonic()
        s.sendall(struct.pack("!H", len(request)) + request)
        while got < records:
            n = s.recv_into(view[have:])
            if n == 0:
                raise RuntimeError(f"the transfer ended after {got} records")
            have, at, octets = have + n, 0, octets + n
            while have - at >= 10:
                size = struct.unpack_from("!H", buffer, at)[0] + 2
                if have - at < size:
                    break
                if buffer[at + 5] & 15:
                    raise RuntimeError(f"rcode {buffer[at + 5] & 15}")
                got += struct.unpack_from("!H", buffer, at + 8)[0]
                at += size
            buffer[:have - at] = buffer[at:have]
            have -= at
        return time.monotonic() - began, got, octets


def table(results, kinds):
    rows = list(dict.fromkeys(k for kind in kinds for k in results[kind]))
    print(f"\n{'':48}" + "".join(f"{k:>12}" for k in kinds) + "   tandem / best peer")
    for row in rows:
        values = [results[k].get(row) for k in kinds]
        peers = [v for k, v in zip(kinds, values) if k not in ("tandem", "floor") and v is not None]
        best = (max if "/s" in row else min)(peers) if peers else None
        ratio = f"{values[0] / best:.2f}" if best and values[0] is not None else ""
        print(f"{row:48}" + "".join(f"{v:12.5g}" if v is not None else f"{'-':>12}" for v in values) + f"{ratio:>12}")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--cases", default=",".join(Run.CASES), help="of " + ", ".join(Run.CASES))
    args.add_argument("--mixes", default="", help="parts of the names of mixes, with commas; default all")
    args.add_argument("--peers", default="knot,nsd,bind,pdns")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=float, default=3)
    args.add_argument("--names", type=int, default=1000000)
    args.add_argument("--zones", type=int, default=100000)
    args.add_argument("--queries", type=int, default=500000, help="different questions of a mix")
    args.add_argument("--rate", type=int, default=20000, help="questions a second of `steady`")
    args.add_argument("--quick", action="store_true", help="small zones, one short round")
    o = args.parse_args()
    if o.quick:
        o.rounds, o.seconds, o.names, o.zones, o.queries = 1, 0.5, 20000, 1000, 20000
    run = Run(o, pathlib.Path(tempfile.mkdtemp(prefix="tandem-bench-")))
    try:
        os.sched_setaffinity(0, {OUR_CPU})
        for case in o.cases.split(","):
            print(f"== {case}", flush=True)
            Run.CASES[case](run)
    finally:
        shutil.rmtree(run.work, ignore_errors=True)
    table(run.results, [k for k, rows in run.results.items() if rows])
    out = ROOT / "build/bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"seed": data.SEED, "options": vars(o), "machine": os.uname().machine, "results": run.results}, indent=1))
    print(f"\n{out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
