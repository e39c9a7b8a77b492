"""The metrics page: its format, counters that rise by exactly what was asked, the zones' figures, reload, and hostile HTTP."""
import contextlib
import os
import re
import socket
import subprocess
import sys
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import pytest

from harness import KEY, LOOPBACK, SECRET, free_port, keyring, simple_zone, wait_until

METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({METRIC})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")


class Page(dict):
    """(name, labels as a frozenset of pairs) -> value. Parsing is strict: HELP, TYPE, then the samples of one family, each once."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.types = {}
        lines = text.split("\n")[:-1]
        family, at = None, 0
        while at < len(lines):
            if lines[at].startswith("#"):
                helped = re.fullmatch(rf"# HELP ({METRIC}) (\S.*)", lines[at])
                typed = re.fullmatch(rf"# TYPE ({METRIC}) (counter|gauge)", lines[at + 1])
                assert helped and typed and helped[1] == typed[1], lines[at:at + 2]
                family = typed[1]
                assert family not in self.types, f"{family} comes twice"
                self.types[family] = typed[2]
                at += 2
                continue
            m = SAMPLE.fullmatch(lines[at])
            assert m and m[1] == family, lines[at]
            labels = re.findall(LABEL, m[2] or "")
            key = (family, frozenset(labels))
            assert len(dict(labels)) == len(labels) and key not in self, lines[at]
            self[key] = float(lines[at].rsplit(" ", 1)[1])
            at += 1

    def value(self, name, **labels):
        """The sum of all samples that have these labels."""
        wanted = set(labels.items())
        found = [v for (n, have), v in self.items() if n == name and wanted <= have]
        assert found, f"no {name} {labels}"
        return sum(found)

    def has(self, name, **labels):
        return any(n == name and set(labels.items()) <= have for n, have in self)


class Metrics:
    def __init__(self, host=LOOPBACK):
        self.host, self.port = host, free_port(host)

    @property
    def at(self):
        return f"{self.host}@{self.port}"

    def connect(self, timeout=10):
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def raw(self, request):
        """What comes back until the server closes."""
        with self.connect() as s:
            s.sendall(request)
            data = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := s.recv(65536):
                    data += chunk
        return data

    def http(self, path="/metrics", method="GET", more=""):
        head, _, body = self.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        return int(lines[0].split(" ")[1]), headers, body.decode()

    def page(self):
        status, headers, body = self.http()
        assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
        assert int(headers["content-length"]) == len(body.encode())
        return Page(body)


@pytest.fixture
def metrics():
    return Metrics()


def primary(lab, metrics, per_zone="off", name="primary", **more):
    t = lab.tandem(name, {"metrics": {"listen": metrics.at, "per-zone": per_zone},
                          "zones": [{"name": "example.com", "role": "primary", "file": "example.com.zone"}], **more})
    t.file("example.com.zone", simple_zone("example.com."))
    return t


def test_page_is_well_formed_and_says_what_it_should(lab, metrics):
    primary(lab, metrics, "all").start()
    page = metrics.page()
    assert page.value("tandem_build_info") == 1
    assert abs(page.value("process_start_time_seconds") - time.time()) < 60
    assert page.value("process_resident_memory_bytes") > 1 << 20
    assert page.value("tandem_zones", role="primary", state="served") == 1
    assert page.value("tandem_zones") == 1
    assert page.value("tandem_records") == 4
    assert page.value("tandem_store_changesets") == 1
    assert page.value("tandem_config_refused") == 0
    assert page.value("tandem_zone_serial", zone="example.com", role="primary") == 1
    assert page.value("tandem_zone_served", zone="example.com") == 1
    assert not page.has("tandem_zone_expires_seconds")
    for name, kind in page.types.items():
        assert name.endswith("_total") == (kind == "counter")


def test_there_is_no_page_without_the_section(lab, metrics):
    t = primary(lab, metrics)
    t.configure({"zones": t.config["zones"]})
    t.start()
    with pytest.raises(ConnectionRefusedError):
        metrics.connect()


def test_counters_rise_by_exactly_what_was_asked(lab, metrics):
    t = primary(lab, metrics)
    t.start()
    labels = {"listen": t.at, "family": "4"}

    def step(name, count, **more):
        """Asks nothing else in between, so the difference to the page before is exact."""
        nonlocal before
        after = metrics.page()
        assert after.value(name, **more) - before.value(name, **more) == count, (name, more)
        return after

    before = metrics.page()
    assert before.value("tandem_queries_total") == 0
    for _ in range(7):
        t.ask("www.example.com")
    step("tandem_queries_total", 7, transport="udp", **labels)
    step("tandem_queries_total", 0, transport="tcp", **labels)
    before = step("tandem_responses_total", 7, transport="udp", rcode="NOERROR", **labels)
    for _ in range(5):
        t.ask("nothing.example.com", tcp=True)
    step("tandem_queries_total", 5, transport="tcp", **labels)
    step("tandem_queries_total", 5)
    step("tandem_tcp_accepted_total", 5)
    before = step("tandem_responses_total", 5, transport="tcp", rcode="NXDOMAIN", **labels)
    t.ask("elsewhere.example")
    before = step("tandem_responses_total", 1, rcode="REFUSED", **labels)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"\0" * 3, (t.host, t.port))
    wait_until(lambda: metrics.page().value("tandem_dropped_total", transport="udp", **labels) == 1)
    before = step("tandem_queries_total", 1)
    with pytest.raises(Exception):
        t.axfr("example.com")
    step("tandem_transfers_out_total", 1, result="refused")
    with contextlib.suppress(dns.tsig.PeerError):
        t.ask("www.example.com", key=keyring())
    step("tandem_tsig_failures_total", 1, error="BADKEY")
    status = t.status()["counters"]
    assert status["queries"] == metrics.page().value("tandem_queries_total") == 16
    assert status["listeners"] == [{"address": t.at, "udp": 10, "tcp": 6, "dropped": 1, "truncated": 0}]
    assert f"at {t.at}: 10 over UDP, 6 over TCP" in t.run("status", check=0).stdout


def test_each_listen_address_has_its_own_counters(lab, metrics):
    t = primary(lab, metrics)
    other = f"::1@{free_port('::1')}"
    t.configure({**t.config, "server": {**t.config["server"], "listen": [t.at, other]}})
    t.start()
    q = dns.message.make_query("www.example.com", "A")
    for _ in range(3):
        dns.query.udp(q, "::1", port=int(other.split("@")[1]), timeout=20)
    t.ask("www.example.com")
    page = metrics.page()
    assert page.value("tandem_queries_total", listen=other, family="6", transport="udp") == 3
    assert page.value("tandem_queries_total", listen=t.at, family="4", transport="udp") == 1
    # An address keeps its counters when it goes and comes again.
    full = t.config
    t.configure({**full, "server": {**full["server"], "listen": [t.at]}})
    t.reload()
    t.ask("www.example.com")
    t.configure(full)
    t.reload()
    dns.query.udp(q, "::1", port=int(other.split("@")[1]), timeout=20)
    page = metrics.page()
    assert page.value("tandem_queries_total", listen=other) == 4
    assert page.value("tandem_queries_total", listen=t.at) == 2


def pair(lab, metrics, per_zone="all", expire=86400):
    key = {"keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]}
    a, b = lab.tandem("a"), lab.tandem("b")
    a.configure({**key, "peers": [{"name": "b", "address": b.at, "key": KEY}],
                 "zones": [{"name": "example.com", "role": "primary", "file": "example.com.zone", "notify": ["b"], "transfer": ["b"]}]})
    a.file("example.com.zone", simple_zone("example.com.", 7, expire=expire, refresh=1, retry=1))
    b.configure({**key, "metrics": {"listen": metrics.at, "per-zone": per_zone},
                 "peers": [{"name": "a", "address": a.at, "key": KEY}],
                 "zones": [{"name": "example.com", "role": "secondary", "primaries": ["a"]}]})
    return a, b


def test_secondary_shows_serial_transfers_and_time_to_expire(lab, metrics):
    a, b = pair(lab, metrics)
    a.start()
    b.start()
    b.wait_answer("example.com", serial=7)
    page = metrics.page()
    assert page.value("tandem_zone_serial", zone="example.com", role="secondary") == 7
    assert 86390 < page.value("tandem_zone_expires_seconds", zone="example.com") <= 86400
    assert 0 <= page.value("tandem_zone_last_good_seconds", zone="example.com") < 60
    assert page.value("tandem_transfers_in_total", result="done") == 1
    assert page.value("tandem_zones", role="secondary", state="served") == 1
    a.file("example.com.zone", simple_zone("example.com.", 8, refresh=1, retry=1))
    a.reload()
    b.wait_answer("example.com", serial=8)
    page = metrics.page()
    assert page.value("tandem_zone_serial", zone="example.com") == 8
    assert page.value("tandem_transfers_in_total", result="done") == 2
    assert page.value("tandem_notifies_in_total", result="taken") >= 1


def test_expiry_shows(lab, metrics):
    a, b = pair(lab, metrics, "worst", expire=5)
    a.start()
    b.start()
    b.wait_answer("example.com", serial=7)
    a.kill()
    wait_until(lambda: metrics.page().value("tandem_zones", state="expired") == 1, what="the zone to expire")
    page = metrics.page()
    assert page.value("tandem_zone_expires_seconds", zone="example.com") == 0
    assert page.value("tandem_zone_served", zone="example.com") == 0
    assert page.value("tandem_zone_last_good_seconds", zone="example.com") >= 1
    assert page.value("tandem_zone_expiries_total") == 1
    assert page.value("tandem_refresh_queries_total") > 0


def test_worst_shows_twenty_zones_the_troubled_first(lab, metrics):
    names = [f"z{i}.example" for i in range(30)]
    t = lab.tandem("many", {"metrics": {"listen": metrics.at, "per-zone": "worst"},
                            "zones": [{"name": n, "role": "primary", "file": f"{n}.zone"} for n in names]})
    for n in names[:-3]:
        t.file(f"{n}.zone", simple_zone(f"{n}."))
    t.start()
    page = metrics.page()
    served = {dict(labels)["zone"]: v for (name, labels), v in page.items() if name == "tandem_zone_served"}
    assert len(served) == 20
    assert {n for n, v in served.items() if v == 0} == set(names[-3:])
    assert page.value("tandem_zones", role="primary", state="not-loaded") == page.value("tandem_zones_troubled") == 3


def test_reload_changes_the_listener_and_a_refused_one_changes_nothing(lab, metrics):
    t = primary(lab, metrics)
    t.start()
    full, old = t.config, Metrics()
    old.port, metrics.port = metrics.port, free_port()
    t.ask("www.example.com")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, metrics.port))
        holder.listen()
        t.configure({**full, "metrics": {"listen": metrics.at}})
        assert metrics.at in t.reload(check=1).stdout + t.run("reload").stderr
    assert old.page().value("tandem_config_refused") == 1
    t.reload()
    assert metrics.page().value("tandem_queries_total") == 1
    assert metrics.page().value("tandem_config_refused") == 0
    with pytest.raises(ConnectionRefusedError):
        old.connect()
    t.configure({**full, "metrics": {"listen": metrics.at, "per-zone": "all"}})
    t.reload()
    assert metrics.page().has("tandem_zone_serial")
    everywhere = {**full, "metrics": {"listen": f"0.0.0.0@{metrics.port}"}}
    t.configure(everywhere)
    t.reload()
    assert metrics.page().value("tandem_queries_total") == 1
    t.configure({"server": full["server"], "zones": full["zones"]})
    t.reload()
    with pytest.raises(ConnectionRefusedError):
        metrics.connect()
    assert t.ask("www.example.com").answer


def test_a_port_in_use_is_said_and_nothing_starts(lab, metrics):
    t = primary(lab, metrics)
    with socket.socket() as holder:
        holder.bind((LOOPBACK, metrics.port))
        holder.listen()
        assert t.fails() == 1
    assert "metrics.listen" in t.log() and metrics.at in t.log() and "in use" in t.log()


def test_a_busy_machine_has_fresh_pages(lab, metrics):
    """What others take of the CPU while a page is written does not count as its cost."""
    here = {min(os.sched_getaffinity(0))}
    t = primary(lab, metrics, "all")
    t.start(preexec_fn=lambda: (os.sched_setaffinity(0, here), os.nice(5)))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, here)) for _ in range(2)]
    try:
        for n in range(1, 20):
            t.ask("www.example.com")
            assert metrics.page().value("tandem_queries_total") == n
    finally:
        for p in busy:
            p.kill()
            p.wait()


def test_only_get_of_metrics(lab, metrics):
    primary(lab, metrics).start()
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"):
        status, headers, _ = metrics.http(method=method)
        assert status == 405 and headers["allow"] == "GET", method
    for path in ("/", "/metrics/", "/metricsx", "/../metrics", "/metrics%00", "/metric%73", "//metrics", "/api/v1"):
        status, headers, body = metrics.http(path)
        assert status == 404 and headers["content-type"] == "application/json" and '"error"' in body, path
    assert metrics.http("/metrics?x=y")[0] == 200
    assert metrics.http(more="Content-Length: 5\r\n")[0] == 200  # a body is not waited for


HOSTILE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" * 50,
    "zeroes": b"\0" * 4096,
    "long line": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
    "long header": b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
    "many headers": b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    "bad length": b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "bad chunk": b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZZ\r\n",
    "version": b"GET /metrics HTTP/9.9\r\n\r\n",
    "no host": b"GET /metrics HTTP/1.1\r\n\r\n",
    "bare": b"GET\r\n\r\n",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_request_does_no_harm(lab, metrics, what):
    t = primary(lab, metrics)
    t.start()
    with metrics.connect() as waiting, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        waiting.sendall(HOSTILE[what])
        assert t.ask("www.example.com").answer
        assert metrics.page().value("tandem_queries_total") == 1
        if b"\n" in HOSTILE[what]:  # else it may still become a request
            answer = waiting.recv(65536)
            assert answer == b"" or re.match(rb"HTTP/1\.[01] (4\d\d|5\d\d) ", answer), answer[:200]
    assert t.ask("www.example.com").answer
    assert t.stop() == 0


def test_idle_connections_disturb_neither_dns_nor_the_page(lab, metrics):
    t = primary(lab, metrics)
    t.start()
    files = len(os.listdir(f"/proc/{t.pid()}/fd"))
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(metrics.connect()) for _ in range(200)]
        for n, s in enumerate(idle):
            with contextlib.suppress(OSError):
                s.sendall(b"GET /metrics HTTP/1.1\r\nHo"[:n % 26])
        for _ in range(50):
            assert t.ask("www.example.com", timeout=9).answer, "idle connections are closed after 10 s"
        began = time.monotonic()
        assert metrics.page().value("tandem_queries_total") == 50
        assert time.monotonic() - began < 9, "the page waits for idle connections"
        assert len(os.listdir(f"/proc/{t.pid()}/fd")) < files + 100
    assert t.stop() == 0


def test_an_idle_connection_is_closed(lab, metrics):
    primary(lab, metrics).start()
    with metrics.connect(timeout=30) as s:
        s.sendall(b"GET /metrics HT")
        assert s.recv(1) == b""


def test_slow_readers_and_those_who_leave_do_no_harm(lab, metrics):
    t = primary(lab, metrics)
    t.start()
    for _ in range(100):
        with metrics.connect() as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            s = stack.enter_context(metrics.connect())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert t.ask("www.example.com").answer
        wait_until(lambda: metrics.page().value("tandem_queries_total") == 1, what="a page that is not the last one again")
        assert t.stop() == 0, "ends while clients wait"
