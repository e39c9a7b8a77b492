"""The command line: check-zone, check-config, keygen, status, export, zone list, help."""
import json
import re
import subprocess

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
    path.write_text("server: {listen: ['127.0.0.1@5300']}\n")
    assert run("check-config", str(path)).returncode == 0
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
