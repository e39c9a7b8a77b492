"""NOTIFY is not lost: not by a restart, and not by a batch of many zones."""
import select
import socket

import dns.flags
import dns.message
import dns.opcode

from harness import LOOPBACK, simple_zone, wait_until


class Listener:
    """A secondary that takes NOTIFY and does nothing else."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.socket.settimeout(20)
        self.at = f"{LOOPBACK}@{self.socket.getsockname()[1]}"

    def answer_all(self):
        """What has come."""
        while select.select([self.socket], [], [], 0)[0]:
            self.next()

    def next(self, answer=True):
        """(zone, serial) of the next NOTIFY."""
        wire, client = self.socket.recvfrom(4096)
        m = dns.message.from_wire(wire)
        assert m.opcode() == dns.opcode.NOTIFY
        if answer:
            r = dns.message.make_response(m)
            self.socket.sendto(r.to_wire(), client)
        return m.question[0].name.to_text(), m.answer[0][0].serial


def primary(lab, at):
    t = lab.tandem("t", {"peers": [{"name": "ns2", "address": at}],
                         "zones": [{"name": "example.com", "role": "primary", "file": "zone0", "notify": ["ns2"], "transfer": ["ns2"]}]})
    t.put(0, simple_zone("example.com.", 1))
    return t


def test_killed_between_commit_and_notify(lab):
    peer = Listener()
    t = primary(lab, peer.at)
    t.start()
    assert peer.next() == ("example.com.", 1)
    wait_until(lambda: t.status("example.com")["notify-pending"] == 0)
    t.put(0, simple_zone("example.com.", 2))
    t.reload()
    assert t.serial("example.com") == 2
    t.kill()  # whether or not a NOTIFY went out: nobody answered it
    t.start()
    while peer.next(answer=False)[1] != 2 or t.status("example.com")["notify-pending"] != 1:
        pass

    def settled():
        peer.answer_all()
        return t.status("example.com")["notify-pending"] == 0
    wait_until(settled, what="the NOTIFY to be taken")


def test_told_at_start_and_at_once_when_changed(lab):
    peer = Listener()
    t = primary(lab, peer.at)
    for serial in (1, 2, 3):
        t.put(0, simple_zone("example.com.", serial))
        t.start()  # also when nothing but time has passed
        while (told := peer.next()) != ("example.com.", serial):
            assert told[1] < serial, "only what was said twice, as it may"
        t.stop()
