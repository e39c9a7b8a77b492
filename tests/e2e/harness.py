"""Real servers for the end-to-end tests: Tandem, and BIND, Knot, NSD and unbound from Debian, each a child process in its own
directory on free loopback ports. Nothing here sleeps for a fixed time: wait_until() asks again until a deadline."""
import contextlib
import ipaddress
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.zone

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TANDEM", str(ROOT / "build/asan/src/tandem/tandem"))
LOOPBACK = "127.0.0.1"
ANYWHERE = "0.0.0.0/0"
PLACE_PORT = 5300
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMyYnl0ZXM="
KEY = "xfr.example."
WAIT_S = 60.0  # longer than anything takes, on a busy machine too


def wait_until(condition, timeout=WAIT_S, what="the condition"):
    """Asks until it is true; returns its value. Who does not answer is asked again."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(dns.exception.Timeout):
            value = condition()
            if value:
                return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}")
        pause.wait(0.01)


def soak_s(seconds):
    """How long a soak lasts; TANDEM_SOAK_S bounds it, for trying."""
    return min(seconds, float(os.environ.get("TANDEM_SOAK_S", seconds)))


PORTS, BLOCK = range(1100, 10000), 100  # below the ports that the system gives to clients, and PowerDNS takes as one
OWN_BLOCKS = 10
UNBOUND_PORTS = "outgoing-port-avoid: 0-32767"  # else it asks from any port, maybe from one that was just found free


def own_ports():
    """Ports in turn that no other process of the tests uses: each block goes with a name in the abstract namespace, held until we end."""
    blocks = [PORTS[at:at + BLOCK] for at in range(0, len(PORTS), BLOCK)]
    random.SystemRandom().shuffle(blocks)
    held = []
    for block in blocks:
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0tandem-tests-{block[0]}")
        except OSError:
            mark.close()
            continue
        held.append((mark, block))
        yield from block
        if len(held) == OWN_BLOCKS:
            break
    while held:
        for _, block in held:
            yield from block


next_port = own_ports()


def free_port(host=LOOPBACK):
    """A port that is free for UDP and TCP now, and that is not given out again soon."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(next_port, 100):
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((host, port))
                udp.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def keyring(name=KEY, secret=SECRET, algorithm="hmac-sha256."):
    return dns.tsigkeyring.from_text({name: (algorithm, secret)}) if False else {
        dns.name.from_text(name): dns.tsig.Key(name, secret, algorithm)}


def soa(origin, serial, refresh=3600, retry=600, expire=86400, minimum=300):
    return f"{origin} 3600 IN SOA ns1.{origin.lstrip('.')} hostmaster.{origin.lstrip('.')} {serial} {refresh} {retry} {expire} {minimum}\n"


def simple_zone(origin, serial=1, extra="", **timers):
    """A small zone file; origin with its final dot."""
    dot = origin if origin != "." else ""
    return (soa(origin, serial, **timers) + f"{origin} 3600 IN NS ns1.{dot}\n" + f"ns1.{dot} 3600 IN A 192.0.2.1\n"
            + f"www.{dot} 300 IN A 192.0.2.80\n" + extra)


class Server:
    """A child process with a directory. Subclasses write the configuration and know when it is ready."""
    name = "server"

    def __init__(self, directory, port=None, host=LOOPBACK, place=None):
        """`place`: a namespace of network.py to be in, where every port is free."""
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.host = place.host if place else host
        self.port = port or (PLACE_PORT if place else free_port(host))
        self.process = None
        self.log_path = self.dir / "log"

    @property
    def at(self):
        return f"{self.host}@{self.port}"

    def spawn(self, args, **kw):
        self.log_file = open(self.log_path, "ab")
        with self.place or contextlib.nullcontext():
            self.process = subprocess.Popen([str(a) for a in args], cwd=self.dir, stderr=self.log_file, stdin=subprocess.DEVNULL,
                                            stdout=kw.pop("stdout", self.log_file), **kw)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_answer(self, zone, timeout=WAIT_S, serial=None, rdtype="SOA", **kw):
        def answered():
            assert self.process.poll() is None, f"{self.name} ended: {self.log()[-2000:]}"
            try:
                r = self.ask(zone, rdtype, timeout=0.5, **kw)
            except (dns.exception.Timeout, OSError):
                return False
            return r.answer and (serial is None or r.answer[0][0].serial == serial)
        return wait_until(answered, timeout, f"{self.name} to answer {zone} {serial or ''}: {self.log()[-1500:]}")

    def ask(self, name, rdtype="A", tcp=False, timeout=20.0, key=None, want_dnssec=False, edns=True, payload=1232, recurse=False, **kw):
        q = dns.message.make_query(dns.name.from_text(name), rdtype, use_edns=0 if edns else -1, want_dnssec=want_dnssec,
                                   payload=payload if edns else None, **kw)
        if not recurse:
            q.flags &= ~dns.flags.RD
        if key:
            q.use_tsig(key)
        send = dns.query.tcp if tcp else dns.query.udp
        return send(q, self.host, timeout=timeout, port=self.port)

    def serial(self, zone):
        r = self.ask(zone, "SOA")
        return r.answer[0][0].serial if r.answer else None

    def axfr(self, zone, key=None, timeout=60.0):
        """All records as a sorted list of text, or raises what dnspython raises."""
        kw = dict(keyring=key, keyname=next(iter(key)), keyalgorithm=next(iter(key.values())).algorithm) if key else {}
        records = []
        for message in dns.query.xfr(self.host, zone, port=self.port, timeout=timeout, relativize=False, **kw):
            for rrset in message.answer:
                records += [f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rd.to_text()}" for rd in rrset]
        return sorted(set(records))

    def pid(self):
        return self.process.pid

    def send(self, signal_number):
        """To every process of the server."""
        os.kill(self.pid(), signal_number)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.send(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, timeout=20):
        """Of others it is not our matter whether they end by themselves."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                assert not isinstance(self, Tandem), f"{self.name} did not end within {timeout} s of SIGTERM: {self.log()[-1500:]}"
        return self.process.returncode


class Tandem(Server):
    name = "tandem"

    def __init__(self, directory, config=None, **kw):
        """`config` is a dict without server.listen and server.state, which are filled in here."""
        super().__init__(directory, **kw)
        self.config_path = self.dir / "tandem.yaml"
        self.configure(config or {})

    def configure(self, config):
        """Writes the configuration as JSON, which is YAML."""
        full = json.loads(json.dumps(config))
        server = full.setdefault("server", {})
        server.setdefault("listen", [self.at])
        server.setdefault("state", "state")
        server.setdefault("workers", "1")
        full.setdefault("history", {}).setdefault("ballast", "1M")  # there are many of us
        if os.geteuid() == 0:
            server.setdefault("user", "root")
        self.config = full
        self.config_path.write_text(json.dumps(full, indent=1))

    def put(self, n, text):
        self.file(f"zone{n}", text)

    def file(self, name, text):
        path = self.dir / name
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return path

    def start(self, timeout=60, **kw):
        self.spawn([BINARY, "serve", "-c", self.config_path], stdout=subprocess.PIPE, **kw)
        timer = threading.Timer(timeout, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line == b"ready\n", f"expected ready, got {line!r}, log: {self.log()[-3000:]}"
        return self

    def fails(self, timeout=60):
        """Starts and waits for the end; returns the exit code."""
        self.spawn([BINARY, "serve", "-c", self.config_path], stdout=subprocess.PIPE)
        out, _ = self.process.communicate(timeout=timeout)
        assert b"ready" not in out
        return self.process.returncode

    def run(self, command, *args, check=None, timeout=60, stdout=subprocess.PIPE):
        words = command.split()
        r = subprocess.run([BINARY, *words, "-c", self.config_path, *args], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=timeout,
                           cwd=self.dir)
        if check is not None:
            assert r.returncode == check, f"{command} {args}: exit {r.returncode}\n{r.stdout}\n{r.stderr}\n{self.log()[-1500:]}"
        return r

    def json(self, command, *args):
        return json.loads(self.run(command, *args, "--json", check=0).stdout)

    def status(self, zone=None):
        return self.json("status", *([zone] if zone else []))

    def reload(self, check=0):
        return self.run("reload", check=check)

    def hup(self):
        os.kill(self.pid(), signal.SIGHUP)

    def stop(self, timeout=60):
        code = super().stop(timeout)
        self.sanitized()
        return code

    def sanitized(self):
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion", SECRET):
            assert word not in self.log(), self.log()[-6000:]


def tsig_block(kind):
    return {
        "bind": f'key "{KEY}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n',
        "knot": f"key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n",
        "nsd": f'key:\n  name: "{KEY}"\n  algorithm: hmac-sha256\n  secret: "{SECRET}"\n',
    }[kind]


class Peer(Server):
    """A peer that is primary or secondary of zones. zones: {origin with dot: text of the zone file, or None for a secondary}.
    `other` is the server on the other side; `key` signs with KEY."""

    def __init__(self, directory, zones, other, key=False, **kw):
        super().__init__(directory, **kw)
        self.zones, self.other, self.key = zones, other, key
        for n, (origin, text) in enumerate(zones.items()):
            if text is not None:
                (self.dir / f"zone{n}").write_text(text)
        self.write_config()

    def zone_file(self, n):
        return self.dir / f"zone{n}"

    def put(self, n, text):
        """A new zone file, for the next start or reload."""
        self.zone_file(n).write_text(text)

    def files(self):
        return [(n, origin, text) for n, (origin, text) in enumerate(self.zones.items())]


class Bind(Peer):
    name = "bind"

    def write_config(self):
        key = f" key {KEY}" if self.key else ""
        text = tsig_block("bind")
        text += f"""options {{ directory "{self.dir}"; pid-file none; session-keyfile none; listen-on port {self.port} {{ {self.host}; }};
  listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; zero-no-soa-ttl no; notify explicit; allow-transfer {{ none; }}; minimal-responses yes;
  notify-delay 0; serial-query-rate 1000; notify-rate 1000; startup-notify-rate 1000; check-names primary ignore; check-names secondary ignore; }};
controls {{ }};\n"""
        for n, origin, zone in self.files():
            other = f"{self.other.host} port {self.other.port}{key}"
            if zone is not None:
                allow = f"key {KEY};" if self.key else "any;"
                text += (f'zone "{origin}" {{ type primary; file "zone{n}"; allow-transfer {{ {allow} }}; '
                         f'also-notify {{ {other}; }}; check-integrity no; }};\n')
            else:
                text += (f'zone "{origin}" {{ type secondary; file "zone{n}"; masterfile-format text; primaries {{ {other}; }}; '
                         f"allow-notify {{ {self.other.host}; }}; request-ixfr no; min-refresh-time 1; min-retry-time 1; }};\n")
        (self.dir / "named.conf").write_text(text)

    def start(self):
        self.spawn(["/usr/sbin/named", "-g", "-c", "named.conf", "-n", "1"])
        return self

    def reload(self):
        os.kill(self.pid(), signal.SIGHUP)


class Knot(Peer):
    name = "knot"

    def write_config(self):
        text = f"server:\n  rundir: {self.dir}\n  listen: {self.at}\n  user: root\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        text = text.replace("  user: root\n", "") if os.geteuid() else text
        (self.dir / "db").mkdir(exist_ok=True)  # without it Knot has no journal and takes no IXFR
        text += f"database:\n  storage: {self.dir}/db\nlog:\n  - target: stderr\n    any: info\n"
        text += tsig_block("knot") if self.key else ""
        key = f"    key: {KEY}\n" if self.key else ""
        text += f"remote:\n  - id: other\n    address: {self.other.at}\n{key}"
        text += f"acl:\n  - id: out\n    address: {ANYWHERE}\n{key}    action: transfer\n"
        text += f"  - id: in\n    address: {ANYWHERE}\n{key}    action: notify\n"
        text += "zone:\n"
        for n, origin, zone in self.files():
            text += f'  - domain: "{origin}"\n    file: {self.dir}/zone{n}\n    semantic-checks: off\n'
            text += ("    notify: other\n    acl: out\n" if zone is not None else
                     "    master: other\n    acl: in\n    refresh-min-interval: 2\n    retry-min-interval: 2\n")
        (self.dir / "knot.conf").write_text(text)

    def start(self):
        self.spawn(["/usr/sbin/knotd", "-c", self.dir / "knot.conf"])
        return self

    def reload(self):
        os.kill(self.pid(), signal.SIGHUP)


def group_lives(group):
    """Whether a process of this group has not ended: its children, whom only init waits for, may still hold a port that it left."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state not in "ZX":
                return True
    return False


class Nsd(Peer):
    name = "nsd"

    def write_config(self):
        user = "root" if os.geteuid() == 0 else ""
        text = f"""server:
  ip-address: {self.at}
  username: "{user}"
  zonesdir: "{self.dir}"
  database: ""
  pidfile: "{self.dir}/nsd.pid"
  xfrdfile: "{self.dir}/xfrd.state"
  xfrdir: "{self.dir}"
  zonelistfile: "{self.dir}/zone.list"
  cookie-secret-file: ""
  server-count: 1
  verbosity: 1
  xfrd-reload-timeout: 0
  rrl-ratelimit: 0
remote-control:
  control-enable: yes
  control-interface: {self.dir}/control.sock
"""
        text += tsig_block("nsd") if self.key else ""
        key = KEY if self.key else "NOKEY"
        for n, origin, zone in self.files():
            text += f'zone:\n  name: "{origin}"\n  zonefile: zone{n}\n'
            if zone is not None:
                text += f"  provide-xfr: {ANYWHERE} {key}\n  notify: {self.other.at} {key}\n"
            else:
                text += (f"  request-xfr: AXFR {self.other.at} {key}\n  allow-notify: {ANYWHERE} {key}\n"
                         "  min-refresh-time: 1\n  min-retry-time: 1\n")
        (self.dir / "nsd.conf").write_text(text)

    def start(self):
        if self.process:
            wait_until(lambda: not group_lives(self.pid()), what="every process of the NSD before to end")
        self.spawn(["/usr/sbin/nsd", "-d", "-c", self.dir / "nsd.conf"], start_new_session=True)
        return self

    def send(self, signal_number):
        os.killpg(self.pid(), signal_number)

    def reload(self):
        os.kill(self.pid(), signal.SIGHUP)


class Pdns(Peer):
    """PowerDNS with its zones in SQLite; zone files go in with pdnsutil."""
    name = "pdns"
    schema = pathlib.Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

    def write_config(self):
        database = sqlite3.connect(self.dir / "db")
        database.executescript(self.schema.read_text())
        database.close()
        text = f"""launch=gsqlite3
gsqlite3-database={self.dir}/db
local-address={self.host}
local-port={self.port}
socket-dir={self.dir}
primary=yes
secondary=yes
xfr-cycle-interval=1
allow-axfr-ips={"" if self.key else ANYWHERE}
allow-notify-from={ANYWHERE}
only-notify=
default-soa-edit=
zone-cache-refresh-interval=1
cache-ttl=0
negquery-cache-ttl=0
query-cache-ttl=0
receiver-threads=1
distributor-threads=1
retrieval-threads=2
disable-syslog=yes
loglevel=5
"""
        (self.dir / "pdns.conf").write_text(text)
        if self.key:
            self.util("import-tsig-key", KEY, "hmac-sha256", SECRET)
        for n, origin, zone in self.files():
            if zone is not None:
                self.load(n, origin)
                self.util("set-kind", origin, "primary")
                self.util("set-meta", origin, "ALSO-NOTIFY", f"{self.other.host}:{self.other.port}")
            else:
                self.util("create-secondary-zone", origin, f"{self.other.host}:{self.other.port}")
            if self.key:
                self.util("activate-tsig-key", origin, KEY, "primary" if zone is not None else "secondary")

    def util(self, *args):
        def done():
            r = subprocess.run(["/usr/bin/pdnsutil", "--config-dir", str(self.dir), *args], capture_output=True, text=True)
            assert r.returncode == 0 or "database is locked" in r.stdout + r.stderr, f"pdnsutil {args}: {r.stdout}{r.stderr}"
            return r.returncode == 0 and [r.stdout]
        return wait_until(done, what="the database to be free")[0]

    def load(self, n, origin):
        self.util("load-zone", origin, str(self.zone_file(n)))

    def put(self, n, text):
        super().put(n, text)
        self.load(n, list(self.zones)[n])

    def start(self):
        self.spawn(["/usr/sbin/pdns_server", "--config-dir=" + str(self.dir), "--daemon=no", "--guardian=no"])
        return self

    def reload(self):
        for _, origin, zone in self.files():
            if zone is not None:
                subprocess.run(["/usr/bin/pdns_control", f"--socket-dir={self.dir}", "notify", origin], capture_output=True)


class Unbound(Server):
    """A resolver with a stub zone that points at the given servers."""
    name = "unbound"

    def __init__(self, directory, zone, servers, **kw):
        super().__init__(directory, **kw)
        user = 'username: ""\n' if os.geteuid() == 0 else ""
        stubs = "".join(f"  stub-addr: {s.at}\n" for s in servers)
        (self.dir / "unbound.conf").write_text(
            f'server:\n  interface: {self.at}\n  port: {self.port}\n  do-daemonize: no\n  chroot: ""\n  {user}  directory: "{self.dir}"\n'
            f'  pidfile: ""\n  use-syslog: no\n  logfile: ""\n  do-not-query-localhost: no\n  module-config: "iterator"\n  num-threads: 1\n'
            f'  {UNBOUND_PORTS}\n  cache-max-ttl: 0\n  cache-max-negative-ttl: 0\n  local-zone: "{zone}" transparent\n  access-control: 127.0.0.0/8 allow\n'
            f'stub-zone:\n  name: "{zone}"\n{stubs}remote-control:\n  control-enable: no\n')

    def start(self):
        self.spawn(["/usr/sbin/unbound", "-d", "-c", self.dir / "unbound.conf"])
        return self
