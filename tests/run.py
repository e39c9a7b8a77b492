#!/usr/bin/python3
"""make test: builds, runs every stage, and ends with one line "N passed, N failed". A stage that does not even start counts as one
failure. --soak runs the long forms."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
JOBS = os.cpu_count() or 1


def run(args, **kw):
    return subprocess.run(args, cwd=ROOT, text=True, **kw)


def make(*targets):
    return run(["make", "--no-print-directory", f"JOBS={JOBS}", *targets]).returncode == 0


def lint():
    ok = run([sys.executable, "tests/lint/lint.py"]).returncode == 0
    return int(ok), int(not ok)


def compilers():
    """No warning with gcc (release, asan) nor clang."""
    passed = failed = 0
    for preset in ("build", "asan", "clang"):
        ok = make(preset)
        passed, failed = passed + ok, failed + (not ok)
    return passed, failed


def units(soak):
    r = run(["meson", "test", "-C", "build/asan", "--print-errorlogs", "--no-rebuild", f"--num-processes={JOBS}"],
            env={**os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
    log = ROOT / "build/asan/meson-logs/testlog.json"
    results = [json.loads(line)["result"] for line in log.read_text().splitlines()] if log.exists() else []
    passed = results.count("OK") + results.count("EXPECTEDFAIL")
    failed = len(results) - passed - results.count("SKIP")
    failed = failed or int(r.returncode != 0)
    if soak:  # a zone that changes every second, for the whole day
        ok = run(["build/asan/tests/unit/control/test_day", "86400"]).returncode == 0
        passed, failed = passed + ok, failed + (not ok)
    return passed, failed


def counted(args):
    """A stage that prints its own "N passed, N failed" (pytest's "N failed, N passed" too)."""
    p = subprocess.Popen(args, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    closing = ""
    for line in p.stdout:
        print(line, end="", flush=True)
        if re.search(r"\d+ (passed|failed|error)", line) and not line.startswith(("FAILED", "ERROR")):
            closing = line
    code = p.wait()
    text = closing
    passed = sum(map(int, re.findall(r"(\d+) passed", text)))
    failed = sum(map(int, re.findall(r"(\d+) failed", text))) + sum(map(int, re.findall(r"(\d+) error", text)))
    return passed, failed or int(code != 0)


def end_to_end(soak):
    return counted([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(JOBS), "tests/e2e"] + (["--soak"] if soak else []))


def differential():
    return counted([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/diff"])


def instructions():
    """Of each kind of answer: no more than were committed."""
    return counted([sys.executable, "tests/instructions.py"])


def fuzz(soak):
    """From the same seed each time, as the simulator; from a fresh one in the long form."""
    if not make("fuzzers"):
        return 0, 1
    return counted([sys.executable, "tests/fuzz/run.py", *(["--seconds", "3600"] if soak else ["--seconds", "24", "--seed", "1"])])


def simulator(soak):
    """The same seeds each time, so that nothing fails by chance; fresh ones in the long form."""
    if not make("sim-built"):
        return 0, 1
    which = ["--seconds", "3600"] if soak else ["--seed", "1", "--seeds", "1500"]
    return counted([sys.executable, "tests/sim/run.py", "--jobs", str(JOBS), *which])


def processors():
    if not make("clang"):
        return 0, 1
    return counted([sys.executable, "tests/processors/run.py"])


def demo():
    ok = run(["build/tandem", "demo"]).returncode == 0
    return int(ok), int(not ok)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--soak", action="store_true")
    args.add_argument("--only", help="names of stages, with commas")
    options = args.parse_args()
    stages = {
        "lint": lint,
        "compilers": compilers,
        "units and corpora": lambda: units(options.soak),
        "instructions": instructions,
        "simulator": lambda: simulator(options.soak),
        "end to end": lambda: end_to_end(options.soak),
        "differential": differential,
        "demo": demo,
        "fuzz": lambda: fuzz(options.soak),
    }
    if options.soak:
        stages["processors"] = processors
    total_passed = total_failed = 0
    for name, stage in stages.items():
        if options.only and name.split()[0] not in options.only.split(","):
            continue
        print(f"== {name}", flush=True)
        began = time.monotonic()
        try:
            passed, failed = stage()
        except OSError as e:
            print(e)
            passed, failed = 0, 1
        print(f"== {name}: {passed} passed, {failed} failed, {time.monotonic() - began:.0f} s", flush=True)
        total_passed, total_failed = total_passed + passed, total_failed + failed
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main())
