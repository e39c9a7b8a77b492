#!/usr/bin/python3
"""make bench: Tandem beside Knot and NSD (and BIND with --peers) from Debian, in one interleaved run. Prints a table and leaves
build/bench.json. CPU an answer is user + system time of all the server's processes, from the kernel's accounting, divided by the
answers that dnsperf counted; the server runs on one CPU with one worker, the load generator on another. Compare ratios within a run,
never figures across runs."""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("TANDEM", str(ROOT / "build/release/src/tandem/tandem"))

import harness  # noqa: E402

SEED = 20261122
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
ORIGIN = "bench.example."


def make_zone(path, names):
    rng = random.Random(SEED)
    with open(path, "w") as f:
        f.write(harness.soa(ORIGIN, 1) + f"{ORIGIN} 3600 IN NS ns1.{ORIGIN}\nns1.{ORIGIN} 3600 IN A 192.0.2.1\n")
        for i in range(names):
            f.write(f"host{i}.{ORIGIN} 3600 IN A 10.{rng.randrange(256)}.{i >> 8 & 255}.{i & 255}\n")


def make_queries(path, names, count, missing=False):
    rng = random.Random(SEED + 1)
    with open(path, "w") as f:
        for _ in range(count):
            n = rng.randrange(names)
            f.write(f"host{n}{'x' if missing else ''}.{ORIGIN} A\n")


class Dummy:
    host, port, at = "127.0.0.1", 1, "127.0.0.1@1"


def make_server(kind, directory, zone_path):
    if kind == "tandem":
        t = harness.Tandem(directory, {"zones": [{"name": ORIGIN, "role": "primary", "file": str(zone_path)}]})
        return t
    cls = {"knot": harness.Knot, "nsd": harness.Nsd, "bind": harness.Bind}[kind]
    s = cls(directory, {ORIGIN: ""}, Dummy)
    s.zone_file(0).unlink()
    s.zone_file(0).symlink_to(zone_path)
    return s


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
    user = system = 0
    for pid in processes(server):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user * TICK_S, system * TICK_S


def rss_bytes(server):
    """Proportional set size of all processes: shared pages count once."""
    total = 0
    for pid in processes(server):
        m = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        total += int(m.group(1)) * 1024
    return total


def start(server):
    """Seconds from the start to the first answer."""
    began = time.monotonic()
    server.start() if server.name != "tandem" else server.start(timeout=600)
    os.sched_setaffinity(0, {1})
    server.wait_answer(ORIGIN, timeout=600)
    return time.monotonic() - began


def pin(server, cpu):
    for pid in processes(server):
        subprocess.run(["taskset", "-a", "-p", "-c", str(cpu), str(pid)], capture_output=True)


def load(server, queries, seconds):
    """(answers, user us an answer, system us an answer, queries/s)"""
    pin(server, 0)
    u0, s0 = cpu_s(server)
    r = subprocess.run(["taskset", "-c", "1", "dnsperf", "-s", server.host, "-p", str(server.port), "-d", queries, "-l", str(seconds),
                        "-c", "1", "-q", "400", "-T", "1"], capture_output=True, text=True, check=True)
    u1, s1 = cpu_s(server)
    answers = int(re.search(r"Queries completed:\s+(\d+)", r.stdout).group(1))
    rate = float(re.search(r"Queries per second:\s+([\d.]+)", r.stdout).group(1))
    return answers, (u1 - u0) / answers * 1e6, (s1 - s0) / answers * 1e6, rate


def bench_answers(kinds, work, results, rounds, seconds, name, zone, queries):
    servers = {}
    for kind in kinds:
        servers[kind] = make_server(kind, work / f"{name.replace(chr(32), chr(45))}-{kind}", zone)
        first = start(servers[kind])
        rss = rss_bytes(servers[kind])
        results[kind].update({f"{name}: start, s": first, f"{name}: memory, MB": rss / 1e6})
        print(f"{name}: {kind} started in {first:.2f} s, {rss / 1e6:.0f} MB", flush=True)
    for mix, path in queries.items():
        samples = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in kinds:
                samples[kind].append(load(servers[kind], path, seconds))
        for kind in kinds:
            med = [statistics.median(s[i] for s in samples[kind]) for i in range(4)]
            results[kind][f"{mix}: CPU us an answer"] = med[1] + med[2]
            results[kind][f"{mix}: user us"] = med[1]
            results[kind][f"{mix}: answers/s"] = med[3]
            print(f"{mix}: {kind} {med[1] + med[2]:.2f} us ({med[1]:.2f} user), {med[3]:.0f}/s", flush=True)
    for kind in kinds:
        servers[kind].stop(timeout=60)
        again = start(servers[kind])
        results[kind][f"{name}: restart, s"] = again
        servers[kind].stop(timeout=60)


def table(results, kinds):
    rows = list(dict.fromkeys(k for kind in kinds for k in results[kind]))
    print(f"\n{'':44}" + "".join(f"{k:>12}" for k in kinds) + "   tandem / best peer")
    for row in rows:
        values = [results[k].get(row) for k in kinds]
        peers = [v for k, v in zip(kinds, values) if k != "tandem" and v is not None]
        best = (max if row.endswith("answers/s") else min)(peers) if peers else None
        ratio = f"{values[0] / best:.2f}" if best else ""
        print(f"{row:44}" + "".join(f"{v:12.3f}" if v is not None else f"{'-':>12}" for v in values) + f"{ratio:>12}")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=float, default=3)
    args.add_argument("--names", type=int, default=1000000)
    args.add_argument("--peers", default="knot,nsd")
    o = args.parse_args()
    kinds = ["tandem"] + o.peers.split(",")
    results = {k: {} for k in kinds}
    work = pathlib.Path(tempfile.mkdtemp(prefix="tandem-bench-"))
    try:
        os.sched_setaffinity(0, {1})
        make_zone(work / "small.zone", 10)
        make_zone(work / "large.zone", o.names)
        make_queries(work / "one.q", 1, 1)
        make_queries(work / "random.q", o.names, 500000)
        make_queries(work / "missing.q", o.names, 500000, missing=True)
        bench_answers(kinds, work, results, o.rounds, o.seconds, "small zone", work / "small.zone", {"one name": work / "one.q"})
        bench_answers(kinds, work, results, o.rounds, o.seconds, f"{o.names} names", work / "large.zone",
                      {"random names": work / "random.q", "missing names": work / "missing.q"})
    finally:
        shutil.rmtree(work, ignore_errors=True)
    table(results, kinds)
    out = ROOT / "build/bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"seed": SEED, "options": vars(o), "cpu": os.uname().machine, "results": results}, indent=1))
    print(f"\n{out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
