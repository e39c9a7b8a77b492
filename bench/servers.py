"""The servers that bench.py compares: each with one worker, its own directory, zones that it loads or takes from a primary, and with
history and updates where it has them. A row of a zone: (origin, file or None, primary or None)."""
import base64
import contextlib
import os
import pathlib
import sqlite3
import subprocess

import data
import harness

ROOT_USER = os.geteuid() == 0
PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / "build/release/bench"
LIST_FILE = "names.txt"
KEY, SECRET = "bench", bytes(range(32))  # hmac-sha256
SECRET_TEXT = base64.b64encode(SECRET).decode()


class Options:
    def __init__(self, zones, many=0, many_file=None, updates=False, notify=None, place=None, xdp=False, signed=False):
        self.zones = zones          # [(origin, file, primary)]
        self.many, self.many_file = many, many_file  # so many zones more, all of one file
        self.updates = updates      # from this machine, without a key, ...
        self.signed = signed        # ... or from anywhere with KEY
        self.notify = notify        # a server that is told of changes
        self.place, self.xdp = place, xdp  # a namespace of its own (network.py), whose cable AF_XDP serves

    def all(self):
        return self.zones + [(f"zone{i}.example.", self.many_file, None) for i in range(self.many)]


class Base(harness.Server):
    kind = ""
    incremental = True  # gives and takes IXFR
    updatable = True
    has_xdp = False
    fixed = ()  # names of files that are written over and over, and do not grow with what is kept

    def __init__(self, directory, options):
        super().__init__(directory, place=options.place)
        self.options = options
        self.name = self.kind
        self.configure()

    def file(self, name, text):
        (self.dir / name).write_text(text)

    def state_bytes(self, fixed=True):
        """What the store or the journal takes on disk; `fixed`: with files that are written over and over and do not grow with it."""
        left_out = ("log", "names.txt", "ballast") + (() if fixed else self.fixed)
        return sum(p.stat().st_blocks * 512 for p in self.dir.rglob("*") if p.is_file() and p.name not in left_out)

    def settle(self):
        """After the end: what is still in files of fixed size goes to where it stays."""


class Tandem(Base):
    kind = "tandem"
    has_xdp = True
    fixed = ("log.db-wal", "log.db-shm")

    def settle(self):
        with contextlib.closing(sqlite3.connect(self.dir / "state" / "log.db")) as log:
            log.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def configure(self):
        o, peers, zones = self.options, [], []
        server = {"listen": [self.at], "state": "state", "workers": "1", **({"user": "root"} if ROOT_USER else {})}
        if o.xdp:
            server["xdp"] = [o.place.theirs]
        for name, peer in (("notified", o.notify), ("primary", next((p for _, _, p in o.zones if p), None))):
            if peer:
                peers.append({"name": name, "address": peer.at})
        for origin, path, primary in o.zones:
            zone = {"name": origin, "transfer": ["127.0.0.0/8"], "notify": ["notified"] if o.notify else []}
            zone |= {"role": "secondary", "primaries": ["primary"]} if primary else {"role": "primary", "file": str(path)}
            if o.updates and not primary:
                zone |= {"update": [KEY if o.signed else "127.0.0.0/8"], "serial": "increment"}
            zones.append(zone)
        config = {"server": server, "peers": peers, "zones": zones}
        if o.signed:
            config["keys"] = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET_TEXT}]
        if o.many:
            self.file(LIST_FILE, "".join(f"zone{i}.example\n" for i in range(o.many)))
            config |= {"templates": {"many": {"role": "primary", "file": str(o.many_file)}},
                       "zone-lists": [{"file": LIST_FILE, "template": "many"}]}
        import json
        self.file("tandem.yaml", json.dumps(config))

    def start(self):
        self.spawn([harness.BINARY, "serve", "-c", self.dir / "tandem.yaml"])


class Knot(Base):
    kind = "knot"
    has_xdp = True

    def configure(self):
        o = self.options
        (self.dir / "db").mkdir(exist_ok=True)
        user = "  user: root\n" if ROOT_USER else ""
        out = [f"server:\n  rundir: {self.dir}\n  listen: {self.at}\n{user}  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
               + (f"xdp:\n  listen: {o.place.theirs}@{self.port}\n" if o.xdp else "") +
               f"database:\n  storage: {self.dir}/db\nlog:\n  - target: stderr\n    any: warning\n"]
        primary = next((p for _, _, p in o.zones if p), None)
        remotes = [(n, p) for n, p in (("notified", o.notify), ("primary", primary)) if p]
        if remotes:
            out.append("remote:\n" + "".join(f"  - id: {n}\n    address: {p.at}\n" for n, p in remotes))
        if o.signed:
            out.append(f"key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET_TEXT}\n")
        out.append("acl:\n  - id: all\n" + (f"    key: {KEY}\n    action: update\n" if o.signed else
                                          "    address: 127.0.0.0/8\n    action: [transfer, notify, update]\n"))
        out.append("template:\n  - id: default\n    acl: all\n    semantic-checks: off\n    zonefile-sync: -1\n    journal-content: changes\n"
                   "    zonefile-load: difference\nzone:\n")
        for origin, path, primary in o.all():
            out.append(f'  - domain: "{origin}"\n' + (f"    file: {path}\n" if path else "    master: primary\n    zonefile-load: none\n"
                                                      "    journal-content: all\n") + ("    notify: notified\n" if o.notify else ""))
        self.file("knot.conf", "".join(out))

    def start(self):
        self.spawn(["/usr/sbin/knotd", "-c", self.dir / "knot.conf"])


class Nsd(Base):
    kind = "nsd"
    updatable = False

    def configure(self):
        o = self.options
        out = [f'server:\n  ip-address: {self.at}\n  username: "{"root" if ROOT_USER else ""}"\n  zonesdir: "{self.dir}"\n  database: ""\n'
               f'  pidfile: "{self.dir}/nsd.pid"\n  xfrdfile: "{self.dir}/xfrd.state"\n  xfrdir: "{self.dir}"\n'
               f'  zonelistfile: "{self.dir}/zone.list"\n  cookie-secret-file: ""\n  server-count: 1\n  verbosity: 0\n'
               "  xfrd-reload-timeout: 0\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n"]
        for origin, path, primary in o.all():
            out.append(f'zone:\n  name: "{origin}"\n  zonefile: "{path or self.dir / "taken"}"\n  provide-xfr: 127.0.0.0/8 NOKEY\n')
            if primary:
                out.append(f"  request-xfr: {primary.at} NOKEY\n  allow-notify: 127.0.0.0/8 NOKEY\n  store-ixfr: yes\n")
            if o.notify:
                out.append(f"  notify: {o.notify.at} NOKEY\n")
        self.file("nsd.conf", "".join(out))

    def start(self):
        self.spawn(["/usr/sbin/nsd", "-d", "-c", self.dir / "nsd.conf"], start_new_session=True)

    def send(self, signal_number):
        os.killpg(self.pid(), signal_number)


class Bind(Base):
    kind = "bind"

    def configure(self):
        o = self.options
        also = f"also-notify {{ {o.notify.host} port {o.notify.port}; }};" if o.notify else ""
        out = [f'options {{ directory "{self.dir}"; pid-file none; session-keyfile none; listen-on port {self.port} {{ {self.host}; }};\n'
               "  listen-on-v6 { none; }; recursion no; dnssec-validation no; notify explicit; notify-delay 0; minimal-responses yes;\n"
               f"  allow-transfer {{ 127.0.0.0/8; }}; check-integrity no; max-ixfr-ratio unlimited; {also}\n"
               "  serial-query-rate 1000; notify-rate 1000; startup-notify-rate 1000; };\ncontrols { };\n"
               f'key "{KEY}" {{ algorithm hmac-sha256; secret "{SECRET_TEXT}"; }};\n']
        for n, (origin, path, primary) in enumerate(o.all()):
            if primary:
                out.append(f'zone "{origin}" {{ type secondary; file "taken{n}"; primaries {{ {primary.host} port {primary.port}; }}; '
                           "allow-notify { 127.0.0.0/8; }; };\n")
            else:
                update = f"allow-update {{ {f'key {KEY}' if o.signed else '127.0.0.0/8'}; }};" if o.updates else ""
                out.append(f'zone "{origin}" {{ type primary; file "{path}"; {update} }};\n')
        self.file("named.conf", "".join(out))

    def start(self):
        self.spawn(["/usr/sbin/named", "-f", "-c", self.dir / "named.conf", "-n", "1", "-U", "1"])


class Pdns(Base):
    """Zone files through the bind backend; updates and transfers in go to SQLite."""
    kind = "pdns"
    incremental = False
    schema = pathlib.Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

    def configure(self):
        o = self.options
        in_sqlite = o.updates or any(primary for _, _, primary in o.zones)
        out = [f"local-address={self.host}\nlocal-port={self.port}\nsocket-dir={self.dir}\nallow-axfr-ips=127.0.0.0/8\n"
               "allow-notify-from=127.0.0.0/8\nreceiver-threads=1\ndistributor-threads=1\nretrieval-threads=1\ndisable-syslog=yes\n"
               "loglevel=3\nprimary=yes\nsecondary=yes\nxfr-cycle-interval=1\ndefault-soa-edit=\nonly-notify=\n"]
        if in_sqlite:
            out.append(f"launch=gsqlite3\ngsqlite3-database={self.dir}/db\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n"
                       "zone-cache-refresh-interval=0\n")
        else:
            out.append(f"launch=bind\nbind-config={self.dir}/zones.conf\nbind-check-interval=0\nbind-dnssec-db={self.dir}/dnssec\n")
            self.file("zones.conf", "".join(f'zone "{z.rstrip(".")}" {{ type master; file "{p}"; }};\n' for z, p, _ in o.all()))
        self.file("pdns.conf", "".join(out))
        if in_sqlite:
            import sqlite3
            database = sqlite3.connect(self.dir / "db")
            database.executescript(self.schema.read_text())
            database.close()
            for origin, path, primary in o.zones:
                if primary:
                    self.util("create-secondary-zone", origin, f"{primary.host}:{primary.port}")
                    continue
                self.util("load-zone", origin, str(path))
                self.util("set-kind", origin, "primary")
                if o.signed:
                    self.util("import-tsig-key", KEY, "hmac-sha256", SECRET_TEXT)
                    self.util("set-meta", origin, "TSIG-ALLOW-DNSUPDATE", KEY)
                if o.notify:
                    self.util("set-meta", origin, "ALSO-NOTIFY", f"{o.notify.host}:{o.notify.port}")
                    self.util("set-meta", origin, "NOTIFY-DNSUPDATE", "1")
        else:
            self.util("create-bind-db", str(self.dir / "dnssec"))
            for origin, path, _ in o.zones:
                head = pathlib.Path(path).open().read(4096)
                if "RRSIG" not in head:
                    continue
                self.util("set-presigned", origin)
                if "NSEC3PARAM" in head:
                    self.util("set-nsec3", origin, "1 0 0 -")

    def util(self, *args):
        subprocess.run(["/usr/bin/pdnsutil", "--config-dir", str(self.dir), *args], capture_output=True, check=True)

    def start(self):
        self.spawn(["/usr/sbin/pdns_server", "--config-dir=" + str(self.dir), "--daemon=no", "--guardian=no"])


class Floor(Base):
    """No server: Tandem's worker sends back what comes. What an answer costs above it is the server's."""
    kind = "floor"

    def configure(self):
        pass

    def start(self):
        self.spawn([PROGRAMS / "bench_udp_floor", self.at])
        harness.wait_until(lambda: "ready" in self.log(), 5, "the echo")


KINDS = {c.kind: c for c in (Tandem, Knot, Nsd, Bind, Pdns, Floor)}
ORIGIN = data.ORIGIN
