"""The command line: check-zone, check-config, keygen, status, export, zone list, help."""
import json
import re
import subprocess

import pytest

from harness import BINARY, Tandem, simple_zone

MISTAKES = """$TTL 1h
@ IN SOA ns1 hostmaster 1 3600 600 86400 300
@ IN NS ns1
ns1 IN A 192.0.2.256
mail IN MX ten mail
x IN FROB 1
"""


def run(*args, cwd=None):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, cwd=cwd)


def test_check_zone_says_every_mistake_in_one_pass(tmp_path):
    path = tmp_path / "z"
    path.write_text(MISTAKES)
    r = run("check-zone", "example.com", str(path))
    assert r.returncode == 1
    lines = re.findall(r"z:(\d+):(\d+): error", r.stdout)
    assert [int(n) for n, _ in lines] == [4, 5, 6]
    assert "invalid preference in MX" in r.stdout
    found = json.loads(run("check-zone", "example.com", str(path), "--json").stdout)
    findings = found["findings"] if isinstance(found, dict) else found
    assert [f["line"] for f in findings] == [4, 5, 6]
    path.write_text(simple_zone("example.com."))
    assert run("check-zone", "example.com", str(path)).returncode == 0


def test_include_stays_inside_and_quotes_little(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("do-not-show-this-line at all\n")
    (tmp_path / "zones").mkdir()
    path = tmp_path / "zones/z"
    path.write_text(simple_zone("example.com.") + "$INCLUDE ../secret\n")
    r = run("check-zone", "example.com", str(path))
    assert r.returncode == 1 and "z:5:" in r.stdout
    assert "at all" not in r.stdout + r.stderr
    path.write_text(simple_zone("example.com.") + "$INCLUDE z\n")
    r = run("check-zone", "example.com", str(path))
    assert r.returncode == 1 and "loop" in r.stdout


def test_check_config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("server: {listen: ['127.0.0.1@5300']}\nzones:\n  - {name: example.com, rol: primary}\npeers: x\n")
    r = run("check-config", str(path))
    assert r.returncode == 1 and "c.yaml:3:" in r.stdout and "role" in r.stdout
    path.write_text("server: {listen: ['127.0.0.1@5300']}\nzones: [{name: a, file: z}]\n")
    r = run("check-config", str(path))
    assert r.returncode == 0 and r.stdout.endswith("good: 1 zone, 0 keys, 0 peers\n")
    path.write_text("server: {listen: ['127.0.0.1@5300'], rate-limit: 200}\n")
    r = run("check-config", str(path))
    assert r.returncode == 1 and "not available yet" in r.stdout


def test_keygen_prints_all_dialects():
    r = run("keygen", "xfr.example.")
    assert r.returncode == 0
    secrets = set(re.findall(r"[A-Za-z0-9+/]{43}=", r.stdout))
    assert len(secrets) == 1
    for word in ("named", "knot", "nsd", "pdns"):
        assert re.search(word, r.stdout, re.I) or {"named": "BIND", "pdns": "PowerDNS"}.get(word, word) in r.stdout, word
    key = json.loads(run("keygen", "xfr.example.", "--json").stdout)
    assert key["algorithm"] == "hmac-sha256"
    assert run("keygen", "xfr.example.").stdout != r.stdout


def test_status_export_and_zone_list(lab):
    t = lab.tandem("t", {"zones": [{"name": "example.com", "role": "primary", "file": "z"}]})
    t.file("z", simple_zone("example.com.", extra='MixedCase 60 IN TXT "a;b" "\\"quoted\\""\n* 60 IN MX 5 mail\n'))
    t.start()
    assert t.status()["served"] == 1
    assert t.status("example.com")["serial"] == 1
    assert [z["name"] for z in t.json("zone list")["zones"]] == ["example.com"]
    text = t.run("export example.com", check=0).stdout
    assert "MixedCase.example.com." in text
    again = lab.tandem("again", {"zones": [{"name": "example.com", "role": "primary", "file": "z"}]})
    again.file("z", text)
    again.start()
    assert again.run("export example.com", check=0).stdout == text
    r = t.run("status other.example", check=1)
    assert "no zone" in r.stderr


def test_help_names_every_command():
    r = run("help")
    assert r.returncode == 0
    for word in ("serve", "check-config", "check-zone", "status", "reload", "retransfer", "notify", "export", "zone list", "keygen", "demo"):
        assert word in r.stdout, word
    assert run("--version").stdout.startswith("tandem ")
    assert isinstance(Tandem.name, str)


@pytest.mark.parametrize("args, says", [
    ("check-zone --frob example.com z", "check-zone: there is no option --frob"),
    ("check-zone example.com", "check-zone: the zone's name and its file are wanted"),
    ("check-zone example.com a b", "check-zone: one zone and one file are taken"),
    ("check-zone /dev/null example.com", "check-zone: the zone's name comes first, and then its file"),
    ("check-config --frob c.yaml", "check-config: there is no option --frob"),
    ("check-config", "check-config: the configuration file is wanted"),
    ("check-config a b", "check-config: one configuration file is taken"),
    ("serve --config c.yaml", "serve: there is no option --config"),
    ("serve", "serve: the configuration is wanted"),
    ("keygen --frob a", "keygen: there is no option --frob"),
    ("keygen a --algorithm", "keygen: --algorithm wants a value"),
    ("keygen a b", "keygen: one name is taken"),
    ("demo --frob", "demo: there is no option --frob"),
    ("demo --zone z", "demo: --zone wants an --origin"),
    ("compare --frob a b c", "compare: there is no option --frob"),
    ("restore --frob d", "restore: there is no option --frob"),
    ("restore a b", "restore: one backup is taken"),
    ("status --frob --state s", "status: there is no option --frob"),
    ("status -x --state s", "status: there is no option -x"),
    ("zone", "behind zone: there are zone add, zone delete, zone list"),
    ("zone lst", "behind zone: there are zone add, zone delete, zone list"),
    ("help zone", "behind zone: there are zone add, zone delete, zone list"),
    ("statis", "there is no command statis; did you mean status?"),
    ("frobnicate", "there is no command frobnicate; `tandem help` lists them"),
    ("held", "held is not available yet"),
])
def test_wrong_arguments_are_named(tmp_path, args, says):
    r = run(*args.split(), cwd=tmp_path)
    assert r.returncode == 2 and r.stdout == "" and says in r.stderr, r.stderr


@pytest.mark.parametrize("args, says", [
    ("status --state nowhere", "no server is running there"),
    ("export a --state nowhere", "no server is running there"),
    ("status -c missing.yaml", "does not say where the state directory is"),
    ("import a missing.zone --state nowhere", "can't read missing.zone: No such file or directory"),
    ("import a large.zone --state nowhere", "can't read large.zone: it is larger than a command may be"),
    ("restore missing", "missing can't be opened"),
    ("compare a 127.0.0.1@1 127.0.0.1@1", "nobody gives the zone's names"),
    ("compare a..b 127.0.0.1@1 127.0.0.1@1", "not a domain name: an empty label"),
    ("compare a x y", "neither an address nor the name of a peer: x"),
    ("compare a 127.0.0.1@1 127.0.0.1@1 -c missing.yaml", "the configuration has mistakes"),
    ("compare a 127.0.0.1@1 127.0.0.1@1 --file missing.zone", "the zone file has mistakes"),
    ("keygen a..b", "cannot be a key's name: an empty label"),
    ("keygen a --algorithm frob", "there is no algorithm `frob`"),
    ("check-zone a..b z", "`a..b` is not a domain name: an empty label"),
])
def test_failures_are_said_in_json_too(tmp_path, args, says):
    with open(tmp_path / "large.zone", "wb") as large:
        large.truncate(1 << 29)
    r = run(*args.split(), "--json", cwd=tmp_path)
    told = json.loads(r.stdout)
    assert r.returncode == 1 and told["ok"] is False and says in told["error"] and says in r.stderr, r.stderr
    plain = run(*args.split(), cwd=tmp_path)
    assert (plain.returncode, plain.stdout, plain.stderr) == (1, "", r.stderr)


def test_what_could_not_be_written_was_not_said(tmp_path):
    path = tmp_path / "z"
    path.write_text(simple_zone("example.com."))
    for args in (["help"], ["keygen", "a"], ["check-zone", "example.com", str(path)], ["check-zone", "example.com", str(path), "--json"]):
        with open("/dev/full", "w") as full:
            r = subprocess.run([BINARY, *args], stdout=full, stderr=subprocess.PIPE, text=True)
        assert r.returncode == 1 and r.stderr == f"tandem {args[0]}: what it has to say could not be written\n"


def test_a_zone_that_was_never_loaded(lab):
    """What is wrong with its file is said, and not that there is no such zone; JSON has each place too."""
    t = lab.tandem("t", {"zones": [{"name": "bad.example", "role": "primary", "file": "bad"},
                                   {"name": "good.example", "role": "primary", "file": "good", "editable": True}]})
    t.file("bad", MISTAKES)
    t.file("good", simple_zone("good.example."))
    t.start()
    for command in ("export", "history", "diff"):
        assert "the zone has no content yet; `tandem status ZONE` says why" in t.run(f"{command} bad.example", check=1).stderr
    told = json.loads(t.run(f"import good.example {t.dir / 'bad'} --json", check=1).stdout)
    assert told["error"] == "the content has mistakes" and [int(n) for n in re.findall(r"bad:(\d+):\d+: error", told["text"])] == [4, 5, 6]
    told = json.loads(t.run("reload --json", check=1).stdout)
    assert told["refused"] == 1 and "bad:4:10: error" in told["text"]


def test_demo_looks_at_the_zone_first(tmp_path):
    path = tmp_path / "z"
    path.write_text(MISTAKES)
    r = run("demo", "--zone", str(path), "--origin", "example.com")
    assert r.returncode == 1 and "z:4:10: error" in r.stdout and r.stdout.endswith("example.com: 3 errors\n")
    r = run("demo", "--zone", str(tmp_path / "missing"), "--origin", "example.com")
    assert r.returncode == 1 and "can't read" in r.stdout
