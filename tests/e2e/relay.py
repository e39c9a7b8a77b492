"""Stands between a secondary and its primary, and counts: UDP and TCP on one port, handed on octet for octet."""
import selectors
import socket
import threading

from harness import LOOPBACK, free_port


class Relay:
    def __init__(self, to_port):
        self.to = (LOOPBACK, to_port)
        self.port = free_port()
        self.at = f"{LOOPBACK}@{self.port}"
        self.connections = self.open = self.most = self.datagrams = 0
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server((LOOPBACK, self.port), backlog=512)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((LOOPBACK, self.port))
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.ways = {}
        self.ended, self.end = socket.socketpair()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(self.udp, selectors.EVENT_READ, self.ask)
        self.selector.register(self.ended, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.end.send(b"x")
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.end.close()

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def accept(self, listener):
        near, _ = listener.accept()
        try:
            far = socket.create_connection(self.to, timeout=5)
        except OSError:
            near.close()
            return
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        for a, b in ((near, far), (far, near)):
            self.selector.register(a, selectors.EVENT_READ, lambda s, other=b: self.copy(s, other))

    def copy(self, one, other):
        try:
            data = one.recv(1 << 16)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self.open -= 1
            for s in (one, other):
                self.selector.unregister(s)
                s.close()

    def ask(self, udp):
        data, client = udp.recvfrom(65535)
        self.datagrams += 1
        way = self.ways.get(client)
        if way is None:
            if len(self.ways) > 500:
                self.drop(next(iter(self.ways)))
            way = self.ways[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            way.connect(self.to)
            self.selector.register(way, selectors.EVENT_READ, lambda s: self.answer(s, client))
        try:
            way.send(data)
        except OSError:
            self.drop(client)

    def answer(self, way, client):
        try:
            self.udp.sendto(way.recv(65535), client)
        except OSError:
            self.drop(client)

    def drop(self, client):
        way = self.ways.pop(client, None)
        if way:
            self.selector.unregister(way)
            way.close()
