"""Backup while serving, restore on an empty machine: equal content, history and settings; damage is found; secrets are sealed."""
import json
import os
import pathlib
import shutil
import subprocess
import threading

import dns.message
import dns.query
import dns.rcode
import dns.update
import pytest

import harness
from harness import BINARY, KEY, SECRET, keyring, simple_zone, wait_until

DYN = "dyn.example."
PASSPHRASE = "correct horse battery staple"


def restore(backup, *args, check=0):
    r = subprocess.run([BINARY, "restore", str(backup), *map(str, args)], capture_output=True, text=True, timeout=120)
    assert r.returncode == check, r.stdout + r.stderr
    return r


def passphrase(tmp_path, text=PASSPHRASE):
    path = tmp_path / f"passphrase-{len(text)}"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return "--passphrase-file", path


def update(server, name, text):
    u = dns.update.UpdateMessage(DYN, keyring=keyring())
    u.replace(name, 60, "TXT", f'"{text}"')

    def taken():
        rcode = dns.query.tcp(u, server.host, port=server.port, timeout=20).rcode()
        assert rcode in (dns.rcode.NOERROR, dns.rcode.SERVFAIL), rcode  # the latter: it waited for a second, and is sent again
        return rcode == dns.rcode.NOERROR
    wait_until(taken, what="the update to be taken")


def full_house(lab, name="house"):
    """A server with a bit of everything: includes, a zone list, zone files, inline and filed secrets, an updated zone."""
    t = lab.tandem(name)
    t.file("plain.zone", simple_zone("plain.example.", extra="$INCLUDE sub/more.inc\n"))
    (t.dir / "sub").mkdir()
    t.file("sub/more.inc", "more.plain.example. 60 IN TXT included\n")
    t.file("dyn.zone", simple_zone(DYN))
    t.file("list.txt", "l1.example\nl2.example\n")
    (t.dir / "lists").mkdir()
    for n in (1, 2):
        t.file(f"lists/l{n}.example", simple_zone(f"l{n}.example."))
    t.file("other.key", "b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC0zMg==\n").chmod(0o600)
    (t.dir / "conf.d").mkdir()
    (t.dir / "conf.d/keys.yaml").write_text(json.dumps({"keys": [{"name": "other.example.", "algorithm": "hmac-sha256", "secret-file": "../other.key"}]}))
    t.configure({
        "include": ["conf.d/*.yaml"],
        "keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}],
        "templates": {"listed": {"role": "primary", "file": "lists/%s", "transfer": ["any"]}},
        "zone-lists": [{"file": "list.txt", "template": "listed"}],
        "zones": [
            {"name": "plain.example", "role": "primary", "file": "plain.zone", "transfer": ["any"]},
            {"name": DYN, "role": "primary", "file": "dyn.zone", "transfer": ["any"], "update": [KEY]}]})
    t.start()
    for n in range(5):
        update(t, f"w{n}", n)
    return t


ZONES = ("plain.example.", DYN, "l1.example.", "l2.example.")


def content(server):
    return {z: server.axfr(z) for z in ZONES}


def move_away(server):
    """The machine is lost: everything but the log of the process."""
    server.stop()
    gone = server.dir.parent / (server.dir.name + "-gone")
    server.dir.rename(gone)
    server.dir.mkdir()
    return gone


def secrets_in(directory):
    found = []
    for path in directory.rglob("*"):
        if path.is_file() and any(s.encode() in path.read_bytes() for s in (SECRET, "b3RoZXItc2VjcmV0", PASSPHRASE)):
            found.append(path)
    return found


def test_restored_as_it_was(lab, tmp_path):
    t = full_house(lab)
    before, versions = content(t), {z: t.status(z)["version"] for z in ZONES}
    backup = tmp_path / "backup"
    r = t.run("backup", str(backup), *passphrase(tmp_path), check=0)
    assert "4 zones" in r.stdout and "sealed in it: 2 keys" in r.stdout
    assert not secrets_in(backup), "a secret in clear"
    update(t, "later", "not in the backup")
    gone = move_away(t)

    restore(backup, check=1)  # keys are in it, and the passphrase is not given
    assert "passphrase" in restore(backup, *passphrase(tmp_path, "another"), check=1).stderr
    assert not list(t.dir.iterdir()), "nothing is written before all is known to be good"

    restore(backup, *passphrase(tmp_path))
    for path in ("tandem.yaml", "conf.d/keys.yaml", "other.key", "list.txt", "plain.zone", "sub/more.inc", "lists/l1.example"):
        assert (t.dir / path).read_bytes() == (gone / path).read_bytes(), path
    assert (t.dir / "other.key").stat().st_mode & 0o777 == 0o600
    t.start()
    assert content(t) == before
    assert {z: t.status(z)["version"] for z in ZONES} == versions
    assert "restored" in t.status(DYN)
    serial = t.serial(DYN)
    update(t, "after", "restore")
    assert t.serial(DYN) == serial + (1 << 24) + 1, "above all that a secondary may have seen"
    update(t, "after", "that")
    assert t.serial(DYN) == serial + (1 << 24) + 2
    assert "restored" not in t.status(DYN)
    restore(backup, *passphrase(tmp_path), check=1)  # nobody's place is taken


def test_elsewhere_and_without_keys(lab, tmp_path):
    t = full_house(lab)
    r = t.run("backup", str(tmp_path / "backup"), check=0)
    assert "left out: 2 keys" in r.stdout
    assert not secrets_in(tmp_path / "backup") and not (tmp_path / "backup/keys.sealed").exists()
    t.stop()
    r = restore(tmp_path / "backup", "--config-dir", tmp_path / "new/etc", "--json")
    said = json.loads(r.stdout)
    assert said["state"] == str(tmp_path / "new/etc/state") and said["keys"] is False
    r = subprocess.run([BINARY, "check-config", str(tmp_path / "new/etc/tandem.yaml")], capture_output=True, text=True)
    assert r.returncode == 1 and "secret" in r.stdout, r.stdout
    new = lab.tandem("new/etc")  # writes its configuration with another port
    (tmp_path / "new/etc/other.key").write_text("b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC0zMg==")
    (tmp_path / "new/etc/other.key").chmod(0o600)
    new.configure(dict(t.config, server={}))
    new.start()
    assert content(new).keys() == set(ZONES)


def test_a_secret_in_disguise(lab, tmp_path):
    t = full_house(lab)
    text = t.config_path.read_text()
    disguised = text.replace(SECRET, "\\u%04x" % ord(SECRET[0]) + SECRET[1:])
    t.config_path.write_text(disguised)
    t.reload()
    assert "in a form of its own" in t.run("backup", str(tmp_path / "backup"), check=0).stdout
    for path in (tmp_path / "backup").rglob("*"):
        assert not path.is_file() or SECRET[1:].encode() not in path.read_bytes(), path
    t.run("backup", str(tmp_path / "sealed"), *passphrase(tmp_path), check=0)
    restore(tmp_path / "sealed", *passphrase(tmp_path), "--config-dir", tmp_path / "new")
    assert (tmp_path / "new/tandem.yaml").read_text() == disguised


def test_an_edited_backup_is_refused_and_the_file_named(lab, tmp_path):
    t = full_house(lab)
    backup = tmp_path / "backup"
    t.run("backup", str(backup), check=0)
    t.stop()
    files = sorted(p for p in backup.rglob("*") if p.is_file())
    assert len(files) >= 10
    for i, path in enumerate(files * 2):
        was = path.read_bytes()
        middle = len(was) // 2
        flipped = was[:middle] + bytes([was[middle] ^ 1]) + was[middle + 1:] if was else b"x"
        damaged = (flipped, was[:-1], was + b"x", None)[(i + i // len(files)) % 4]
        if damaged == was:
            continue
        path.unlink() if damaged is None else path.write_bytes(damaged)
        r = restore(backup, "--config-dir", tmp_path / "new", check=1)
        assert path.name in r.stderr, (path, r.stderr)
        assert not (tmp_path / "new").exists()
        path.write_bytes(was)
    restore(backup, "--config-dir", tmp_path / "new")


def test_where_it_may_not_go(lab, tmp_path):
    t = full_house(lab)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    r = t.run("backup", str(tmp_path / "full"), check=1)
    assert "not empty" in r.stderr
    assert sorted(p.name for p in (tmp_path / "full").iterdir()) == ["file"]
    t.run("backup", str(tmp_path / "none/below"), check=1)
    (tmp_path / "empty").mkdir()
    t.run("backup", str(tmp_path / "empty"), *passphrase(tmp_path), check=0)
    assert "a backup is there" in t.run("backup", str(tmp_path / "empty"), check=1).stderr
    unfinished = tmp_path / "unfinished"
    shutil.copytree(tmp_path / "empty", unfinished)
    (unfinished / "manifest").unlink()
    assert "not finished" in restore(unfinished, "--config-dir", tmp_path / "new", check=1).stderr
    assert "state is not empty" in restore(tmp_path / "empty", *passphrase(tmp_path), check=1).stderr  # the server runs there


def test_an_interrupted_restore_is_not_served(lab, tmp_path):
    t = full_house(lab)
    t.run("backup", str(tmp_path / "backup"), *passphrase(tmp_path), check=0)
    t.stop()
    shutil.rmtree(t.dir / "state")
    (t.dir / "state").mkdir(mode=0o700)
    (t.dir / "state/restoring").write_text("")
    (t.dir / "state/log.db").write_bytes(b"half of it")
    assert t.fails() == 1
    assert "half restored" in t.log()
    restore(tmp_path / "backup", *passphrase(tmp_path))  # the files are there already, and the same
    t.start()
    assert set(content(t)) == set(ZONES)


class Load(threading.Thread):
    """Counts up names of the zone until told to stop."""

    def __init__(self, server, names):
        super().__init__(daemon=True)
        self.server, self.names, self.acknowledged, self.sent, self.stopped = server, names, {}, {}, threading.Event()

    def run(self):
        n = 0
        while not self.stopped.is_set():
            n += 1
            for name in self.names:
                self.sent[name] = n
                update(self.server, name, n)
                self.acknowledged[name] = n


def values(server):
    found = {}
    for line in server.axfr(DYN):
        owner, _, rdtype, rest = line.split(" ", 3)
        if rdtype == "TXT":
            found[owner.split(".")[0]] = int(rest.strip('"'))
    return found


def test_one_moment_under_load(lab, tmp_path, soak):
    t = full_house(lab)
    loads = [Load(t, [f"a{i}", f"b{i}"]) for i in range(4)]
    for load in loads:
        load.start()
    wait_until(lambda: all(len(load.acknowledged) == 2 for load in loads), what="the load")
    for number in range(20 if soak else 4):
        backup = tmp_path / f"backup{number}"
        least = {name: n for load in loads for name, n in list(load.acknowledged.items())}
        t.run("backup", str(backup), check=0)
        most = {name: n for load in loads for name, n in list(load.sent.items())}
        copy = lab.tandem(f"copy{number}")
        restore(backup, "--config-dir", tmp_path / f"r{number}", "--state", copy.dir / "state")
        shutil.copytree(tmp_path / f"r{number}", copy.dir, dirs_exist_ok=True, ignore=lambda d, names: [n for n in names if n in ("state", "tandem.yaml")])
        shutil.copy(t.dir / "other.key", copy.dir / "other.key")
        copy.configure(dict(t.config, server={}))
        copy.start()
        found = values(copy)
        for name, n in least.items():
            assert n <= found[name] <= most[name], (name, n, found[name], most[name])
        for load in loads:  # each client writes b after a: at one moment they are at most one apart
            a, b = (found[name] for name in load.names)
            assert a in (b, b + 1)
        copy.stop()
    for load in loads:
        load.stopped.set()
    for load in loads:
        load.join(30)


def test_two_at_once_and_one_cut_short(lab, tmp_path):
    t = full_house(lab)
    lines = "".join(f"n{i}.big.example. 60 IN TXT \"{'x' * 100}\"\n" for i in range(150000))
    t.file("big.zone", simple_zone("big.example.", extra=lines))
    config = dict(t.config)
    config["zones"] = config["zones"] + [{"name": "big.example", "role": "primary", "file": "big.zone", "transfer": ["any"]}]
    t.configure(config)
    t.reload()
    for attempt in range(10):  # until they meet
        targets = [tmp_path / f"b{attempt}{side}" for side in "ab"]
        both = [subprocess.Popen([BINARY, "backup", str(b), "-c", str(t.config_path)], stderr=subprocess.PIPE, text=True) for b in targets]
        wait_until(lambda: any(p.poll() is not None for p in both), timeout=60, what="one of them to end")
        (first, target), (second, _) = sorted(zip(both, targets), key=lambda b: b[0].poll() is not None)
        if second.returncode == 1:
            break
        assert first.wait(60) == 0
    assert second.returncode == 1 and "under way" in second.stderr.read()
    update(t, "during", "backup")  # commits go on
    t.stop()
    first.communicate(timeout=60)
    if first.returncode == 1:
        assert not (target / "manifest").exists()
        assert "no manifest" in restore(target, "--config-dir", tmp_path / "new", check=1).stderr
