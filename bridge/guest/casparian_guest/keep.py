"""Batches that the host has not called durable: what a guest needs in order to go on
with another host."""
import math
import tempfile
import time

# What a batch costs beside its bytes.
OVERHEAD = 256


class Keep:
    """Batches by serial, in memory and then in a file without a name, each to its
    limit. When both are full all that was sent is let go of, and with it the way to
    another host until the host calls later batches durable.

    For its first seconds, early, a guest has little memory, which grows to all of it. One
    that fills it keeps nothing more until they are over: to run again takes no longer,
    and to copy each batch would. The host makes durable what it let go of."""

    def __init__(self, memory=0, disk=0, folder=None, early=math.inf, little=0):
        self._memory, self._disk, self._folder = memory, disk, folder
        self._began, self._early, self._little = time.monotonic(), early, little
        self._passing = False  # batches are let go of as soon as they are sent
        self._batches = {}  # serial: (topic id, bytes, or offset and length in the file)
        self._lent = 0  # serial of the batch whose bytes are the sender's
        self._in_memory = 0  # bytes
        self._in_file = 0  # batches
        self._file, self._end = None, 0
        self.first = 1  # serial of the first batch that is kept, or that will be

    def add(self, serial, topic_id, stream, sent):
        """Take the next batch, whose bytes are the sender's until give_back. Those up to
        sent may be let go of for it."""
        cost = len(stream) + OVERHEAD
        age = time.monotonic() - self._began
        early = age < self._early
        self._passing = self._passing and early
        memory = self._memory
        if early:
            memory = self._little + (memory - self._little) * age / self._early
        if not self._passing and self._in_memory + cost > memory:
            if not early:
                place = self._spill(stream)
                if place is not None:
                    self._batches[serial] = topic_id, place
                    return
            self._passing = early
            self.let_go(sent)
        if self._passing:
            self._lent = serial
        else:
            stream = bytes(stream)
        self._batches[serial] = topic_id, stream
        self._in_memory += cost

    def give_back(self, sent):
        """The sender wants its bytes back: what was sent is let go of."""
        serial, self._lent = self._lent, 0
        if self.first <= serial <= sent:
            self.let_go(serial)
        elif serial in self._batches:
            topic_id, stream = self._batches[serial]
            self._batches[serial] = topic_id, bytes(stream)

    def get(self, serial):
        """Topic id and bytes."""
        topic_id, place = self._batches[serial]
        if isinstance(place, tuple):
            offset, length = place
            self._file.seek(offset)
            place = self._file.read(length)
            if len(place) != length:
                raise RuntimeError("batch %d cannot be read back" % serial)
        return topic_id, place

    def let_go(self, serial):
        """Forget all batches up to serial."""
        while self.first <= serial:
            _, place = self._batches.pop(self.first)
            self.first += 1
            if isinstance(place, tuple):
                self._in_file -= 1
            else:
                self._in_memory -= len(place) + OVERHEAD
        if self._in_file == 0 and self._end > 0:
            self._file.truncate(0)
            self._end = 0

    def _spill(self, stream):
        """Where in the file the bytes are now; None when they do not fit."""
        if self._end + len(stream) > self._disk:
            return None
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)
            self._file.seek(self._end)
            self._file.write(stream)
            self._file.flush()
        except OSError:  # the disk is full, or the folder is gone
            return None
        place = self._end, len(stream)
        self._end += len(stream)
        self._in_file += 1
        return place
