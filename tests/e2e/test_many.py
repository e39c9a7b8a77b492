"""Many zones: a list of 100,000 loads, answers, restarts from the store."""
import contextlib
import random
import shutil
import signal
import sqlite3
import time

import dns.rcode

from harness import simple_zone, wait_until

COUNT = 100000


def test_a_list_of_zones_loads_answers_and_restarts(lab):
    t = lab.tandem("t", {"templates": {"own": {"role": "primary", "file": "shared.zone"}},
                         "zone-lists": [{"file": "names.txt", "template": "own"}]})
    t.file("names.txt", "".join(f"zone{i}.example\n" for i in range(COUNT)))
    t.file("shared.zone", "$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\nwww IN A 192.0.2.80\n"
           "mail IN A 192.0.2.25\n@ IN MX 10 mail\n@ IN TXT \"v=spf1 mx -all\"\n")
    for _ in range(2):
        began = time.monotonic()
        t.start(timeout=600)
        print(f"ready after {time.monotonic() - began:.1f} s")
        assert t.status()["served"] == COUNT
        for i in random.Random(1).sample(range(COUNT), 200):
            r = t.ask(f"www.zone{i}.example")
            assert r.answer[0][0].address == "192.0.2.80"
        assert t.ask("www.zone.example").rcode() == dns.rcode.REFUSED
        t.stop(timeout=600)


def test_an_end_right_after_the_first_start_can_be_cut_short(lab):
    """Zones that the store has not yet go there first; who is told again to end leaves them to their file."""
    t = lab.tandem("t", {"templates": {"own": {"role": "primary", "file": "shared.zone"}},
                         "zone-lists": [{"file": "names.txt", "template": "own"}]})
    count = 6000
    t.file("names.txt", "".join(f"zone{i}.example\n" for i in range(count)))
    t.file("shared.zone", "$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\nwww IN A 192.0.2.80\n")
    for _ in range(5):  # where we had no CPU meanwhile it may have stored them all
        t.start(timeout=600)
        t.send(signal.SIGTERM)
        t.send(signal.SIGINT)
        assert t.process.wait(timeout=600) == 0
        with contextlib.closing(sqlite3.connect(t.dir / "state/log.db")) as log:
            kept = log.execute("SELECT count(*) FROM zone").fetchone()[0]
        if kept < count:
            break
        shutil.rmtree(t.dir / "state")
    assert kept < count, kept
    for _ in range(2):  # the second has all of them
        t.start(timeout=600)
        assert t.status()["served"] == count
        for i in random.Random(1).sample(range(count), 50):
            assert t.ask(f"www.zone{i}.example").answer
        assert t.stop(timeout=600) == 0
    with contextlib.closing(sqlite3.connect(t.dir / "state/log.db")) as log:
        assert log.execute("SELECT count(*) FROM zone").fetchone()[0] == count


def test_templates_lists_and_includes_together(lab):
    t = lab.tandem("t")
    t.configure({"include": ["conf.d/*.yaml"], "templates": {"listed": {"role": "primary", "file": "%s.zone"}, "own": {"role": "primary"}},
                 "zone-lists": [{"file": "names.txt", "template": "listed"}, {"dir": "zones", "template": "own"}]})
    t.file("names.txt", "# ours\none.example\ntwo.example.\n")
    for d in ("conf.d", "zones"):
        (t.dir / d).mkdir()
    t.file("one.example.zone", simple_zone("one.example."))
    t.file("two.example.zone", simple_zone("two.example."))
    t.file("zones/three.example.zone", simple_zone("three.example."))
    t.file("conf.d/more.yaml", "zones:\n  - {name: four.example, role: primary, file: four.zone}\n")
    t.file("conf.d/four.zone", simple_zone("four.example."))
    t.start()
    for zone in ("one", "two", "three", "four"):
        assert t.ask(f"www.{zone}.example").answer, zone


def test_many_files_that_changed_are_read_anew(lab):
    """By several threads: zones of one file, zones with files of their own, one of them wrong and one as it was."""
    text = "$TTL 300\n@ IN SOA ns1 hostmaster %d 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\nwww IN A 192.0.2.%d\n"
    t = lab.tandem("t", {"templates": {"shared": {"role": "primary", "file": "shared.zone"}, "own": {"role": "primary", "file": "%s.zone"}},
                         "zone-lists": [{"file": "names.txt", "template": "shared"}, {"file": "own.txt", "template": "own"}]})
    t.file("names.txt", "".join(f"zone{i}.example\n" for i in range(500)))
    t.file("own.txt", "".join(f"own{i}.example\n" for i in range(20)))
    t.file("shared.zone", text % (1, 80))
    for i in range(20):
        t.file(f"own{i}.example.zone", text % (1, i))
    t.start()
    t.file("shared.zone", text % (2, 81))
    for i in range(19):
        t.file(f"own{i}.example.zone", text % (2, 100 + i) if i != 7 else "www IN A nonsense\n")
    t.reload(check=None)
    for i in range(0, 500, 7):
        assert t.ask(f"www.zone{i}.example").answer[0][0].address == "192.0.2.81"
    for i in range(20):
        expected = i if i in (7, 19) else 100 + i
        assert t.ask(f"www.own{i}.example").answer[0][0].address == f"192.0.2.{expected}"
        assert t.ask(f"own{i}.example", "SOA").answer[0][0].serial == (1 if i in (7, 19) else 2)
    assert "own7.example.zone" in t.run("status own7.example").stdout


def test_killed_wherever_the_roll_and_the_log_differ(lab):
    """A start never believes what an earlier clean end has written about zones that changed since, or what is damaged."""
    count = 1500
    text = "$TTL 300\n@ IN SOA ns1 hostmaster %d 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\nwww IN A 192.0.2.80\n"
    t = lab.tandem("t", {"templates": {"shared": {"role": "primary", "file": "shared.zone"}, "own": {"role": "primary", "file": "%s.zone"}},
                         "zone-lists": [{"file": "names.txt", "template": "shared"}, {"file": "own.txt", "template": "own"}]})
    t.file("names.txt", "".join(f"zone{i}.example\n" for i in range(count)))
    t.file("own.txt", "own.example\n")
    t.file("shared.zone", text % 1)
    t.file("own.example.zone", text % 1)

    def starts_with(serial, when):
        t.start()
        assert t.serial("own.example") == serial, when
        for i in (0, 77, count - 1):
            assert t.serial(f"zone{i}.example") == 1, when
        assert t.status()["served"] == count + 1

    def change(serial):
        t.file("own.example.zone", text % serial)
        t.reload()
        assert t.serial("own.example") == serial
    starts_with(1, "the first time")
    t.kill()
    starts_with(1, "killed while zones were on their way into the store")
    wait_until(lambda: all(t.status(f"zone{i}.example")["durable"] for i in (0, count - 1)))
    t.kill()
    starts_with(1, "killed when all were there, and no roll is")
    t.stop()
    roll = t.dir / "state" / "roll"
    first = roll.read_bytes()
    starts_with(1, "after a clean end")
    t.kill()
    starts_with(1, "killed behind a start by the roll")
    change(2)
    t.kill()
    starts_with(2, "killed with a change behind the roll")
    t.stop()
    roll.write_bytes(first)
    starts_with(2, "with an older roll")
    t.stop()
    last = bytearray(roll.read_bytes())
    last[len(last) // 2] ^= 1
    roll.write_bytes(last)
    starts_with(2, "with a damaged roll")
    change(3)
    t.stop()
    roll.unlink()
    starts_with(3, "without a roll")
