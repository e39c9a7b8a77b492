"""serve: ready, exit codes, signals, ports, the lock, privileges, IPv6 and wildcard listeners."""
import os
import pwd
import socket
import subprocess

import dns.message
import dns.query
import dns.rcode
import pytest

from harness import BINARY, LOOPBACK, Tandem, free_port, simple_zone, wait_until

ZONES = {"zones": [{"name": "example.com", "role": "primary", "file": "example.com.zone"}]}


def primary(lab, name="server", config=None, **kw):
    t = lab.tandem(name, config or ZONES, **kw)
    t.file("example.com.zone", simple_zone("example.com."))
    return t


def test_answers_after_ready_and_ends_cleanly(lab):
    t = primary(lab).start()
    r = t.ask("www.example.com")
    assert r.answer[0][0].address == "192.0.2.80"
    assert r.flags & dns.flags.AA
    assert t.ask("www.example.com", tcp=True).answer == r.answer
    assert t.stop() == 0


def test_bad_configuration_exits_2_and_names_the_place(lab):
    t = primary(lab)
    t.config_path.write_text("server:\n  listen: [127.0.0.1@5399]\n  lissten: x\n")
    assert t.fails() == 2
    assert "tandem.yaml:3:3" in t.log() and "listen" in t.log()


def test_one_bad_zone_keeps_nobody_from_starting(lab):
    t = primary(lab, config={"zones": ZONES["zones"] + [
        {"name": "broken.example", "role": "primary", "file": "broken.zone"},
        {"name": "missing.example", "role": "primary", "file": "missing.zone"}]})
    t.file("broken.zone", simple_zone("broken.example.", extra="mail IN MX ten mx\n"))
    t.start()
    assert t.ask("www.example.com").rcode() == dns.rcode.NOERROR
    for zone in ("broken.example", "missing.example"):
        r = t.ask(zone, "SOA")
        assert r.rcode() == dns.rcode.SERVFAIL
        assert any(o.otype == 15 for o in r.options), "an extended error says why"
    assert "broken.zone:5:" in t.status("broken.example")["trouble"]
    assert "missing.zone" in t.status("missing.example")["trouble"]


def test_port_in_use_is_said_clearly(lab):
    t = primary(lab)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((t.host, t.port))
        assert t.fails() == 1
    assert f"{t.host}@{t.port}" in t.log() and "in use" in t.log()


def test_second_server_on_the_state_is_refused_naming_the_first(lab):
    t = primary(lab).start()
    second = lab.add(Tandem, "server")
    second.configure(ZONES)
    assert second.fails() == 1
    assert str(t.pid()) in second.log()


def test_state_is_private(lab):
    t = primary(lab).start()
    assert (t.dir / "state").stat().st_mode & 0o777 == 0o700


def test_reload_serves_the_new_version_and_bad_file_keeps_the_old(lab):
    t = primary(lab).start()
    t.file("example.com.zone", simple_zone("example.com.", 2, "new 60 IN A 192.0.2.9\n"))
    t.reload()
    assert t.serial("example.com") == 2
    assert t.ask("new.example.com").answer
    t.file("example.com.zone", simple_zone("example.com.", 3, "new 60 IN A 192.0.2.999\n"))
    r = t.reload(check=1)
    assert "example.com.zone:5:" in r.stdout + r.stderr
    assert t.serial("example.com") == 2
    assert "example.com.zone:5:" in t.status("example.com")["trouble"]
    t.file("example.com.zone", simple_zone("example.com.", 4))
    t.reload()
    assert t.serial("example.com") == 4 and "trouble" not in t.status("example.com")


def test_changed_content_with_the_same_serial_raises_it(lab):
    t = primary(lab).start()
    t.file("example.com.zone", simple_zone("example.com.", 1, "new 60 IN A 192.0.2.9\n"))
    r = t.reload()
    assert "raised to 2" in r.stdout + r.stderr
    assert t.serial("example.com") == 2
    t.reload()
    assert t.serial("example.com") == 2, "nothing changed: nothing raised"


def test_sighup_reloads_and_changes_zones(lab):
    t = primary(lab).start()
    t.file("other.zone", simple_zone("other.example."))
    t.configure({"zones": [{"name": "other.example", "role": "primary", "file": "other.zone"}]})
    t.hup()
    wait_until(lambda: t.ask("www.other.example").rcode() == dns.rcode.NOERROR, what="the added zone")
    assert t.ask("www.example.com").rcode() == dns.rcode.REFUSED, "the removed zone is gone"


def test_bad_configuration_on_reload_changes_nothing(lab):
    t = primary(lab).start()
    t.config_path.write_text("server: [")
    t.reload(check=1)
    assert t.ask("www.example.com").answer


def test_listen_changes_on_reload_without_a_lost_answer(lab):
    t = primary(lab).start()
    other = free_port()
    t.configure({**ZONES, "server": {"listen": [t.at, f"{LOOPBACK}@{other}"]}})
    t.reload()
    q = dns.message.make_query("www.example.com", "A")
    assert dns.query.udp(q, LOOPBACK, port=other, timeout=20).answer
    t.configure({**ZONES, "server": {"listen": [f"{LOOPBACK}@{other}"]}})
    t.reload()
    assert dns.query.udp(q, LOOPBACK, port=other, timeout=20).answer
    with pytest.raises((dns.exception.Timeout, ConnectionRefusedError)):
        dns.query.tcp(q, LOOPBACK, port=t.port, timeout=0.5)


def test_ipv6_and_wildcard_answer_from_the_address_asked(lab):
    t = primary(lab)
    port = free_port("::1")
    t.configure({**ZONES, "server": {"listen": [f"0.0.0.0@{port}", f"::@{port}"]}})
    t.start()
    q = dns.message.make_query("www.example.com", "A")
    for address in ("127.0.0.1", "127.0.0.77", "::1"):
        assert dns.query.udp(q, address, port=port, timeout=20).answer, address  # dnspython checks the source address
        assert dns.query.tcp(q, address, port=port, timeout=20).answer, address


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop from")
def test_privileges_are_dropped(lab):
    t = primary(lab)
    t.configure({**ZONES, "server": {"user": "nobody"}})
    for d in [t.dir, *t.dir.parents]:
        if d.owner() == "root" and len(d.parts) > 2:
            d.chmod(0o755)
    t.start()
    status = dict(line.split(":", 1) for line in open(f"/proc/{t.pid()}/status").read().splitlines() if ":" in line)
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == []
    for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"):
        assert int(status[caps], 16) == 0, caps
    assert status["NoNewPrivs"].strip() == "1"
    for task in os.listdir(f"/proc/{t.pid()}/task"):
        lines = open(f"/proc/{t.pid()}/task/{task}/status").read()
        assert f"Uid:\t{nobody.pw_uid}\t" in lines
    t.file("example.com.zone", simple_zone("example.com.", 5))
    t.reload()
    assert t.serial("example.com") == 5, "edits are kept and served without privileges"


def test_restart_serves_from_the_store(lab):
    t = primary(lab).start()
    t.file("example.com.zone", simple_zone("example.com.", 7, "new 60 IN A 192.0.2.9\n"))
    t.reload()
    before = t.status("example.com")["version"]
    t.kill()
    (t.dir / "example.com.zone").unlink()
    t.start()
    assert t.serial("example.com") == 7, "the last good version serves while the file is missing"
    assert t.ask("new.example.com").answer
    assert t.status("example.com")["version"] == before
    assert "example.com.zone" in t.status("example.com")["trouble"]


def test_sigterm_ends_at_once_under_load(lab):
    t = primary(lab).start()
    conns = [socket.create_connection((t.host, t.port)) for _ in range(20)]
    assert t.stop(timeout=9) == 0  # idle ones are closed after 10 s
    for c in conns:
        c.close()


def test_not_running_is_said(lab):
    t = primary(lab)
    r = t.run("status", check=1)
    assert "not running" in r.stderr or "no server" in r.stderr


def test_unknown_command():
    r = subprocess.run([BINARY, "frobnicate"], capture_output=True, text=True)
    assert r.returncode != 0 and "help" in r.stderr


@pytest.fixture
def systemd(lab):
    """Where systemd listens, and the environment that says so."""
    path = str(lab.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(60)
        yield s, {**os.environ, "NOTIFY_SOCKET": path}


def test_systemd_is_told(lab, systemd):
    s, env = systemd
    t = primary(lab)
    t.start(env=env)
    assert b"READY=1" in s.recv(1000)
    assert t.process.poll() is None


def test_ready_comes_when_the_last_zone_is_reloaded(lab, systemd):
    """A reload goes on in slices of some hundred zones."""
    s, env = systemd
    text = "$TTL 300\n@ IN SOA ns1 hostmaster %d 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n"
    t = lab.tandem("t", {"templates": {"own": {"role": "primary", "file": "shared.zone"}},
                         "zone-lists": [{"file": "names.txt", "template": "own"}]})
    t.file("names.txt", "".join(f"zone{i}.example\n" for i in range(3000)))
    t.file("shared.zone", text % 1)
    t.start(env=env)
    assert b"READY=1" in s.recv(1000)
    t.file("shared.zone", text % 2)
    t.hup()
    assert s.recv(1000) == b"RELOADING=1"
    assert s.recv(1000) == b"READY=1"
    assert t.ask("zone2999.example", "SOA").answer[0][0].serial == 2
