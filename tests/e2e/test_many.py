"""Many zones: a list of 100,000 loads, answers, restarts from the store."""
import random
import time

import dns.rcode

from harness import simple_zone

COUNT = 100000


def test_a_list_of_zones_loads_answers_and_restarts(lab):
    t = lab.tandem("t", {"templates": {"own": {"role": "primary", "file": "shared.zone"}},
                         "zone-lists": [{"file": "names.txt", "template": "own"}]})
    t.file("names.txt", "".join(f"zone{i}.example\n" for i in range(COUNT)))
    t.file("shared.zone", "$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\nwww IN A 192.0.2.80\n"
           "mail IN A 192.0.2.25\n@ IN MX 10 mail\n@ IN TXT \"v=spf1 mx -all\"\n")
    for _ in range(2):
        began = time.monotonic()
        t.start(timeout=240)
        print(f"ready after {time.monotonic() - began:.1f} s")
        assert t.status()["served"] == COUNT
        for i in random.Random(1).sample(range(COUNT), 200):
            r = t.ask(f"www.zone{i}.example")
            assert r.answer[0][0].address == "192.0.2.80"
        assert t.ask("www.zone.example").rcode() == dns.rcode.REFUSED
        t.stop(timeout=60)


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
