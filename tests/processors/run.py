#!/usr/bin/python3
"""Tests on processors that this machine isn't (make soak), which qemu plays: an old x86-64 without any of the instructions that are chosen at
run time, and an aarch64, where the scanner has others. The second has no libraries but libc, so it runs the rooms that need none.
Prints "N passed, N failed"."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build/aarch64"
JOBS = os.cpu_count() or 1
ENV = {**os.environ, "TEST_DATA": str(ROOT / "tests/data")}
OLD = ["qemu-x86_64", "-cpu", "qemu64,-popcnt,-ssse3,-avx2"]
ROOMS = ["base", "wire", "zonefile"]
CC = ["aarch64-linux-gnu-gcc", "-std=gnu17", "-D_GNU_SOURCE", "-DXXH_INLINE_ALL", "-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
      "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-Isrc", "-Itests/processors", "-idirafter", "/usr/include"]  # xxhash.h


def run(args):
    r = subprocess.run([str(a) for a in args], cwd=ROOT, env=ENV, capture_output=True, text=True, errors="replace")
    if r.returncode:
        print(f"{' '.join(map(str, args))}: {r.returncode}\n{r.stdout[-2000:]}{r.stderr[-2000:]}", flush=True)
    return r.returncode == 0


def units(*rooms):
    return [p for room in rooms for p in sorted((ROOT / "tests/unit" / room).glob("test_*.c"))]


def cross_built(pool):
    """Programs for aarch64, with what to call them with."""
    OUT.mkdir(parents=True, exist_ok=True)
    sources = [p for room in ROOMS for p in sorted((ROOT / "src" / room).glob("*.c"))]
    objects = [OUT / f"{p.parent.name}-{p.stem}.o" for p in sources]
    assert all(pool.map(run, [[*CC, "-c", p, "-o", o] for p, o in zip(sources, objects)]))
    examples, replay, library = ROOT / "tests/unit/wire/rr_examples.c", ROOT / "tests/fuzz/replay.c", OUT / "rooms.a"
    library.unlink(missing_ok=True)
    assert run(["aarch64-linux-gnu-ar", "rcs", library, *objects])
    programs = {p: [OUT / p.stem] for p in units("wire", "zonefile") if p.stem != "test_rr_doc"}
    programs |= {ROOT / f"tests/fuzz/{name}.c": [OUT / f"fuzz_{name}", ROOT / "tests/fuzz/corpus" / name]
                 for name in ("message", "name", "rdata", "edns", "zonefile")}
    more = {"fuzz": [replay], "wire": [examples]}
    assert all(pool.map(run, [[*CC, "-static", p, *more.get(p.parent.name, []), library, "-o", call[0]] for p, call in programs.items()]))
    return programs.values()


def main():
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        calls = [["qemu-aarch64", *call] for call in cross_built(pool)]
        calls += [[*OLD, ROOT / "build/clang" / p.relative_to(ROOT).with_suffix("")] for p in units("wire", "zonefile", "zone", "answer")
                  if p.stem not in ("test_rr_doc", "test_memory")]
        passed = sum(pool.map(run, calls))
    print(f"{passed} passed, {len(calls) - passed} failed")
    return int(passed < len(calls))


if __name__ == "__main__":
    sys.exit(main())
