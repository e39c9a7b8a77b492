#!/usr/bin/python3
"""Runs every fuzz target of build/fuzz for a bounded time from its corpus; a crash is left in build/fuzz-findings/NAME."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(target, seconds, seed):
    name = target.name.removeprefix("fuzz_")
    corpus = ROOT / "tests/fuzz/corpus" / name
    findings = ROOT / "build/fuzz-findings" / name
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as fresh:
        r = subprocess.run(
            [target, f"-max_total_time={seconds}", f"-seed={seed}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1",
             f"-artifact_prefix={findings}/", fresh, corpus],
            capture_output=True, text=True, errors="replace", env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1"})
    runs = re.search(r"number_of_executed_units:\s+(\d+)", r.stderr)
    return name, r.returncode, int(runs.group(1)) if runs else 0, r.stderr


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--seconds", type=int, default=60)
    args.add_argument("--seed", type=int, default=0, help="0: another one each time")
    options = args.parse_args()
    targets = sorted(p for p in (ROOT / "build/fuzz/tests/fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, runs, log in pool.map(lambda t: run(t, options.seconds, options.seed), targets):
            print(f"fuzz {name}: {runs} runs, {'ok' if code == 0 else 'FAILED'}", flush=True)
            if code:
                failed += 1
                print(log[-3000:])
    print(f"{len(targets) - failed} passed, {failed} failed")
    return 1 if failed or not targets else 0


if __name__ == "__main__":
    sys.exit(main())
