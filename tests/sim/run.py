#!/usr/bin/python3
"""Runs the simulator and proves it; ends with "N passed, M failed".

  replay     one seed twice: the trace has to be the same
  seeds      --seeds of them from --seed on, or as many fresh ones as fit into --seconds; each that a checker stops is a failure, but
             for those that seeds.txt calls open: bugs that were found and are not mended yet
  known      the seeds of seeds.txt that once found a bug
  mutations  each row of src/base/mutations.def, switched on alone, must be caught within 2,000 seeds. The seed that seeds.txt names is
             tried first, then those from 1 on (servers that change make other traces of the same seed)
"""
import argparse
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOUND = str(ROOT / "build/release/tests/sim/tandem_sim")
MUTANT = str(ROOT / "build/mutants/tests/sim/tandem_sim")
SEEDS = 2000


def say(good, text):
    print(text if good else f"FAILED {text}", flush=True)
    return good


def replay(options):
    traces = [subprocess.run([SOUND, "--seed", "11", "--seeds", "3"], capture_output=True, text=True).stdout for _ in range(2)]
    traces = [re.findall(r"^seed \d+: .*trace \w+$", t, re.M) for t in traces]
    yield say(len(traces[0]) == 3 and traces[0] == traces[1], f"replay: {', '.join(traces[0])}")


def seeds(options):
    seed = options.seed or int(time.time()) % 1000000 * 1000
    much = ["--seeds", str(options.seeds)] if options.seed else ["--seconds", str(options.seconds)]
    r = subprocess.run([SOUND, "--seed", str(seed), *much, "--jobs", str(options.jobs), "--quiet"], capture_output=True, text=True)
    open_seeds = {number for number, mutation, _ in known_rows() if mutation == "open"}
    stopped = [line for line in r.stderr.splitlines() if re.match(r"seed \d+ at", line)]
    fresh = [line for line in stopped if int(line.split()[1]) not in open_seeds]
    for line in stopped:
        if line in fresh:
            yield say(False, line)
        else:
            print(f"open: {line}")
    print(r.stdout, end="", flush=True)
    yield say(r.returncode == 0 or (bool(stopped) and not fresh), f"seeds from {seed} on")


def known_rows():
    """Lines of "seed mutation why"; a mutation of "-" is a bug that was found and mended, "open" one that is not yet."""
    lines = ((line + " caught").split(None, 2) for line in (ROOT / "tests/sim/seeds.txt").read_text().splitlines() if line and line[0] != "#")
    return [(int(seed), mutation, why.removesuffix(" caught")) for seed, mutation, why in lines]


def known(options):
    for seed, mutation, why in known_rows():
        if mutation == "-":
            good = subprocess.run([SOUND, "--seed", str(seed), "--quiet"], capture_output=True).returncode == 0
            yield say(good, f"seed {seed}: {why}")


def caught(mutation, seed, count, jobs):
    """The first seed that caught it, and what was said."""
    r = subprocess.run([MUTANT, "--mutation", mutation, "--seed", str(seed), "--seeds", str(count), "--jobs", str(jobs), "--quiet",
                        "--until-found"], capture_output=True, text=True)
    failed = re.search(r"^seed (\d+): (failed|killed)", r.stdout, re.M)
    if not failed:
        return None
    said = re.search(rf"^seed {failed.group(1)} at .*?: (.*)", r.stderr, re.M)
    return int(failed.group(1)), said.group(1) if said else failed.group(2)


def mutations(options):
    first = {mutation: seed for seed, mutation, _ in known_rows()}
    for mutation, doc in re.findall(r'^MUTATION_ROW\((\w+), "(.*)"\)$', (ROOT / "src/base/mutations.def").read_text(), re.M):
        if options.mutation and mutation != options.mutation:
            continue
        found = (mutation in first and caught(mutation, first[mutation], 1, 1)) or caught(mutation, 1, SEEDS, options.jobs)
        what = f"caught by seed {found[0]}: {found[1]}" if found else f"not caught in {SEEDS} seeds"
        yield say(bool(found), f"{mutation} ({doc}) {what}")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--only", help="names of parts, with commas")
    args.add_argument("--seed", type=int)
    args.add_argument("--seeds", type=int, default=1500, help="how many, with --seed")
    args.add_argument("--seconds", type=int, default=100, help="how long, without")
    args.add_argument("--jobs", type=int, default=2)
    args.add_argument("--mutation")
    options = args.parse_args()
    results = []
    for part in (replay, seeds, known, mutations):
        if not options.only or part.__name__ in options.only.split(","):
            results += part(options)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
