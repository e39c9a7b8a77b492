"""Network namespaces made by the test: each server in one of its own, joined by a cable (veth) to the middle, where the test itself is
and which forwards between them. All of it is gone when the last process in it is."""
import ctypes
import os
import pathlib
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
NOBODY = "02:00:00:00:de:ad"  # an address that nothing on the cable has
libc = ctypes.CDLL(None, use_errno=True)


def namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Place:
    """A namespace with one end of a cable; `with place:` starts processes there."""

    def __init__(self, number, middle):
        self.ours, self.theirs = f"mid{number}", f"srv{number}"
        self.gateway, self.host = f"10.53.{number}.1", f"10.53.{number}.2"
        self.middle = middle
        self.is_silent = False
        libc.unshare(CLONE_NEWNET)
        self.fd = namespace()
        enter(middle)
        ip("link", "add", "name", self.ours, "type", "veth", "peer", "name", self.theirs)
        ip("link", "set", self.theirs, "netns", f"/proc/{os.getpid()}/fd/{self.fd}")
        ip("addr", "add", f"{self.gateway}/24", "dev", self.ours)
        ip("link", "set", self.ours, "up")
        with self:
            ip("link", "set", "lo", "up")
            ip("addr", "add", f"{self.host}/24", "dev", self.theirs)
            ip("link", "set", self.theirs, "up")
            ip("route", "add", "default", "via", self.gateway)

    def __enter__(self):
        enter(self.fd)

    def __exit__(self, *_):
        enter(self.middle)

    def silence(self, silent=True):
        """Both ends of the cable believe the other to have NOBODY's address: whatever is sent is lost, and no one is told so."""
        if silent == self.is_silent:
            return
        words = ["replace", "lladdr", NOBODY, "nud", "permanent"] if silent else ["del"]
        ip("neigh", words[0], self.host, *words[1:], "dev", self.ours)
        with self:
            ip("neigh", words[0], self.gateway, *words[1:], "dev", self.theirs)
        self.is_silent = silent


class Network:
    def __init__(self):
        self.before = namespace()
        if libc.unshare(CLONE_NEWNET) != 0:
            os.close(self.before)
            pytest.skip("network namespaces are not permitted here")
        self.middle, self.places = namespace(), []

    def place(self):
        try:
            if not self.places:
                ip("link", "set", "lo", "up")
                pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
            self.places.append(Place(len(self.places), self.middle))
        except (OSError, subprocess.CalledProcessError) as e:
            pytest.skip(f"no network namespaces here: {e}")
        return self.places[-1]

    def close(self):
        enter(self.before)
        for fd in [self.before, self.middle] + [p.fd for p in self.places]:
            os.close(fd)
