"""Pages that forks write to. Linux only.

A page of memory that a fork writes to is copied for it first. Each costs a fault of
its own, and small jobs spend a quarter of their time on that: CPython writes to each
object that it as much as looks at. Most of these pages are the same in every fork,
since all begin with the same work. So the first fork says which it wrote to, and
those after it have them copied in one call, for two thirds of the time.
"""
import ctypes
import os
import sys

SIZE = os.sysconf("SC_PAGESIZE")
# Of an entry of /proc/self/pagemap, a u64, the most significant byte.
TOP = 7 if sys.byteorder == "little" else 0
PRESENT, OF_FILE, EXCLUSIVE = 0x80, 0x20, 0x01
OWN = bytes(top & (PRESENT | OF_FILE | EXCLUSIVE) == PRESENT | EXCLUSIVE for top in range(256))

PROCESS_MADVISE = 440  # the system call's number on every architecture
PIDFD_SELF_PROCESS = -10001
MADV_POPULATE_WRITE = 23
MOST_RANGES = 1024  # in one call


def areas():
    """Where this process has private memory that it may write to, as (start, end)."""
    found = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            area, rights = line.split()[:2]
            if rights == "rw-p":
                found.append(tuple(int(address, 16) for address in area.split("-")))
    return found


def written(areas):
    """The pages there that this fork no longer shares with its parent, as a list of
    (start, length) in bytes. Empty where the system does not tell."""
    found = []
    try:
        pagemap = open("/proc/self/pagemap", "rb", buffering=0)
    except OSError:
        return found
    with pagemap:
        for start, end in areas:
            pagemap.seek(start // SIZE * 8)
            own = pagemap.read((end - start) // SIZE * 8)[TOP::8].translate(OWN)
            first = own.find(1)
            while first >= 0:
                behind = own.find(0, first)
                if behind < 0:
                    behind = len(own)
                found.append((start + first * SIZE, (behind - first) * SIZE))
                first = own.find(1, behind)
    return found


class _Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Copier:
    """Copies pages for the fork that calls it, before it writes to them. A kernel
    before 6.15 refuses; there, as when a page is gone, what is left is copied as it is
    written to."""

    def __init__(self, ranges):
        ranges = [_Range(*each) for each in ranges[:MOST_RANGES]]
        self._ranges = (_Range * len(ranges))(*ranges)
        self._syscall = ctypes.CDLL(None).syscall
        self._syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint)
        self._syscall.restype = ctypes.c_long
        self._arguments = (PROCESS_MADVISE, PIDFD_SELF_PROCESS, ctypes.addressof(self._ranges), len(ranges),
                           MADV_POPULATE_WRITE, 0)

    def __call__(self):
        """Give the bytes that were copied, or -1."""
        return self._syscall(*self._arguments)


_copier = None  # of the next fork


def copy_in_forks(ranges):
    """Have these pages copied in every fork of this process, though not in forks of
    those."""
    global _copier
    _copier = Copier(ranges)


def _forked():
    global _copier
    copier, _copier = _copier, None
    if copier is not None:
        copier()


# Python calls the first one first, and the others, threading's and logging's for
# example, write to some of these pages.
os.register_at_fork(after_in_child=_forked)
