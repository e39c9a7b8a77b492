"""A primary for bench.py: it has every transfer ready as octets, so that what is measured is the secondary. One zone of hosts with one
address each; a change gives some of them another address."""
import random
import socket
import struct
import threading

import data

MESSAGE_BYTES = 16000


class Primary:
    def __init__(self, origin, names, host="127.0.0.1"):
        self.origin, self.names, self.serial, self.made = origin, names, 1, 1  # changes up to `made` are ready
        self.addresses = [data.address(i) for i in range(names)]
        self.steps = {}  # serial -> the records of the change that follows it
        self.answers = {}  # serial -> the IXFR of that change alone
        self.sent = 0  # octets of answers over TCP
        self.kinds = []  # what was asked for over TCP
        self.rng = random.Random(data.SEED)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.bind((host, 0))
            try:
                self.udp.bind(self.tcp.getsockname())
                break
            except OSError:
                self.tcp.close()
        self.host, self.port = self.tcp.getsockname()
        self.tcp.listen(64)
        self.whole = None
        for f in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=f, daemon=True).start()

    @property
    def at(self):
        return f"{self.host}@{self.port}"

    def close(self):
        self.udp.close()
        self.tcp.close()

    # ---- content ----

    def make_whole(self):
        """The zone as messages without ids, made before it is asked for."""
        self.serial = self.made
        soa = data.soa_record(self.serial)
        records = [soa, data.record("", data.NS, b"\x03ns1\xc0\x0c"), data.record("ns1", data.A, b"\xc0\0\2\1")]
        records += [data.record(f"host{i}", data.A, struct.pack("!I", a)) for i, a in enumerate(self.addresses)]
        records.append(soa)
        self.whole = (self.serial, self.messages(252, records))
        return len(records) - 1

    def messages(self, qtype, records):
        made, size, first = [], 0, 0
        for i, r in enumerate(records):
            if size + len(r) > MESSAGE_BYTES:
                made.append(data.answer(0, self.origin, qtype, b"".join(records[first:i]), i - first))
                size, first = 0, i
            size += len(r)
        made.append(data.answer(0, self.origin, qtype, b"".join(records[first:]), len(records) - first))
        return made

    def make_change(self, count):
        """`count` records go or come, half of them each."""
        old, new = self.made, self.made + 1
        hosts = self.rng.sample(range(self.names), max(count // 2, 1))
        gone = [data.record(f"host{i}", data.A, struct.pack("!I", self.addresses[i])) for i in hosts]
        for i in hosts:
            self.addresses[i] = self.rng.randrange(0x0A000000, 0x0B000000)
        come = [data.record(f"host{i}", data.A, struct.pack("!I", self.addresses[i])) for i in hosts]
        self.steps[old] = [data.soa_record(old), *gone, data.soa_record(new), *come]
        ends = [data.soa_record(new)]
        self.answers[old] = data.answer(0, self.origin, 251, b"".join(ends + self.steps[old] + ends), len(self.steps[old]) + 2)
        self.made = new

    def prepare(self, count, times):
        """Has so many changes ready: making them takes time, and it would be the load generator's."""
        while self.made < self.serial + times:
            self.make_change(count)

    def change(self, count):
        self.prepare(count, 1)
        self.serial += 1

    def notify(self, server):
        message = struct.pack("!HHHHHH", self.serial & 0xFFFF, 0x2400, 1, 1, 0, 0) + data.wire_name(self.origin) + b"\0\6\0\1"
        self.udp.sendto(message + data.soa_record(self.serial), (server.host, server.port))

    # ---- serving ----

    def respond(self, request):
        """Messages that answer a request, with its id still to be put in."""
        at = 12
        while request[at]:
            at += request[at] + 1
        qtype = struct.unpack_from("!H", request, at + 1)[0]
        soa = data.soa_record(self.serial)
        if qtype == 251:
            self.kinds.append("IXFR")
            serial = struct.unpack_from("!I", self.behind_authority(request, at + 5))[0]
            if serial == self.serial - 1 and serial in self.answers:
                return [self.answers[serial]]
            records = [soa]
            while serial in self.steps and serial < self.serial:
                records += self.steps[serial]
                serial += 1
            if serial == self.serial:
                return self.messages(qtype, records + [soa] * (len(records) > 1))
        if qtype in (251, 252):
            self.kinds.append("AXFR")
            if not self.whole or self.whole[0] != self.serial:
                self.make_whole()
            return self.whole[1]
        return [data.answer(0, self.origin, qtype, soa, 1)]

    @staticmethod
    def behind_authority(request, at):
        """The five numbers of the SOA in an IXFR request."""
        while request[at] and request[at] < 0xC0:
            at += request[at] + 1
        at += 2 if request[at] else 1
        size = struct.unpack_from("!H", request, at + 8)[0]
        return request[at + 10 + size - 20:]

    def serve_udp(self):
        while True:
            try:
                request, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if request[2] & 0x80:
                continue
            messages = self.respond(request)
            reply = request[:2] + messages[0][2:]
            if len(messages) > 1 or len(reply) > 1200:  # come by TCP
                reply = request[:2] + data.answer(0, self.origin, 251, data.soa_record(self.serial), 1)[2:]
            self.udp.sendto(reply, client)

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_conn, args=(conn,), daemon=True).start()

    def serve_conn(self, conn):
        with conn, conn.makefile("rb") as f:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    size = f.read(2)
                    if len(size) < 2:
                        return
                    request = f.read(struct.unpack("!H", size)[0])
                    messages = self.respond(request)
                    octets = b"".join(struct.pack("!H", len(m)) + request[:2] + m[2:] for m in messages)
                    self.sent += len(octets)
                    conn.sendall(octets)
                except OSError:
                    return
