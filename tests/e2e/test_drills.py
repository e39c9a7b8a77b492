"""Drills: reloads under load, a full disk, kill -9 under
edits, timers over restarts. --soak runs the long forms."""
import json
import os
import random
import signal
import struct
import subprocess
import threading

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import pytest

from disk import fill
from harness import BINARY, KEY, LOOPBACK, SECRET, free_port, keyring, simple_zone, wait_until
from load import Load

KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
FAST = {"refresh-min": "0.2", "retry-min": "0.2", "retry-max": "1"}


# ---- reload under load ----

OTHER_SECRET = "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI="


def changing_config(server, round_number, extra_port, peer_ports):
    """What a reload may change, by turns; steady.example stays what it is."""
    n = round_number
    zones = [{"name": "steady.example", "role": "primary", "file": "steady", **({"notify": ["p"], "transfer": ["p"]} if n % 3 else {})}]
    if n % 2:
        zones.append({"name": "comes.example", "role": "primary", "file": "comes"})
    if n % 4 < 2:
        zones.append({"name": "role.example", "role": "primary", "file": "role"})
    else:
        zones.append({"name": "role.example", "role": "secondary", "primaries": ["p"]})
    server.file("list", "".join(f"many{i}.example\n" for i in range(0 if n % 5 == 0 else 200 + n)))
    server.file("one.yaml", json.dumps({"zones": [{"name": "one.example", "template": "included", **({"role": "primary", "file": "many"} if n % 2 else {})}]}))
    server.file("two.yaml", json.dumps({"templates": {"included": {"role": "primary", "file": "many" if n % 3 else "other"}}}))
    listen = [server.at] + ([f"{LOOPBACK}@{extra_port}"] if n % 3 == 1 else [])
    return {"server": {"listen": listen, "workers": "2" if n % 4 == 3 else "1", "identity": f"ns{n % 2}"},
            "keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": OTHER_SECRET if n % 2 else SECRET}],
            "peers": [{"name": "p", "address": f"{LOOPBACK}@{peer_ports[n % 2]}", "key": KEY}], "zones": zones,
            "templates": {"list": {"role": "primary", "file": "many" if n % 4 else "other"}},
            "include": ["two.yaml", "one.yaml"][:2 if n % 4 != 2 else 1], "zone-lists": [{"file": "list", "template": "list"}]}


def test_reload_under_load_loses_no_answer(lab, soak):
    t = lab.tandem("server")
    extra, peers = free_port(), (free_port(), free_port())
    for name in ("steady", "comes", "role"):
        t.file(name, simple_zone(f"{name}.example."))
    many = "@ 300 IN SOA ns1 h 1 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n"
    t.file("many", many)
    t.file("other", many + "other IN A 192.0.2.2\n")
    t.configure(changing_config(t, 0, extra, peers))
    t.start()
    with Load(t, threads=2) as load:
        for n in range(1, 300 if soak else 13):
            t.file("steady", simple_zone("steady.example.", n + 1, f"r{n} 60 IN TXT \"{n}\"\n"))
            t.configure(changing_config(t, n, extra, peers))
            if n % 2:
                t.reload()
            else:
                t.hup()
            wait_until(lambda: t.serial("steady.example") == n + 1, what=f"serial {n + 1}: {t.log()[-800:]}")
            wait_until(lambda: (t.ask("www.comes.example").rcode() == dns.rcode.NOERROR) == bool(n % 2), what="the zone that comes and goes")
            assert t.ask("www.role.example").answer, "a zone whose role changes keeps its content"
            assert t.status("role.example")["role"] == ("primary" if n % 4 < 2 else "secondary")
            there = dns.rcode.NOERROR if n % 5 else dns.rcode.REFUSED
            assert t.ask(f"many{199 + n}.example", "SOA").rcode() == there, "a zone of the list"
            assert t.ask("one.example", "SOA").rcode() == (dns.rcode.REFUSED if n % 4 == 2 else dns.rcode.NOERROR), "a zone of an included file"
            if n % 5:
                assert bool(t.ask("other.many0.example").answer) == (n % 4 == 0), "what the list's template names"
    load.check()


def test_removed_zone_is_kept_and_comes_back(lab):
    t = lab.tandem("server")
    config = {"zones": [{"name": "a.example", "role": "primary", "file": "a"}, {"name": "b.example", "role": "primary", "file": "b"}]}
    t.file("a", simple_zone("a.example.", 5))
    t.file("b", simple_zone("b.example."))
    t.configure(config)
    t.start()
    t.file("a", simple_zone("a.example.", 6))
    t.reload()
    version = t.status("a.example")["version"]
    t.configure({"zones": config["zones"][1:]})
    t.reload()
    assert t.ask("a.example", "SOA").rcode() == dns.rcode.REFUSED
    assert t.run("status a.example").returncode == 1
    t.stop()
    t.start()
    assert t.ask("a.example", "SOA").rcode() == dns.rcode.REFUSED, "a restart does not bring it back"
    (t.dir / "a").rename(t.dir / "elsewhere")
    t.configure(config)
    t.reload(check=1)
    assert t.serial("a.example") == 6, "its file is missing, but it was kept"
    assert "missing" in t.status("a.example")["trouble"] or "No such file" in t.status("a.example")["trouble"]
    t.file("a", simple_zone("a.example.", 6, "new 60 IN A 192.0.2.9\n"))
    t.reload()
    assert t.serial("a.example") == 7, "its serial goes on"
    assert t.status("a.example")["version"] == version + 1, "its versions go on"
    t.kill()
    t.start()
    assert t.serial("a.example") == 7 and t.status("a.example")["version"] == version + 1


def two(lab, zones=None, secondary_extra=None, **timers):
    """A primary and a secondary with a signed transfer, not started."""
    zones = zones or {"example.com.": simple_zone("example.com.", **timers)}
    primary, secondary = lab.tandem("primary"), lab.tandem("secondary")
    configure_two(primary, secondary, zones, secondary_extra)
    for n, text in enumerate(zones.values()):
        primary.file(f"zone{n}", text)
    return primary, secondary


def configure_two(primary, secondary, zones, secondary_extra=None, secret=SECRET):
    keys = [{"name": KEY, "algorithm": "hmac-sha256", "secret": secret}]
    primary.configure({"keys": keys, "peers": [{"name": "s", "address": secondary.at, "key": KEY}],
                       "zones": [{"name": z, "role": "primary", "file": f"zone{n}", "notify": ["s"], "transfer": ["s"]} for n, z in enumerate(zones)]})
    secondary.configure({"keys": keys, "peers": [{"name": "p", "address": primary.at, "key": KEY}],
                         "zones": [{"name": z, "role": "secondary", "primaries": ["p"], **FAST, **(secondary_extra or {})} for z in zones]})


def test_removed_secondary_comes_back_with_its_primary_dead(lab):
    primary, secondary = two(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    config = secondary.config
    version = secondary.status("example.com")["version"]
    secondary.configure({**config, "zones": []})
    secondary.reload()
    assert secondary.ask("example.com", "SOA").rcode() == dns.rcode.REFUSED
    primary.kill()
    secondary.configure(config)
    secondary.reload()
    assert secondary.serial("example.com") == 1, "what was kept is served at once"
    primary.file("zone0", simple_zone("example.com.", 2))
    primary.start()
    secondary.wait_answer("example.com", serial=2)
    assert secondary.status("example.com")["version"] == version + 1


def test_role_swap_and_back(lab):
    """The secondary takes over as primary from what it has; the old primary follows it, and they change back."""
    primary, secondary = two(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    first, second = primary.config, secondary.config
    zone = second["zones"][0]
    secondary.file("taken.zone", secondary.run("export example.com", check=0).stdout.replace(" 1 3600 ", " 7 3600 "))
    secondary.configure({**second, "zones": [{"name": "example.com", "role": "primary", "file": "taken.zone", "notify": ["p"], "transfer": ["p"]}]})
    secondary.reload()
    assert secondary.serial("example.com") == 7
    primary.configure({**first, "peers": first["peers"], "zones": [{**zone, "primaries": ["s"]}]})
    primary.reload()
    primary.wait_answer("example.com", serial=7)
    primary.file("zone0", simple_zone("example.com.", 9))
    primary.configure(first)
    primary.reload()
    assert primary.serial("example.com") == 9, "its file counts again, though it is a file it had read before"
    secondary.configure(second)
    secondary.reload()
    secondary.wait_answer("example.com", serial=9)


def test_primary_again_reads_the_file_it_had_before(lab):
    primary, secondary = two(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    first = primary.config
    feeder = lab.tandem("feeder")
    feeder.configure({"keys": KEYS, "peers": [{"name": "x", "address": primary.at, "key": KEY}],
                      "zones": [{"name": "example.com", "role": "primary", "file": "z", "notify": ["x"], "transfer": ["x"]}]})
    feeder.file("z", simple_zone("example.com.", 5, "fed 60 IN A 192.0.2.5\n"))
    feeder.start()
    primary.configure({**first, "peers": first["peers"] + [{"name": "f", "address": feeder.at, "key": KEY}],
                       "zones": [{"name": "example.com", "role": "secondary", "primaries": ["f"], "notify": ["s"], "transfer": ["s"], **FAST}]})
    primary.reload()
    primary.wait_answer("example.com", serial=5)
    secondary.wait_answer("example.com", serial=5)
    for restart in (False, True):
        if restart:
            primary.kill()
        primary.configure(first)
        if restart:
            primary.start()
        else:
            primary.reload()
        assert primary.serial("example.com") == 6, "the file's content, with a serial above what the world has seen"
        assert not primary.ask("fed.example.com").answer
        secondary.wait_answer("example.com", serial=6)
        if not restart:
            break


def test_keys_and_peers_change_over_on_reload(lab):
    primary, secondary = two(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    configure_two(primary, secondary, ["example.com."], secret=OTHER_SECRET)
    primary.reload()
    secondary.reload()
    primary.file("zone0", simple_zone("example.com.", 2))
    primary.reload()
    secondary.wait_answer("example.com", serial=2)
    third = lab.tandem("third")
    configure_two(primary, third, ["example.com."])
    third.start()
    primary.reload()
    third.wait_answer("example.com", serial=2)
    primary.file("zone0", simple_zone("example.com.", 3))
    primary.reload()
    third.wait_answer("example.com", serial=3)


def test_who_refused_our_key_is_told_again_with_another(lab):
    primary, secondary = two(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    configure_two(primary, secondary, ["example.com."], secret=OTHER_SECRET)
    primary.file("zone0", simple_zone("example.com.", 2))
    primary.reload()
    wait_until(lambda: "BADSIG" in primary.log() and primary.status("example.com")["notify-pending"] == 0, what="the NOTIFY to be refused")
    configure_two(primary, secondary, ["example.com."])
    primary.reload()
    secondary.wait_answer("example.com", serial=2)


def test_unchanged_reload_asks_no_primary(lab):
    primary, secondary = two(lab, secondary_extra={"refresh-min": "3600"})
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    wait_until(lambda: secondary.status("example.com").get("phase") == "idle")
    wait_until(lambda: primary.status("example.com")["notify-pending"] == 0, what="the NOTIFY of the start to be taken")
    asked = primary.status()["counters"]["queries"]
    for _ in range(5):
        secondary.reload()
    secondary.hup()
    assert secondary.status("example.com")["phase"] == "idle"
    assert primary.status()["counters"]["queries"] == asked
    assert primary.status("example.com")["notify-pending"] == 0


# ---- a full disk ----

def bulky(serial, records=1500, content=None, extra=""):
    """Another content with every serial, unless `content` says of which."""
    return simple_zone("example.com.", serial, extra + "".join(
        f"h{i} 60 IN TXT \"{content or serial} {i} some text to fill it up\"\n" for i in range(records)))


def edit_until(primary, condition, first_serial, most=60):
    """New versions until it is true; returns the serial of the last."""
    for serial in range(first_serial, first_serial + most):
        primary.file("zone0", bulky(serial))
        primary.reload()
        if condition(serial):
            return serial
    raise AssertionError(f"not after {most} versions")


def test_full_disk_at_a_secondary(lab, small_disk):
    primary, secondary = two(lab, {"example.com.": bulky(1)})
    small_disk(secondary.dir / "state", 4 << 20)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    assert secondary.status("example.com")["durable"] is True
    ballast = fill(secondary.dir / "state")

    def lost(serial):
        secondary.wait_answer("example.com", serial=serial)
        return secondary.status("example.com")["durable"] is False
    serial = edit_until(primary, lost, 2)
    text = secondary.run("status example.com", check=0).stdout
    assert "not durable" in text and "space" in text, text
    assert secondary.status()["not-durable"] == 1
    assert "store-failed" in secondary.log()
    for serial in range(serial + 1, serial + 4):
        primary.file("zone0", bulky(serial))
        primary.reload()
        secondary.wait_answer("example.com", serial=serial)
    content = serial
    for serial in range(serial + 1, serial + 4):  # changes, too
        primary.file("zone0", bulky(serial, content=content, extra=f"v{serial} 60 IN A 192.0.2.7\n"))
        primary.reload()
        secondary.wait_answer("example.com", serial=serial)
        assert secondary.ask(f"v{serial}.example.com").answer and not secondary.ask(f"v{serial - 1}.example.com").answer
        status = secondary.status("example.com")
        assert status["last-transfer"]["kind"] == "ixfr" and not status["durable"]
    ballast.unlink()
    wait_until(lambda: secondary.status("example.com")["durable"], timeout=120, what="the store to take it: " + secondary.log()[-1500:])
    assert "trouble" not in secondary.status("example.com")
    primary.kill()
    secondary.kill()
    secondary.start()
    assert secondary.serial("example.com") == serial, "what it had in memory is on the disk now"
    assert secondary.ask(f"v{serial}.example.com").answer and secondary.ask("h7.example.com", "TXT").answer[0][0].strings[0].startswith(
        str(content).encode())


def test_full_disk_at_a_primary(lab, small_disk):
    t = lab.tandem("t", {"zones": [{"name": "example.com", "role": "primary", "file": "zone0"}]})
    small_disk(t.dir / "state", 4 << 20)
    t.file("zone0", bulky(1))
    t.start()
    ballast = fill(t.dir / "state")
    for serial in range(2, 60):
        t.file("zone0", bulky(serial))
        r = t.reload(check=None)
        if r.returncode:
            break
        assert t.serial("example.com") == serial
    assert r.returncode == 1
    assert "no space" in r.stdout + r.stderr, r.stdout + r.stderr
    assert t.serial("example.com") == serial - 1, "what is not durable is not served"
    assert "no space" in t.status("example.com")["trouble"] and t.status("example.com")["durable"]
    assert t.run("reload example.com").returncode == 1
    ballast.unlink()
    t.reload()
    assert t.serial("example.com") == serial
    assert "trouble" not in t.status("example.com")
    t.kill()
    t.start()
    assert t.serial("example.com") == serial


def test_killed_with_a_full_disk(lab, small_disk):
    """What is on the disk is served again, newer versions come, and are kept once there is room."""
    primary, secondary = two(lab, {"example.com.": bulky(1)})
    small_disk(secondary.dir / "state", 4 << 20)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    filler = fill(secondary.dir / "state")

    def lost(serial):
        secondary.wait_answer("example.com", serial=serial)
        return secondary.status("example.com")["durable"] is False
    serial = edit_until(primary, lost, 2)
    primary.kill()
    secondary.kill()
    secondary.start()
    assert secondary.serial("example.com") == serial - 1
    primary.start()
    secondary.wait_answer("example.com", serial=serial)
    filler.unlink()
    wait_until(lambda: secondary.status("example.com")["durable"], timeout=120, what="the store to take it: " + secondary.log()[-1500:])
    primary.kill()
    secondary.kill()
    secondary.start()
    assert secondary.serial("example.com") == serial


def test_disk_full_from_the_start(lab, small_disk):
    """A secondary whose state directory takes its database and nothing else serves all the same."""
    primary, secondary = two(lab, {"example.com.": bulky(1)})
    state = small_disk(secondary.dir / "state", 1 << 20)
    primary.start()
    secondary.start()
    secondary.stop()
    import shutil
    for name in os.listdir(state / "segments"):
        os.unlink(state / "segments" / name)
    ballast = fill(state)
    try:
        secondary.start()
    except AssertionError:
        assert "full" in secondary.log() or "space" in secondary.log(), secondary.log()[-2000:]
        ballast.unlink()
        secondary.start()
    secondary.wait_answer("example.com", serial=1)
    assert shutil.disk_usage(state)


# ---- kill -9 ----

def test_kill_9_under_edits(lab, soak):
    """What `tandem reload` acknowledged is served after a kill -9, and what the state directory holds opens."""
    primary, secondary = two(lab, refresh=1, retry=1)
    primary.start()
    secondary.start()
    rng = random.Random(os.environ.get("DRILL_SEED", "9"))
    pause = threading.Event()
    acknowledged = tried = 1
    for _ in range(300 if soak else 20):
        for _ in range(rng.randrange(1, 3)):
            tried += 1
            primary.file("zone0", simple_zone("example.com.", tried, f"v 60 IN TXT \"{tried}\"\n" + "".join(
                f"h{i} 60 IN A 10.0.0.{i % 256}\n" for i in range(rng.choice([0, 10, 3000]))), refresh=1, retry=1))
            primary.reload()
            acknowledged = tried
        tried += 1
        primary.file("zone0", simple_zone("example.com.", tried, f"v 60 IN TXT \"{tried}\"\n", refresh=1, retry=1))
        command = subprocess.Popen([BINARY, "reload", "-c", primary.config_path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pause.wait(rng.uniform(0, 0.06))
        victim = rng.choice([primary, secondary])
        victim.kill()
        if command.wait() == 0:
            acknowledged = tried
        if victim is primary:  # without its file it has nothing but the store
            (primary.dir / "zone0").rename(primary.dir / "away")
        victim.start()
        served = primary.serial("example.com")
        assert acknowledged <= served <= tried
        assert primary.ask("v.example.com", "TXT").answer[0][0].strings == (str(served).encode(),)
        if victim is primary:
            (primary.dir / "away").rename(primary.dir / "zone0")
            primary.reload()
            acknowledged = tried
        secondary.wait_answer("example.com", serial=primary.serial("example.com"))
        assert not [line for line in primary.log().splitlines() + secondary.log().splitlines() if "store-damaged" in line]


# ---- timers ----

def test_expiry_goes_on_over_a_restart(lab):
    primary, secondary = two(lab, refresh=1, retry=1, expire=10)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    primary.kill()
    wait_until(lambda: secondary.status("example.com")["expires-in-s"] <= 7, what="time to pass")
    secondary.stop()
    secondary.start()
    assert secondary.ask("www.example.com").answer
    assert 0 < secondary.status("example.com")["expires-in-s"] <= 7
    q = dns.message.make_query("example.com", "SOA", use_edns=0, options=[dns.edns.GenericOption(9, b"")])
    r = dns.query.udp(q, secondary.host, port=secondary.port, timeout=20)
    left = [struct.unpack("!I", o.data)[0] for o in r.options if o.otype == 9]
    assert left and 0 < left[0] <= 7, "EDNS EXPIRE says what is left"
    wait_until(lambda: secondary.ask("www.example.com").rcode() == dns.rcode.SERVFAIL, what="expiry")
    secondary.stop()
    secondary.start()
    wait_until(lambda: secondary.ask("www.example.com").rcode() == dns.rcode.SERVFAIL, what="expiry after a restart")
    primary.start()
    wait_until(lambda: secondary.ask("www.example.com").rcode() == dns.rcode.NOERROR, what="recovery")
    assert "trouble" not in secondary.status("example.com"), "what is over is not told any more"


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "short"])
def test_damaged_timers_lose_nothing(lab, damage):
    primary, secondary = two(lab)
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=1)
    secondary.stop()
    primary.kill()
    timers = secondary.dir / "state/timers"
    content = timers.read_bytes()
    if damage == "missing":
        timers.unlink()
    else:
        timers.write_bytes({"empty": b"", "garbage": bytes(x ^ 0x5a for x in content), "short": content[:40]}[damage])
    secondary.start()
    assert secondary.serial("example.com") == 1
    assert 86000 < secondary.status("example.com")["expires-in-s"] <= 86400
