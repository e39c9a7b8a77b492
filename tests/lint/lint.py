#!/usr/bin/python3
"""make lint: format, the include table of ARCHITECTURE.md, banned calls, sizes. Prints file:line: what; exits 1 if anything is wrong."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FUNCTION_LINES = 70
FILE_LINES = 1000
BANNED = re.compile(
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|alloca|system|popen|tmpnam|mktemp|rand|srand)\s*\(")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
findings = []


def say(path, line, what):
    findings.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / p for p in out.stdout.splitlines() if (ROOT / p).is_file()]


def layers():
    """The table in ARCHITECTURE.md: room -> rooms it may include."""
    table = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        m = re.match(r"\| `(\w+)` \|[^|]*\|([^|]*)\|", line)
        if m:
            allowed = m.group(2).replace("`", "").split()
            table[m.group(1)] = set() if allowed == ["-"] else set(allowed)
    return table


def check_layers(path, text, table):
    room = path.relative_to(ROOT / "src").parts[0]
    for n, line in enumerate(text.splitlines(), 1):
        m = re.match(r'#include "([^"]+)"', line)
        if not m:
            continue
        target = m.group(1).split("/")[0]
        if "/" not in m.group(1):
            say(path, n, f'include "{m.group(1)}" by its room: "room/file.h"')
        elif target not in table:
            say(path, n, f"room {target} is not in the table of ARCHITECTURE.md")
        elif target != room and "all" not in table[room] and target not in table[room]:
            say(path, n, f"room {room} may not include {target} (table in ARCHITECTURE.md)")
        elif target != room and m.group(1).endswith("_priv.h"):
            say(path, n, f"{m.group(1)} is private to room {target}")


def check_sizes(path, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        say(path, 1, f"{len(lines)} lines, at most {FILE_LINES}")
    start = None
    for n, line in enumerate(lines, 1):
        if re.match(r"^[A-Za-z_].*\{$", line) and not re.match(r"^(struct|enum|union|static const|const|typedef|extern)\b[^()]*\{$", line):
            start = n
        elif line.startswith("}") and start:
            if n - start + 1 > FUNCTION_LINES:
                say(path, start, f"function of {n - start + 1} lines, at most {FUNCTION_LINES}")
            start = None


def check_calls(path, text):
    for n, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"/\*.*?\*/|//.*", "", line)
        m = BANNED.search(re.sub(r'"(\\.|[^"\\])*"', '""', code))
        if m:
            say(path, n, f"{m.group(1)}() is banned")


def check_marks(path, text):
    for n, line in enumerate(text.splitlines(), 1):
        if MARKS.search(line):
            say(path, n, "an unfinished mark")


def check_test_sleeps():
    for path in tracked("tests/*.py", "tests/**/*.py", "tests/*.c", "tests/**/*.c"):
        if path.name == "lint.py":
            continue
        for n, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bu?sleep\(|time\.sleep\(", line):
                say(path, n, "tests wait for events, they do not sleep")


def check_format(paths):
    r = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *map(str, paths)], capture_output=True, text=True)
    said = set()
    for name, line in re.findall(r"^(/.+?):(\d+):\d+: error: ", r.stderr, re.M):
        if name not in said:
            say(pathlib.Path(name), line, "not in the project's format: make format")
        said.add(name)
    if r.returncode and not said:
        findings.append(f"clang-format-14: {r.stderr.strip()[:200]}")


def main():
    table = layers()
    rooms = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    for room in sorted(rooms ^ set(table)):
        findings.append(f"ARCHITECTURE.md: room {room} is only in one of the table and src/")
    sources = tracked("src/*.c", "src/*.h", "src/**/*.c", "src/**/*.h")
    for path in sorted(set(sources)):
        text = path.read_text()
        check_layers(path, text, table)
        check_sizes(path, text)
        check_calls(path, text)
        check_marks(path, text)
    for path in sorted(set(tracked("tests/*.c", "tests/**/*.c", "tests/**/*.h", "bench/*.c"))):
        check_marks(path, path.read_text())
    check_test_sleeps()
    check_format(sorted(set(sources + tracked("tests/**/*.c", "tests/**/*.h", "bench/*.c"))))
    for f in findings:
        print(f)
    print(f"lint: {len(sources)} source files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
