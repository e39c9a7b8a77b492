"""Who owns a zone: the file and other writers at the same time, zones that live in the store, and content that commands bring."""
import os
import subprocess

import dns.update
import dns.rcode

from harness import BINARY, SECRET, simple_zone, wait_until
from test_update import ALL, ZONE, primary, rcode, texts

WWW = "www 60 IN TXT one\n"


def text_update(name, text):
    u = dns.update.UpdateMessage(ZONE)
    u.replace(name, 60, "TXT", text)
    return u


def editor(t, script):
    """A program that edits the file it is given."""
    path = t.file("editor", f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def edit(t, *args, script, answers="", check=0):
    env = {**os.environ, "EDITOR": str(editor(t, script)), "TMPDIR": "/tmp"}
    env.pop("VISUAL", None)
    r = subprocess.run([BINARY, "edit", *args, "-c", t.config_path], input=answers, env=env,
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == check, f"{r.returncode}\n{r.stdout}\n{r.stderr}\n{t.log()[-1500:]}"
    return r


def test_file_and_updates(lab):
    t = primary(lab, extra=WWW)
    assert rcode(t, text_update("dyn", "x")) == "NOERROR"
    t.file("zone0", simple_zone(ZONE, extra="www 60 IN TXT two\nnew 60 IN TXT n\n"))
    t.reload()
    assert texts(t, f"www.{ZONE}") == ["two"] and texts(t, f"new.{ZONE}") == ["n"] and texts(t, f"dyn.{ZONE}") == ["x"]
    assert t.status(ZONE)["owner"] == "log" and t.status(ZONE)["edited-beside-file"]
    assert rcode(t, text_update("www", "three")) == "NOERROR"
    t.kill()
    t.start()
    t.file("zone0", simple_zone(ZONE, extra="www 60 IN TXT four\nother 60 IN TXT o\n"))
    said = t.reload(check=1)
    assert "zone0:" in said.stdout + said.stderr and '"four"; in the zone: "three" [conflict]' in said.stdout + said.stderr, said
    assert "conflict" in t.status(ZONE)["trouble"]
    assert texts(t, f"www.{ZONE}") == ["three"] and texts(t, f"other.{ZONE}") == []
    serial = t.serial(ZONE)
    t.run(f"reload {ZONE} --force", check=0)
    assert texts(t, f"www.{ZONE}") == ["four"] and texts(t, f"dyn.{ZONE}") == []
    assert t.serial(ZONE) > serial and "trouble" not in t.status(ZONE)
    t.run("reload --force", check=0)
    t.stop()


def test_a_log_that_can_not_be_read(lab):
    """The file would lose what was acknowledged: the zone is not served until somebody decides, or the disk is well again."""
    t = primary(lab, extra=WWW)
    assert rcode(t, text_update("dyn", "x")) == "NOERROR"
    t.stop()
    segments = t.dir / "state" / "segments"
    segments.rename(t.dir / "aside")
    t.start()
    r = t.ask(f"www.{ZONE}", "TXT")
    assert r.rcode() == dns.rcode.SERVFAIL and "zone content not readable" in r.options[0].to_text(), r
    trouble = t.status(ZONE)["trouble"]
    assert "can't be read" in trouble and "--force" in trouble and "rebuild" in trouble, trouble
    assert "store-damaged" in t.log() and "zone-refused" in t.log()
    assert rcode(t, text_update("dyn", "y")) == "SERVFAIL"
    t.reload(check=1)
    t.stop()
    segments.rmdir()
    (t.dir / "aside").rename(segments)
    t.start()
    assert texts(t, f"dyn.{ZONE}") == ["x"] and "trouble" not in t.status(ZONE)
    t.stop()


def test_edit(lab):
    t = primary(lab, extra=WWW)
    r = edit(t, ZONE, script='sed -i s/one/two/ "$1"', answers="y\n")
    assert f'- www.{ZONE} 60 IN TXT "one"' in r.stdout and f'+ www.{ZONE} 60 IN TXT "two"' in r.stdout, r.stdout
    assert texts(t, f"www.{ZONE}") == ["two"]
    serial = t.serial(ZONE)
    assert "nothing changed" in edit(t, ZONE, script="true").stdout
    kept = edit(t, ZONE, script='sed -i s/two/three/ "$1"', answers="n\n", check=1).stderr
    assert "stays in" in kept
    os.unlink(kept.split("stays in ")[1].strip())
    edit(t, ZONE, script="exit 1", check=1)
    # a mistake is told with its place, and the editor comes again
    r = edit(t, ZONE, script='grep -q broken "$1" && sed -i s/broken.*// "$1" && exit; sed -i s/two/three/ "$1"; echo broken A x >>"$1"', answers="y\ny\n")
    assert ".zone:" in r.stderr and "invalid address" in r.stderr, r
    assert texts(t, f"www.{ZONE}") == ["three"]
    # the zone changes while somebody edits
    client = f"nsupdate -y hmac-sha256:{ALL}:{SECRET}"
    lines = f"server {t.host} {t.port}\\nzone {ZONE}\\nadd a.{ZONE} 60 TXT a\\nsend\\n"
    r = edit(t, ZONE, "--yes", script=f'printf "{lines}" | {client}; sed -i s/three/four/ "$1"', check=1)
    assert "changed meanwhile" in r.stderr and "stays in" in r.stderr
    os.unlink(r.stderr.split("stays in ")[1].strip())
    assert texts(t, f"www.{ZONE}") == ["three"] and texts(t, f"a.{ZONE}") == ["a"] and t.serial(ZONE) == serial + 2
    edit(t, ZONE, "--yes", script='printf "h\\351 60 TXT \\"\\351\\"\\n" >>"$1"')
    assert texts(t, f"h\\233.{ZONE}") == ["\\233"], "octets that are no UTF-8 come through"
    t.stop()


def test_managed_and_run_time_zones(lab):
    t = lab.tandem("t")
    s = lab.tandem("s")
    peer = {"name": "s", "address": s.at}
    t.configure({"peers": [peer], "templates": {"m": {"managed": True, "notify": ["s"], "transfer": ["s"]}},
                 "zones": [{"name": "managed.example", "template": "m"}]})
    s.configure({"peers": [{"name": "t", "address": t.at}], "zones": [{"name": "new.example", "primaries": ["t"], "retry-max": 1}]})
    t.start()
    assert "no content yet" in t.status("managed.example")["trouble"]
    t.file("content", simple_zone("managed.example.", serial=5))
    assert "serial 5" in t.run("import managed.example content --dry-run", check=0).stdout
    assert t.run("export managed.example").returncode == 1
    t.run("import managed.example content", check=0)
    assert t.serial("managed.example") == 5
    assert t.run("import managed.example nothing-there").returncode == 1
    t.run("zone add new.example --template m", check=0)
    s.start()
    edit(t, "new.example", "--yes", script='printf "@ 60 SOA ns h 9 1 1 60 1\\n@ 60 NS ns\\nns 60 A 192.0.2.1\\n" >"$1"')
    s.wait_answer("new.example", serial=9)
    t.kill()
    t.start()
    assert t.serial("new.example") == 9 and t.serial("managed.example") == 5
    assert t.run("zone add managed.example --template m").returncode == 1
    assert t.run("zone delete managed.example").returncode == 1
    t.run("zone delete new.example", check=0)
    assert dns.rcode.to_text(t.ask("new.example", "SOA").rcode()) == "REFUSED"
    assert "new.example" not in t.run("zone list", check=0).stdout
    t.run("zone add new.example --template m", check=0)
    assert t.serial("new.example") == 9
    t.stop()
    s.stop()


def test_only_its_file_changes_a_zone(lab):
    t = lab.tandem("t", {"zones": [{"name": ZONE, "role": "primary", "file": "zone0"}]})
    t.file("zone0", simple_zone(ZONE))
    t.start()
    t.file("content", simple_zone(ZONE, serial=5))
    r = t.run(f"import {ZONE} content")
    assert r.returncode == 1 and "zone0" in r.stderr, r
    t.file("zone0", simple_zone(ZONE, extra="x 60 TXT x\n"))
    assert "raised to 2; raise it in the file" in t.reload().stdout
    t.stop()


def test_write_back_is_told(lab):
    t = primary(lab, extra=WWW, **{"write-back": "1"})
    assert rcode(t, text_update("dyn", "x")) == "NOERROR"
    wait_until(lambda: "write-back-done zone=dyn.example" in t.log(), what="the file to be written")
    assert f"dyn.{ZONE} 60 IN TXT" in (t.dir / "zone0").read_text()
    t.file("zone0", simple_zone(ZONE, extra="www 60 IN TXT by-hand\n"))
    assert rcode(t, text_update("dyn", "y")) == "NOERROR"
    wait_until(lambda: "write-back-refused zone=dyn.example" in t.log(), what="the file to be left alone")
    assert "by-hand" in (t.dir / "zone0").read_text()
