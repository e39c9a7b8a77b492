"""Programs from Debian that change zones by RFC 2136 on their own: ACME clients with a private authority, Kea's DHCP-DDNS, Net::DNS."""
import json
import os
import socket
import struct
import subprocess
import sys

import dns.rcode

from harness import SECRET, Server, free_port, wait_until
from test_update import ACME, ALL, ZONE, primary, texts

DOMAIN = f"www.{ZONE}".rstrip(".")


class Pebble(Server):
    """An ACME authority that asks our server for challenges."""
    name = "pebble"

    def __init__(self, directory, resolver):
        super().__init__(directory)
        self.resolver = resolver
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], cwd=self.dir, check=True, capture_output=True)
        (self.dir / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{free_port()}", "certificate": "cert.pem",
            "privateKey": "key.pem", "httpPort": free_port(), "tlsPort": free_port(), "ocspResponderURL": "", "externalAccountBindingRequired": False}}))

    def start(self):
        self.spawn(["/usr/bin/pebble", "-config", "pebble.json", "-dnsserver", f"127.0.0.1:{self.resolver.port}"],
                   env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(listens, what="pebble")
        return self


def test_lego_gets_a_certificate(lab, tmp_path):
    t = primary(lab)
    ca = lab.add(Pebble, "pebble", t).start()
    env = {**os.environ, "LEGO_CA_CERTIFICATES": str(ca.dir / "cert.pem"), "RFC2136_NAMESERVER": f"127.0.0.1:{t.port}", "RFC2136_TSIG_KEY": ACME,
           "RFC2136_TSIG_SECRET": SECRET, "RFC2136_TSIG_ALGORITHM": "hmac-sha256.", "RFC2136_TTL": "60", "RFC2136_POLLING_INTERVAL": "1"}
    for domains in (["-d", DOMAIN], ["-d", f"*.{DOMAIN}", "-d", DOMAIN]):  # the second has two challenges at one name
        r = subprocess.run(["/usr/bin/lego", "--server", f"https://127.0.0.1:{ca.port}/dir", "--accept-tos", "--email", "a@example.net", "--path",
                            str(tmp_path / "lego"), "--dns", "rfc2136", "--dns.resolvers", f"127.0.0.1:{t.port}", "--dns.disable-cp", *domains, "run"],
                           env=env, capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, r.stdout + r.stderr + t.log()[-1500:]
    assert "update-done" in t.log() and f"author={ACME}" in t.log()
    assert texts(t, f"_acme-challenge.{DOMAIN}") == []  # tidied up


def test_certbots_plugin(lab):
    t = primary(lab)
    script = ("import sys, dns.tsig\nfrom certbot_dns_rfc2136._internal.dns_rfc2136 import _RFC2136Client as Client\n"
              "c = Client('127.0.0.1', int(sys.argv[1]), sys.argv[2], sys.argv[3], dns.tsig.HMAC_SHA256)\n"
              "getattr(c, sys.argv[4])(*sys.argv[5:7], *([60] if sys.argv[4] == 'add_txt_record' else []))\n")
    run = lambda *args: subprocess.run([sys.executable, "-c", script, str(t.port), ACME, SECRET, *args], capture_output=True, text=True, timeout=60)
    name = f"_acme-challenge.{DOMAIN}"
    for value in ("first", "second"):
        r = run("add_txt_record", name, value)
        assert r.returncode == 0, r.stderr
    assert texts(t, name) == ["first", "second"]
    assert run("del_txt_record", name, "first").returncode == 0
    assert texts(t, name) == ["second"]
    r = run("add_txt_record", DOMAIN, "x")
    assert r.returncode != 0 and "REFUSED" in r.stderr


class Kea(Server):
    """kea-dhcp-ddns, which is told of leases by name change requests over UDP."""
    name = "kea"

    def __init__(self, directory, server):
        super().__init__(directory)
        to = {"dns-servers": [{"ip-address": server.host, "port": server.port}], "key-name": ALL.rstrip(".")}
        (self.dir / "kea.json").write_text(json.dumps({"DhcpDdns": {
            "ip-address": "127.0.0.1", "port": self.port, "dns-server-timeout": 2000,
            "control-socket": {"socket-type": "unix", "socket-name": f"{self.dir}/sock"},
            "tsig-keys": [{"name": ALL.rstrip("."), "algorithm": "HMAC-SHA256", "secret": SECRET}],
            "forward-ddns": {"ddns-domains": [{"name": ZONE, **to}]}, "reverse-ddns": {"ddns-domains": []},
            "loggers": [{"name": "kea-dhcp-ddns", "output_options": [{"output": "stderr"}], "severity": "DEBUG", "debuglevel": 40}]}}))

    def start(self):
        self.spawn(["/usr/sbin/kea-dhcp-ddns", "-c", self.dir / "kea.json"],
                   env={**os.environ, "KEA_PIDFILE_DIR": str(self.dir), "KEA_LOCKFILE_DIR": str(self.dir)})
        wait_until(lambda: "DHCP_DDNS_QUEUE_MGR_STARTED" in self.log(), what="kea to listen")  # it says that it is started before that
        return self

    def change(self, kind, host, address, dhcid):
        text = json.dumps({"change-type": kind, "forward-change": True, "reverse-change": False, "fqdn": f"{host}.{ZONE}", "ip-address": address,
                           "dhcid": dhcid, "lease-expires-on": "20380101000000", "lease-length": 1300, "use-conflict-resolution": True}).encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(struct.pack("!H", len(text)) + text, (self.host, self.port))


def test_kea_keeps_leases(lab):
    """Its prerequisites (name not in use, DHCID value dependent) steer it by YXDOMAIN and NXRRSET."""
    t = primary(lab)
    kea = lab.add(Kea, "kea", t).start()
    kea.change(0, "laptop", "192.0.2.10", "000101AABBCC")
    wait_until(lambda: texts(t, f"laptop.{ZONE}", "A") == ["192.0.2.10"], what="the lease to be written")
    kea.change(0, "laptop", "192.0.2.11", "000101AABBCC")  # the same client with another address
    wait_until(lambda: texts(t, f"laptop.{ZONE}", "A") == ["192.0.2.11"], what="the address to change")
    kea.change(0, "laptop", "192.0.2.66", "000101DDEEFF")  # another client wants the name
    wait_until(lambda: "DHCP_DDNS_FORWARD_ADD_REJECTED" in kea.log() or "DHCP_DDNS_ADD_FAILED" in kea.log(), what="the rejection")
    assert texts(t, f"laptop.{ZONE}", "A") == ["192.0.2.11"]
    kea.change(1, "laptop", "192.0.2.11", "000101AABBCC")
    wait_until(lambda: t.ask(f"laptop.{ZONE}").rcode() == dns.rcode.NXDOMAIN, what="the lease to go")


def test_net_dns(lab):
    t = primary(lab)
    script = f"""
use Net::DNS;
my $r = Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => {t.port}, recurse => 0);
sub send_it {{ my $u = Net::DNS::Update->new('{ZONE}'); $u->push(@$_) for @_; $u->sign_tsig('{t.dir}/key'); my $a = $r->send($u); print $a->header->rcode, "\\n"; }}
send_it([prereq => nxdomain('p.{ZONE}')], [update => rr_add('p.{ZONE} 60 A 192.0.2.1')], [update => rr_add('p.{ZONE} 60 TXT "x y"')]);
send_it([prereq => nxdomain('p.{ZONE}')], [update => rr_add('p.{ZONE} 60 A 192.0.2.2')]);
send_it([prereq => yxdomain('p.{ZONE}')], [prereq => yxrrset('p.{ZONE} A 192.0.2.1')], [prereq => nxrrset('p.{ZONE} MX')], [update => rr_del('p.{ZONE} A 192.0.2.1')]);
send_it([prereq => yxrrset('p.{ZONE} A')], [update => rr_del('p.{ZONE}')]);
send_it([update => rr_del('p.{ZONE} TXT')]);
"""
    t.file("key", f'key "{ALL}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
    r = subprocess.run(["/usr/bin/perl", "-e", script], capture_output=True, text=True, timeout=60)
    assert r.stdout.split() == ["NOERROR", "YXDOMAIN", "NOERROR", "NXRRSET", "NOERROR"], r.stdout + r.stderr
    assert t.ask(f"p.{ZONE}").rcode() == dns.rcode.NXDOMAIN
