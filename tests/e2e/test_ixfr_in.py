"""Tandem as secondary takes changes (IXFR) from BIND, Knot and NSD, and the whole zone from PowerDNS, which gives no changes: a thousand
random changes, and the same content on both sides after each step."""
import random
import re
import shutil
import urllib.request

import pytest

from harness import KEY, SECRET, Bind, Knot, Nsd, Pdns, free_port, keyring, simple_zone, soa, wait_until

ORIGIN = "example.com."
ROUNDS, CHANGES = 20, 50


class BindIxfr(Bind):
    def write_config(self):
        super().write_config()
        path = self.dir / "named.conf"
        path.write_text(path.read_text().replace("options {", "options { ixfr-from-differences yes; max-ixfr-ratio unlimited;", 1))


class KnotIxfr(Knot):
    def write_config(self):
        super().write_config()
        with open(self.dir / "knot.conf", "a") as f:
            f.write("    zonefile-load: difference\n    zonefile-sync: -1\n    journal-content: changes\n")


class KnotDigest(KnotIxfr):
    """Signs the zone, with NSEC3, and puts a digest into it (ZONEMD)."""

    def write_config(self):
        super().write_config()
        path = self.dir / "knot.conf"
        path.write_text(path.read_text().replace("zone:\n", "policy:\n  - id: p\n    nsec3: on\n    single-type-signing: on\nzone:\n", 1))
        with open(path, "a") as f:
            f.write("    dnssec-signing: on\n    dnssec-policy: p\n    zonemd-generate: zonemd-sha512\n")


class NsdIxfr(Nsd):
    def write_config(self):
        super().write_config()
        with open(self.dir / "nsd.conf", "a") as f:
            f.write("  store-ixfr: yes\n  create-ixfr: yes\n")


class Content:
    """A zone whose records come and go."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.serial = 1
        self.records = {self.record() for _ in range(400)}

    def record(self):
        host = f"h{self.random.randrange(300)}"
        kind = self.random.randrange(4)
        if kind < 2:
            return f"{host}.{ORIGIN} 300 IN A 192.0.2.{self.random.randrange(256)}\n"
        if kind == 2:
            return f'{host}.deep.{ORIGIN} 60 IN TXT "{self.random.randrange(1000)}"\n'
        return f"*.{host}.{ORIGIN} 3600 IN MX {self.random.randrange(100)} Mail.{ORIGIN}\n"

    def change(self, count):
        self.serial += 1
        for _ in range(count // 2):
            self.records.discard(self.random.choice(sorted(self.records)))
            self.records.add(self.record())

    def text(self):
        return (soa(ORIGIN, self.serial) + f"{ORIGIN} 3600 IN NS ns1.{ORIGIN}\nns1.{ORIGIN} 3600 IN A 192.0.2.1\n" +
                "".join(sorted(self.records)))


def configure(t, peer):
    t.configure({"keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}],
                 "peers": [{"name": "other", "address": peer.at, "key": KEY}],
                 "zones": [{"name": ORIGIN, "role": "secondary", "primaries": ["other"], "transfer": [{"key": KEY}],
                            "refresh-min": "0.5", "retry-min": "0.5"}]})


def start(lab, kind, content):
    t = lab.tandem("tandem")
    peer = lab.add(kind, "peer", {ORIGIN: content.text()}, t, True)
    configure(t, peer)
    peer.start()
    peer.wait_answer(ORIGIN)
    t.start()
    t.wait_answer(ORIGIN, serial=1)
    return peer, t


def run(lab, kind, rounds=ROUNDS):
    content = Content(1)
    peer, t = start(lab, kind, content)
    kinds = []
    for _ in range(rounds):
        content.change(CHANGES)
        peer.put(0, content.text())
        peer.reload()
        t.wait_answer(ORIGIN, serial=content.serial)
        last = wait_until(lambda: (s := t.status(ORIGIN)["last-transfer"]) and s["serial-to"] == content.serial and s, what="status")
        kinds.append(last["kind"])
        assert last["serial-from"] == content.serial - 1
        assert t.axfr(ORIGIN, keyring()) == peer.axfr(ORIGIN, keyring())
    assert "transfer-in-failed" not in t.log()
    return t, kinds


@pytest.mark.parametrize("kind", [BindIxfr, KnotIxfr, NsdIxfr], ids=["bind", "knot", "nsd"])
def test_changes_come(lab, kind):
    t, kinds = run(lab, kind)
    assert kinds == ["ixfr"] * ROUNDS
    assert "transfer-in-fell-back" not in t.log()
    assert len(re.findall(r"transfer-in-done.*kind=ixfr", t.log())) == ROUNDS
    before = t.axfr(ORIGIN, keyring())
    t.stop()
    t.start()
    assert t.axfr(ORIGIN, keyring()) == before


def test_powerdns_gives_the_whole_zone(lab):
    _, kinds = run(lab, Pdns, 4)
    assert kinds == ["axfr"] * 4


def test_changes_after_an_absence(lab):
    """Many versions at once, after a restart of the secondary."""
    content = Content(2)
    peer, t = start(lab, KnotIxfr, content)
    t.stop()
    for _ in range(10):
        content.change(4)
        peer.put(0, content.text())
        peer.reload()
        peer.wait_answer(ORIGIN, serial=content.serial)
    t.start()
    t.wait_answer(ORIGIN, serial=content.serial)
    last = wait_until(lambda: t.status(ORIGIN).get("last-transfer"), what="status")
    assert (last["kind"], last["serial-from"], last["serial-to"]) == ("ixfr", 1, 11)
    assert t.axfr(ORIGIN, keyring()) == peer.axfr(ORIGIN, keyring())


def test_signed_zone_with_digest(lab):
    """Every version is verified, also those that come as changes."""
    content = Content(3)
    t = lab.tandem("tandem")
    peer = lab.add(KnotDigest, "peer", {ORIGIN: content.text()}, t, True)
    configure(t, peer)
    peer.start()
    peer.wait_answer(ORIGIN)
    t.start()
    t.wait_answer(ORIGIN)
    for _ in range(5):
        content.change(10)
        before = peer.serial(ORIGIN)
        peer.put(0, content.text())
        peer.reload()
        wait_until(lambda: peer.serial(ORIGIN) != before, what="Knot to sign")
        t.wait_answer(ORIGIN, serial=peer.serial(ORIGIN))
        last = wait_until(lambda: (s := t.status(ORIGIN)["last-transfer"]) and s["serial-to"] == peer.serial(ORIGIN) and s, what="status")
        assert last["kind"] == "ixfr"
        assert t.axfr(ORIGIN, keyring()) == peer.axfr(ORIGIN, keyring())
    assert any(" ZONEMD " in r for r in t.axfr(ORIGIN, keyring()))
    assert "transfer-in-fell-back" not in t.log() and "transfer-in-failed" not in t.log()


def test_copies_that_went_apart_are_healed_between_two_of_us(lab):
    """A primary that lost its state and begins again with the same serial and other content: its changes fit, and lead elsewhere."""
    t, s = lab.tandem("primary"), lab.tandem("secondary")
    many = "".join(f"n{i}.apart.example. 300 IN A 192.0.2.1\n" for i in range(50))
    t.file("zone", simple_zone("apart.example.", 1, many + "was.apart.example. 300 IN A 192.0.2.1\n"))
    t.configure({"peers": [{"name": "s", "address": s.at}],
                 "zones": [{"name": "apart.example", "role": "primary", "file": "zone", "transfer": ["any"], "notify": ["s"]}]})
    s.configure({"metrics": {"listen": f"127.0.0.1@{free_port()}"}, "peers": [{"name": "p", "address": t.at}],
                 "zones": [{"name": "apart.example", "role": "secondary", "primaries": ["p"], "refresh-min": "1h"}]})
    t.start()
    s.start()
    s.wait_answer("apart.example.", serial=1)
    t.stop()
    shutil.rmtree(t.dir / "state")
    t.file("zone", simple_zone("apart.example.", 1, many + "is.apart.example. 300 IN A 192.0.2.2\n"))
    t.start()
    t.file("zone", simple_zone("apart.example.", 2, many + "is.apart.example. 300 IN A 192.0.2.2\nnew.apart.example. 300 IN A 192.0.2.3\n"))
    t.run("reload", "apart.example", check=0)
    s.wait_answer("apart.example.", serial=2)
    wait_until(lambda: s.status("apart.example")["durable"])
    assert sorted(s.run("export", "apart.example").stdout.splitlines()) == sorted(t.run("export", "apart.example").stdout.splitlines())
    assert s.status("apart.example")["digest"] == t.status("apart.example")["digest"]
    why = s.status("apart.example")["last-transfer"]["whole-because"]
    assert "sent changes that lead to another zone (serial 2) than it has" in why
    assert "transfer-in-fell-back" in s.log()
    with urllib.request.urlopen("http://" + s.config["metrics"]["listen"].replace("@", ":") + "/metrics") as page:
        assert "tandem_transfer_digest_refused_total 1\n" in page.read().decode()
