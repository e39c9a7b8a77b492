"""Lookups without end, as a stub resolver makes them."""
import threading
import time

import dns.exception
import dns.message
import dns.query
import dns.rcode


class Load:
    """Threads that look a name up again and again, and count what is not answered as it should be. `tries`: how often a question is
    sent, as a stub does: unbound gives up on answers that took it 1.9 s (its discard-timeout), and waits to be asked again."""

    def __init__(self, server, name="www.steady.example", threads=1, timeout=10.0, tries=1, tcp_every=20):
        self.server, self.name, self.timeout, self.tries, self.tcp_every = server, name, timeout, tries, tcp_every
        self.count, self.failures, self.longest_s = 0, [], 0.0
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for t in self.threads:
            t.join()

    def once(self, n):
        q = dns.message.make_query(self.name, "A", use_edns=0)
        send = dns.query.tcp if self.tcp_every and n % self.tcp_every == 0 else dns.query.udp
        began = time.monotonic()
        for _ in range(self.tries):
            try:
                r = send(q, self.server.host, port=self.server.port, timeout=self.timeout)
                what = None if r.rcode() == 0 and r.answer else f"{dns.rcode.to_text(r.rcode())} {len(r.answer)}"
                break
            except dns.exception.Timeout as e:
                what = repr(e)
            except Exception as e:  # whatever it is, the lookup failed
                what = repr(e)
                break
        took = time.monotonic() - began
        with self.lock:
            self.count += 1
            self.longest_s = max(self.longest_s, took)
            if what:
                self.failures.append((time.strftime("%H:%M:%S"), send.__name__, what))

    def run(self):
        n = 0
        while not self.done.is_set():
            n += 1
            self.once(n)

    def check(self):
        """None may have failed; what there is to tell of them."""
        assert self.count > 20
        assert not self.failures, f"{len(self.failures)} of {self.count} failed: {self.failures[:5]}"
        return f"{self.count} lookups, none failed, the longest took {self.longest_s * 1000:.0f} ms"
