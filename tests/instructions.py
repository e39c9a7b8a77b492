#!/usr/bin/python3
"""Instructions an answer, counted by callgrind: no kind of answer may cost over 3 % more than tests/instructions.json says. Counts are
the same in every run on one machine, whatever else it does; time is never looked at.

  tests/instructions.py            compares; ends with "N passed, N failed"
  tests/instructions.py --write    writes the file, when a rise has its reason or a fall should be held"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE = ROOT / "tests/instructions.json"
PROGRAM = ROOT / "build/release/bench/bench_answer_instructions"
NAMES, ANSWERS = 10, 320
BATCHES = {32: "", 1: ", alone"}  # under load, and at leisure
ALLOWED = 1.03


def count(batch, how):
    """{kind: instructions an answer}"""
    with tempfile.TemporaryDirectory() as directory:
        out = subprocess.run(["valgrind", "-q", "--tool=callgrind", "--toggle-collect=answer_batch", "--dump-after=ask",
                              f"--callgrind-out-file={directory}/counts", PROGRAM, str(NAMES), str(ANSWERS // batch), str(batch)],
                             capture_output=True, text=True, check=True).stdout
        kinds = [line[:20].strip() for line in out.splitlines()]
        counts = {}
        for i, kind in enumerate(kinds, 1):
            text = pathlib.Path(f"{directory}/counts.{i}").read_text()
            counts[kind + how] = round(int(text.rsplit("summary:", 1)[1].split()[0]) / ANSWERS)
        return counts


def main():
    subprocess.run(["ninja", "-C", ROOT / "build/release", "--quiet", "bench/bench_answer_instructions"], check=True)
    counts = {kind: n for batch, how in BATCHES.items() for kind, n in count(batch, how).items()}
    if "--write" in sys.argv[1:]:
        FILE.write_text(json.dumps(counts, indent=1) + "\n")
    committed = json.loads(FILE.read_text())
    failed = 0
    for kind in sorted(committed.keys() | counts.keys()):
        now, then = counts.get(kind), committed.get(kind)
        bad = now is None or then is None or now > then * ALLOWED
        failed += bad
        print(f"{kind:28} {now or '-':>6} instructions, {then or '-':>6} committed{'  FAILED' if bad else ''}")
    print(f"{len(committed.keys() | counts.keys()) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
