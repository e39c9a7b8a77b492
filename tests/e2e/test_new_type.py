"""A new RR type is one row of rr_table.def: a scratch copy of the project gets one, and it parses, prints, transfers and answers."""
import os
import shutil
import subprocess

import pytest

import harness
from harness import ROOT, Tandem, simple_zone

ROW = 'RR(MADEUP, 65400, 0, "RFC 3597", {"weight", FIELD_U16, 0}, {"target", FIELD_NAME, 0}, {"note", FIELD_STRING, 0})\n'


@pytest.fixture(scope="module")
def scratch_binary(tmp_path_factory):
    """The server built from a copy with the row; compiled with little optimisation, to be quick."""
    copy = tmp_path_factory.mktemp("scratch")
    for name in ("src", "meson.build", "meson_options.txt", "docs", "packaging"):
        src = ROOT / name
        shutil.copytree(src, copy / name) if src.is_dir() else shutil.copy(src, copy / name)
    table = copy / "src/wire/rr_table.def"
    table.write_text(table.read_text() + ROW)
    subprocess.run(["meson", "setup", "build", "--buildtype=plain", "-Dtests=false", "-Dextras=false"], cwd=copy, check=True, capture_output=True)
    subprocess.run(["ninja", "-C", "build", "src/tandem/tandem"], cwd=copy, check=True, capture_output=True)
    return str(copy / "build/src/tandem/tandem")


def test_one_row_is_all_it_takes(lab, scratch_binary, monkeypatch):
    monkeypatch.setattr(harness, "BINARY", scratch_binary)
    primary, secondary = lab.tandem("primary"), lab.tandem("secondary")
    primary.configure({"peers": [{"name": "s", "address": secondary.at}],
                       "zones": [{"name": "example.com", "role": "primary", "file": "z", "notify": ["s"], "transfer": ["s"]}]})
    secondary.configure({"peers": [{"name": "p", "address": primary.at}],
                         "zones": [{"name": "example.com", "role": "secondary", "primaries": ["p"]}]})
    primary.file("z", simple_zone("example.com.", extra='it 60 IN MADEUP 7 target.example.com. "a note"\n'))
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    wire = b"\x00\x07\x06target\x07example\x03com\x00\x06a note"
    assert secondary.ask("it.example.com", "TYPE65400").answer[0][0].to_generic().data == wire
    assert 'it.example.com. 60 IN MADEUP 7 target.example.com. "a note"' in secondary.run("export example.com", check=0).stdout.replace("\t", " ")
    bad = primary.file("bad", simple_zone("example.com.", extra='it 60 IN MADEUP x target.example.com. "a note"\n'))
    r = subprocess.run([scratch_binary, "check-zone", "example.com", str(bad)], capture_output=True, text=True)
    assert r.returncode == 1 and "invalid weight in MADEUP" in r.stdout
    assert os.path.exists(scratch_binary) and isinstance(primary, Tandem)
