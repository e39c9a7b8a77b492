"""What `tandem status` tells: every figure of a zone in words and as JSON, what is wrong and what to do, and where memory goes."""
import re

from harness import KEY, SECRET, simple_zone, wait_until

KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
OF_BOTH = {"role", "state", "version", "serial", "records", "names", "memory-bytes", "durable", "signed", "since", "age-s", "hidden", "notify-pending"}
OF_PRIMARY = OF_BOTH | {"file"}
OF_SECONDARY = OF_BOTH | {"phase", "next-refresh-s", "expires-in-s", "last-good", "last-transfer", "primaries"}
OF_TRANSFER = {"result", "peer", "from", "kind", "transport", "tsig", "bytes", "records", "dropped", "duration-us", "serial-to", "at"}


def pair(lab):
    primary, secondary = lab.tandem("primary"), lab.tandem("secondary")
    primary.configure({"keys": KEYS, "peers": [{"name": "s", "address": secondary.at, "key": KEY}],
                       "zones": [{"name": "example.com", "role": "primary", "file": "zone", "notify": ["s"], "transfer": ["s"]}]})
    secondary.configure({"keys": KEYS, "peers": [{"name": "p", "address": primary.at, "key": KEY}], "zones": [
        {"name": "example.com", "role": "secondary", "primaries": ["p"], "refresh-min": "0.2", "retry-min": "0.2", "retry-max": "1"}]})
    primary.file("zone", simple_zone("example.com.", 7, refresh=600, retry=1, expire=900))
    primary.start()
    secondary.start()
    secondary.wait_answer("example.com", serial=7)
    wait_until(lambda: secondary.status("example.com")["phase"] == "idle")
    return primary, secondary


def text_of(server):
    return dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in server.run("status example.com", check=0).stdout.splitlines()[1:])


def test_every_figure_of_a_zone(lab):
    primary, secondary = pair(lab)
    p, s = primary.status("example.com"), secondary.status("example.com")
    assert OF_PRIMARY <= set(p) and OF_SECONDARY <= set(s)
    assert (p["role"], p["state"], p["serial"], p["version"], p["records"], p["durable"]) == ("primary", "served", 7, 1, 4, True)
    assert (s["role"], s["state"], s["serial"], s["version"], s["records"], s["durable"]) == ("secondary", "served", 7, 1, 4, True)
    assert 0 <= s["age-s"] < 60 and 0 < s["next-refresh-s"] <= 600 and 800 < s["expires-in-s"] <= 900
    assert "last-error" not in s and "trouble" not in s
    t = s["last-transfer"]
    assert OF_TRANSFER <= set(t)
    assert (t["result"], t["peer"], t["from"], t["kind"], t["transport"], t["tsig"]) == ("done", "p", primary.at, "axfr", "tcp", True)
    assert t["records"] == 5 and 100 < t["bytes"] < 1000 and t["duration-us"] > 0 and t["serial-to"] == 7
    for key in ("since", "last-good"):
        assert re.fullmatch(TIME, s[key])
    words = text_of(secondary)
    assert (words["role"], words["serial"], words["version"], words["durable"]) == ("secondary", "7", "1", "yes")
    assert {"age, s", "refresh in, s", "expires in, s", "last good", "served since"} <= set(words)
    assert re.fullmatch(rf"axfr from p \({re.escape(primary.at)}\), 5 records, \d+ bytes, [\d.]+ ms, tcp, signed", words["last transfer"])


def test_what_is_wrong_and_what_to_do(lab):
    primary, secondary = pair(lab)
    primary.kill()
    secondary.run("reload example.com")
    s = secondary.status("example.com")
    assert "is the server running?" in s["last-error"] and primary.at in s["last-error"] and re.fullmatch(TIME, s["last-error-at"])
    assert s["state"] == "served" and s["last-transfer"]["result"] == "done"
    assert text_of(secondary)["last error"] == s["last-error"]
    primary.start()
    wait_until(lambda: "last-error" not in secondary.status("example.com"), what="the error to be over")
    primary.file("zone", simple_zone("example.com.", 8, "bad 60 IN A 192.0.2\n"))
    assert primary.run("reload example.com").returncode == 1
    p = primary.status("example.com")
    assert p["state"] == "served" and p["serial"] == 7
    assert re.search(r"zone:5:\d+: ", p["trouble"]) and "192.0.2" in p["trouble"]
    assert primary.status()["troubles"] == [{"zone": "example.com", "trouble": p["trouble"]}]


def test_where_memory_goes(lab):
    primary, _ = pair(lab)
    primary.file("zone", simple_zone("example.com.", 8, "".join(f"h{i} 60 IN A 192.0.2.1\n" for i in range(20000))))
    primary.reload()
    m = primary.status()["memory"]
    assert set(m) == {"resident-bytes", "mapped-bytes", "bytes-a-record", "zones-bytes", "zones-records-bytes", "zones-trie-bytes",
                      "zones-free-bytes", "images-bytes", "zone-table-bytes", "log-bytes", "queues-bytes"}
    # in memory of its own, or in the fresh image that another thread writes meanwhile
    assert 20000 * 16 < m["zones-records-bytes"] + m["zones-trie-bytes"] <= m["zones-bytes"] + m["images-bytes"]
    assert 0 < m["zone-table-bytes"] < m["resident-bytes"]
    assert m["bytes-a-record"] == m["resident-bytes"] // 20004
    wait_until(lambda: primary.status()["memory"]["images-bytes"] > 20000 * 16, what="the fresh image: " + primary.log()[-1000:])
    primary.stop()
    primary.start()
    m = primary.status()["memory"]
    assert m["images-bytes"] > 20000 * 16 and m["zones-bytes"] < 100000, "a restart maps the image"
    words = primary.run("status", check=0).stdout
    for label in ("resident in all", "for each record", "zones", "mapped images", "table of zones", "the log's cache", "queues"):
        assert re.search(rf"^  {label}.* \d+$", words, re.M), words
