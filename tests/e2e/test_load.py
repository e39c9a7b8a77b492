"""Many zone files at a start: read by several threads, with the same result and the same mistakes as one after the other."""
import re

import dns.rcode

from harness import Tandem, simple_zone


def test_good_and_broken_files(tmp_path):
    names = [f"zone{i}.test" for i in range(300)]
    t = Tandem(tmp_path / "t", {"zones": [{"name": n, "role": "primary", "file": f"{n}.zone"} for n in names]})
    broken = {7, 8, 150, 299}
    for i, n in enumerate(names):
        t.file(f"{n}.zone", "@ 60 SOA nonsense\n" if i in broken else simple_zone(n + ".", i + 1))
    t.start()
    for i, n in enumerate(names):
        r = t.ask(n, "SOA")
        if i in broken:
            assert r.rcode() == dns.rcode.SERVFAIL
        else:
            assert r.answer[0][0].serial == i + 1
    said = re.findall(r"zone-refused.*?(zone\d+)\.test\.zone:1", t.log())
    assert said == [f"zone{i}" for i in sorted(broken)]  # in the order of the configuration
    assert t.json("status")["memory"]["zones-records-bytes"] > 0
    for i in broken:
        t.file(f"{names[i]}.zone", simple_zone(names[i] + ".", 9))
    assert t.stop() == 0
    t.start()
    for i, n in enumerate(names):
        assert t.ask(n, "SOA").answer[0][0].serial == (9 if i in broken else i + 1)
    assert t.stop() == 0
