"""Version 2 of the wire, from the guest's side. The layout is described in the
bridge package's documentation.

A guest reads acknowledgements only when it may not send, and the host sends no
more of them than there are batches. One that may outlive its host has a thread,
which sees the connection end and looks for the next host: see _watch.
"""
import _thread
import base64
import collections
import json
import os
import select
import socket
import struct
import sys
import threading
import time
import traceback

from . import keep, orphan

PREAMBLE = struct.pack(">IHH", 0xF5435350, 2, 0)
HEADER = struct.Struct(">B3xI")
BATCH = struct.Struct(">QII")

HELLO, TOPIC, BATCH_FRAME, PROGRESS, LOG, END, ERROR = 1, 2, 3, 4, 5, 6, 7
JOB, SOURCE, ACK, RESUME, DURABLE, BYE = 64, 65, 66, 67, 68, 69

# The host refuses JSON frames above 1 MiB.
LONGEST_CONTROL = 1 << 20
LONGEST_TEXT = 64 << 10
# Notes that wait for a host; older ones are lost.
MOST_NOTES = 100

# How long a guest whose host has said goodbye may take to end.
LEAVE_SECONDS = 10
# Between two looks for a host.
RETRY_SECONDS = 0.1


class HostGone(BaseException):
    """The connection to the host has ended for good. A BaseException, so that a
    plugin that catches every Exception does not go on for nobody."""


class Broken(Exception):
    """A connection has ended; there may be another."""


class Job:
    """What the host asks for."""

    def __init__(self, fields, source):
        self.job_id = fields["job_id"]
        self.file_version_id = fields["file_version_id"]
        self.path = os.fsdecode(base64.b64decode(fields["path"]))
        self.plugin = fields["plugin"]
        self.topics = fields["topics"]
        self.window = fields["window"]
        self.slice_rows = fields["slice_rows"]
        self.slice_bytes = fields["slice_bytes"]
        self.frame_bytes = fields["frame_bytes"]
        self.learn = fields["learn"]
        self.source = source
        # How the plugin's source is called in tracebacks.
        self.filename = "<plugin %s>" % (self.plugin or "without a name")


class _Pipe:
    """A Windows named pipe with the methods of a socket that are needed."""

    def __init__(self, path):
        self._file = open(path, "r+b", buffering=0)

    def recv_into(self, view):
        return self._file.readinto(view) or 0

    def sendall(self, data):
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self._file.write(view):]

    def close(self):
        self._file.close()


def dial(address):
    """Connect. The descriptor is close-on-exec and above 2."""
    if sys.platform == "win32":
        return _Pipe(address)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(address)
    except OSError:
        channel.close()
        raise
    return channel


def exactly(channel, length):
    buffer = bytearray(length)
    view = memoryview(buffer)
    while len(view):
        received = channel.recv_into(view)
        if received == 0:
            raise Broken
        view = view[received:]
    return bytes(buffer)


def read_frame(channel):
    kind, length = HEADER.unpack(exactly(channel, HEADER.size))
    return kind, exactly(channel, length)


def write_control(channel, kind, fields):
    body = json.dumps(fields).encode("ascii")
    channel.sendall(HEADER.pack(kind, len(body)) + body)


class Connection:
    """The way to the host, and everything that a next host would have to be told."""

    def __init__(self, address, token):
        self._address, self._token = address, token
        # Whoever changes what follows, or uses the channel, has the turn: a plugin may
        # publish from its own threads.
        self._turn = threading.Condition(threading.RLock())
        self._owner = os.getpid()
        self._patience = 0  # seconds to wait for another host
        self._gone = False  # the plugin was told that there is no host any more
        self._dismissed = False  # the host said goodbye
        self._window = 1
        self._acknowledged = 0
        # What there is to tell, and how much of it this host was told.
        self._kept, self._sent, self._next, self._rows = keep.Keep(), 0, 1, 0
        self._topics, self._told = [], 0
        self._notes = collections.deque(maxlen=MOST_NOTES)
        self._last, self._over = None, False
        try:
            self._channel = dial(address)  # None while there is no host
        except OSError as error:
            sys.exit("casparian guest: cannot connect to the host: %s" % error)
        if hasattr(os, "register_at_fork"):
            # A forked child must neither write here nor hold the connection open.
            os.register_at_fork(after_in_child=self._forked)
        try:
            self._hello(self._channel)
        except (OSError, Broken):
            self._leave()

    def _forked(self):
        if self._channel is not None:
            self._channel.close()
        self._turn = threading.Condition(threading.RLock())

    def _hello(self, channel, resume=None):
        fields = {"token": self._token, "pid": self._owner, "python": "%d.%d.%d" % sys.version_info[:3]}
        if resume:
            fields["resume"] = resume
        channel.sendall(PREAMBLE)
        write_control(channel, HELLO, fields)

    def receive_job(self):
        try:
            kind, body = read_frame(self._channel)
            source_kind, source = read_frame(self._channel)
        except (OSError, Broken):
            self._leave()
        if (kind, source_kind) != (JOB, SOURCE):
            raise RuntimeError("the host sent frame types %d and %d in place of a job" % (kind, source_kind))
        fields = json.loads(body)
        self._window = fields["window"]
        if fields.get("patience_ms"):
            self._be_patient(fields)
        return Job(fields, source)

    # Reading, with the turn.

    def _listen(self, channel):
        """Read one frame."""
        kind, body = read_frame(channel)
        if kind == ACK:
            (self._acknowledged,) = struct.unpack(">Q", body)
        elif kind == DURABLE:
            self._kept.let_go(min(struct.unpack(">Q", body)[0], self._next - 1))
        elif kind == BYE:
            self._dismissed = True
            raise Broken
        else:
            raise RuntimeError("the host sent frame type %d" % kind)

    def wait_closed(self):
        """After the last frame the host says goodbye, or at least closes the connection.
        A guest that left earlier could take unread frames of the host's with it."""
        with self._turn:
            try:
                while True:
                    self._bring()
                    channel = self._channel
                    try:
                        self._listen(channel)
                    except (OSError, Broken):
                        self._broke(channel)
            except HostGone:
                pass

    # Writing, with the turn.

    def _bring(self):
        """Bring the host up to date. Without one it is for later, as far as the window
        allows."""
        if self._owner != os.getpid():
            raise RuntimeError("only the plugin's own process can publish, not one that it forked: "
                               "return the data to the parent and publish it there")
        while True:
            if self._dismissed:
                self._leave()
            channel = self._channel
            if channel is None:
                if self._last is None and self._sent - self._acknowledged < self._window:
                    return
                self._turn.wait()
                continue
            try:
                return self._push(channel)
            except (OSError, Broken):
                self._broke(channel)

    def _push(self, channel):
        """Send what this host was not told yet."""
        while self._told < len(self._topics):
            write_control(channel, TOPIC, self._topics[self._told])
            self._told += 1
        while self._next <= self._sent:
            while self._next - 1 - self._acknowledged >= self._window:
                self._listen(channel)
            topic_id, stream = self._kept.get(self._next)
            channel.sendall(HEADER.pack(BATCH_FRAME, BATCH.size + len(stream)) + BATCH.pack(self._next, topic_id, 0))
            channel.sendall(stream)
            self._next += 1
        while self._notes:
            write_control(channel, *self._notes[0])
            self._notes.popleft()
        if self._last is not None and not self._over:
            write_control(channel, *self._last)
            self._over = True

    def _broke(self, channel):
        """The channel has ended. What the host said before is still there to be read."""
        try:
            while True:
                self._listen(channel)
        except (OSError, Broken):
            pass
        if self._dismissed or not self._patience:
            self._leave()
        if self._channel is channel:
            self._channel = None  # it is closed by whoever watches it

    def _leave(self):
        if self._gone:
            # The plugin has caught it once and goes on.
            os._exit(75)
        self._gone = True
        raise HostGone("the host has closed the connection")

    def send_topic(self, name, default_uri):
        with self._turn:
            topic_id = len(self._topics) + 1
            self._topics.append({"id": topic_id, "name": name, "default_uri": default_uri or ""})
            self._bring()
            return topic_id

    def send_batch(self, topic_id, rows, stream):
        """Send one batch, as soon as the window allows."""
        with self._turn:
            serial = self._sent + 1
            self._kept.add(serial, topic_id, stream, self._next - 1)
            self._sent = serial
            self._rows += rows
            self._bring()
            self._kept.give_back(self._next - 1)

    def _note(self, kind, fields):
        with self._turn:
            self._notes.append((kind, fields))
            self._bring()

    def send_progress(self, note):
        self._note(PROGRESS, {"note": str(note)[:LONGEST_TEXT]})

    def send_log(self, message):
        self._note(LOG, {"message": str(message)[:LONGEST_TEXT]})

    def send_end(self, imports):
        with self._turn:
            self._last = END, {"batches": self._sent, "rows": self._rows, "imports": imports}
            self._bring()

    def send_error(self, kind, message, trace):
        fields = {"type": kind[:200], "message": message, "traceback": trace}
        # Of a long traceback the end says most.
        limit = LONGEST_CONTROL // 2
        while len(json.dumps(fields)) > LONGEST_CONTROL:
            fields["message"], fields["traceback"] = message[:limit // 4], trace[-limit:]
            limit //= 2
        with self._turn:
            self._last = ERROR, fields
            self._bring()

    # Without a host. Linux only: elsewhere a host never asks for patience.

    def _be_patient(self, fields):
        self._patience = fields["patience_ms"] / 1000
        self._kept = keep.Keep(fields["keep_memory"], fields["keep_disk"],
                               os.fsdecode(base64.b64decode(fields["folder"])), fields["keep_late_ms"] / 1000,
                               fields["keep_little"])
        self._output = orphan.Output()
        self._marker = os.environ.get("CASPARIAN_GUEST", "")
        _thread.start_new_thread(self._watch, ())  # nothing that the plugin would count

    def _watch(self):
        """Look for another host whenever there is none, and end the guest when none
        comes. A thread of its own, since the plugin may compute for hours."""
        channel = self._channel
        while True:
            self._await_end(channel)
            # The turn may belong to somebody who waits for room in the pipe.
            while not self._turn.acquire(timeout=RETRY_SECONDS):
                self._output.drop()
            try:
                # What the plugin's thread was told already ends here, too: a second time it
                # would end the process in the middle of its last functions.
                if self._channel is channel and not self._dismissed:
                    try:
                        self._broke(channel)
                    except HostGone:
                        self._gone = False  # the plugin was not told
                found = None if self._dismissed else self._find_host(channel)
            except BaseException:
                traceback.print_exc()
                found = None
            finally:
                self._turn.notify_all()
                self._turn.release()
            if found is None:
                if self._dismissed:
                    time.sleep(LEAVE_SECONDS)  # the process mostly ends meanwhile
                orphan.end(self._marker)
            channel = found

    def _await_end(self, channel):
        poll = select.poll()
        poll.register(channel, select.POLLRDHUP)
        while self._channel is channel and not self._dismissed and not poll.poll(1000):
            pass

    def _find_host(self, old):
        """The channel to the next host, which is up to date; None when none came."""
        old.close()
        self._channel = None
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            self._output.drop()
            channel, resumed = None, False
            try:
                channel = dial(self._address)
                channel.settimeout(self._patience)
                self._resume(channel)
                resumed = True
                channel.settimeout(None)
                self._push(channel)
                self._channel = channel
                return channel
            except (OSError, Broken):
                if channel is not None:
                    channel.close()
                if self._dismissed:
                    return None
                if resumed:  # and died, too
                    deadline = time.monotonic() + self._patience
            self._turn.notify_all()
            self._turn.wait(RETRY_SECONDS)
        return None

    def _resume(self, channel):
        """Agree with a host on where to go on."""
        self._hello(channel, {"kept": self._kept.first, "sent": self._sent, "output": self._output.descriptor})
        kind, body = read_frame(channel)
        if kind != RESUME:
            raise Broken
        taken = json.loads(body)["batches"]
        if not self._kept.first <= taken + 1 <= self._sent + 1:
            raise RuntimeError("the host wants to go on behind batch %d, batches %d to %d are here"
                               % (taken, self._kept.first, self._sent))
        self._kept.let_go(taken)
        self._acknowledged, self._next, self._told, self._over = taken, taken + 1, 0, False
        note = self._output.take_note()
        if note:
            self._notes.append((LOG, {"message": note}))
