"""Small file systems, and how they get full."""
import contextlib
import ctypes
import os

import pytest

CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 1 << 18, 2


class SmallDisks:
    """Makes file systems of some octets at directories, in a mount namespace of this process alone."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        if os.geteuid() != 0 or self.libc.unshare(CLONE_NEWNS) != 0:
            pytest.skip("needs root and a mount namespace")
        self.libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        self.mounted = []

    def __call__(self, directory, size):
        directory.mkdir(parents=True, exist_ok=True)
        if self.libc.mount(b"none", str(directory).encode(), b"tmpfs", 0, f"size={size},mode=700".encode()) != 0:
            pytest.skip("may not mount a tmpfs")
        self.mounted.append(directory)
        return directory

    def close(self):
        for directory in self.mounted:
            self.libc.umount2(str(directory).encode(), MNT_DETACH)


def fill(directory):
    """Leaves no octet free; returns the file to delete."""
    path = directory / "filler"
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"x" * size)
    return path
