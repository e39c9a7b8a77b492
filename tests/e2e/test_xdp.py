"""AF_XDP over veth in network namespaces: IPv4 and IPv6, everything that is not a query left to the kernel, reload, the end, and
what happens where it can't be had."""
import itertools
import os
import signal
import subprocess

import pytest

from harness import BINARY, Tandem, simple_zone, wait_until

ORIGIN = "fast.example."
SERVER4, CLIENT4, SERVER6, CLIENT6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"
numbers = itertools.count()


def ip(*args, check=True):
    return subprocess.run(["ip", *args], check=check, capture_output=True, text=True)


@pytest.fixture
def link():
    """Two network namespaces with a cable between them."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    tag = f"tandem{os.getpid()}x{next(numbers)}"
    server, client = f"{tag}s", f"{tag}c"
    try:
        ip("netns", "add", server)
        ip("netns", "add", client)
        ip("-n", server, "link", "add", "xs", "type", "veth", "peer", "name", "xc", "netns", client)
    except subprocess.CalledProcessError as e:
        ip("netns", "del", server, check=False)
        ip("netns", "del", client, check=False)
        pytest.skip(f"no network namespaces here: {e.stderr}")
    for ns, name, a4, a6 in ((server, "xs", SERVER4, SERVER6), (client, "xc", CLIENT4, CLIENT6)):
        ip("-n", ns, "addr", "add", f"{a4}/24", "dev", name)
        ip("-n", ns, "addr", "add", f"{a6}/64", "dev", name, "nodad")
        ip("-n", ns, "link", "set", "lo", "up")
        ip("-n", ns, "link", "set", name, "up")
    yield server, client
    ip("netns", "del", server, check=False)
    ip("netns", "del", client, check=False)


class Fast(Tandem):
    """In a namespace of its own, but with the sysfs of everybody, as a container may have it."""

    def __init__(self, directory, config, namespaces, **kw):
        self.server_ns, self.client_ns = namespaces
        super().__init__(directory, config, **kw)

    def start(self, timeout=60, **kw):
        self.spawn(["nsenter", f"--net=/run/netns/{self.server_ns}", BINARY, "serve", "-c", self.config_path], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n", self.log()
        return self

    def dig(self, at, *words):
        r = subprocess.run(["ip", "netns", "exec", self.client_ns, "dig", f"@{at}", "-p", str(self.port), "+tries=3", "+time=2", *words],
                           capture_output=True, text=True, timeout=30)
        return r.stdout

    def by_xdp(self):
        return self.status()["counters"]["udp-by-xdp"]


def fast(lab, link, listen, xdp=("xs",)):
    t = lab.add(Fast, "server", {"zones": [{"name": ORIGIN, "role": "primary", "file": "zone", "transfer": ["any"]}]}, link, port=5300)
    t.config["server"]["listen"] = [f"{a}@5300" for a in listen]
    t.config["server"]["xdp"] = list(xdp)
    t.configure(t.config)
    t.file("zone", simple_zone(ORIGIN, 1, "".join(f"n{i} 60 IN TXT \"{'x' * 100}\"\n" for i in range(200))))
    return t.start()


@pytest.mark.parametrize("listen", [(SERVER4, SERVER6), ("0.0.0.0", "::")], ids=["addresses", "wildcards"])
def test_queries_by_xdp_and_the_rest_by_the_kernel(lab, link, listen):
    t = fast(lab, link, listen)
    assert "for=AF_XDP" in t.log(), t.log()
    for at in (SERVER4, SERVER6):
        before = t.by_xdp()
        for _ in range(20):
            assert "192.0.2.80" in t.dig(at, f"www.{ORIGIN}", "A", "+short")
        assert t.by_xdp() - before == 20, "each came by the interface's queue"
        out = t.dig(at, f"nothing.{ORIGIN}", "A", "+dnssec")
        assert "NXDOMAIN" in out and "SOA" in out
        before = t.by_xdp()
        assert "192.0.2.80" in t.dig(at, f"www.{ORIGIN}", "A", "+short", "+tcp"), "TCP is the kernel's"
        assert f"n199.{ORIGIN}" in t.dig(at, ORIGIN, "AXFR")
        assert "NOTIMP" in t.dig(at, ORIGIN, "SOA", "+opcode=STATUS") and t.by_xdp() == before, "other opcodes come to the sockets"


def test_a_reload_changes_what_is_taken(lab, link):
    t = fast(lab, link, (SERVER4, SERVER6))
    t.dig(SERVER6, f"www.{ORIGIN}", "A")
    t.config["server"]["listen"] = [f"{SERVER4}@5300"]
    t.configure(t.config)
    t.reload()
    before = t.by_xdp()
    assert "192.0.2.80" in t.dig(SERVER4, f"www.{ORIGIN}", "A", "+short")
    assert "192.0.2.80" not in t.dig(SERVER6, f"www.{ORIGIN}", "A", "+short"), "it does not listen there any more"
    assert t.by_xdp() == before + 1
    t.config["server"]["listen"] = [f"{SERVER4}@5300", f"{SERVER6}@5300"]
    t.configure(t.config)
    t.reload()
    assert "192.0.2.80" in t.dig(SERVER6, f"www.{ORIGIN}", "A", "+short")


def attached(ns):
    return "xdp" in ip("-n", ns, "link", "show", "dev", "xs").stdout


def test_nothing_is_left_behind(lab, link):
    t = fast(lab, link, (SERVER4,))
    assert attached(t.server_ns)
    assert t.stop() == 0
    assert not attached(t.server_ns)
    t.start()
    assert attached(t.server_ns)
    t.send(signal.SIGKILL)
    t.process.wait()
    wait_until(lambda: not attached(t.server_ns), what="the filter to go with its process")


def test_where_it_cant_be_had_sockets_serve(lab, link):
    t = fast(lab, link, (SERVER4,), xdp=("xs", "none0"))
    assert "none0" in t.log() and "xdp-failed" in t.log() and "sockets serve it" in t.log()
    assert "192.0.2.80" in t.dig(SERVER4, f"www.{ORIGIN}", "A", "+short")
