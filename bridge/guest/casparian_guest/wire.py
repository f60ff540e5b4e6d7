"""Version 2 of the wire, from the guest's side. The layout is described in the
bridge package's documentation.

There is no thread here: a guest reads acknowledgements only when it may not
send, and the host sends no more of them than there are batches.
"""
import base64
import json
import os
import socket
import struct
import sys
import threading

PREAMBLE = struct.pack(">IHH", 0xF5435350, 2, 0)
HEADER = struct.Struct(">B3xI")
BATCH = struct.Struct(">QII")

HELLO, TOPIC, BATCH_FRAME, PROGRESS, LOG, END, ERROR = 1, 2, 3, 4, 5, 6, 7
JOB, SOURCE, ACK = 64, 65, 66

# The host refuses JSON frames above 1 MiB.
LONGEST_CONTROL = 1 << 20
LONGEST_TEXT = 64 << 10


class HostGone(BaseException):
    """The connection to the host has ended. A BaseException, so that a plugin
    that catches every Exception does not go on for nobody."""


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
    """A Windows named pipe with the two methods of a socket that are needed."""

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


def connect(address, token):
    """Connect and say hello. The descriptor is close-on-exec and above 2."""
    try:
        if sys.platform == "win32":
            channel = _Pipe(address)
        else:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.connect(address)
    except OSError as error:
        sys.exit("casparian guest: cannot connect to the host: %s" % error)
    return Connection(channel, token)


class Connection:
    def __init__(self, channel, token):
        self._channel = channel
        self._lock = threading.RLock()  # a plugin may publish from its own threads
        self._owner = os.getpid()
        self._gone = False
        self._window = 1
        self._sent = 0
        self._acknowledged = 0
        self._rows = 0
        self._topics = 0
        if hasattr(os, "register_at_fork"):
            # A forked child must neither write here nor hold the connection open.
            os.register_at_fork(after_in_child=self._forked)
        self._raw(PREAMBLE)
        self._control(HELLO, {
            "token": token,
            "pid": self._owner,
            "python": "%d.%d.%d" % sys.version_info[:3],
        })

    def _forked(self):
        self._channel.close()
        self._lock = threading.RLock()

    # Reading.

    def receive_job(self):
        fields = json.loads(self._expect(JOB))
        source = self._expect(SOURCE)
        self._window = fields["window"]
        return Job(fields, source)

    def _expect(self, wanted):
        kind, body = self._frame()
        if kind != wanted:
            raise RuntimeError("the host sent frame type %d in place of %d" % (kind, wanted))
        return body

    def _frame(self):
        kind, length = HEADER.unpack(self._exactly(HEADER.size))
        return kind, self._exactly(length)

    def _exactly(self, length):
        buffer = bytearray(length)
        view = memoryview(buffer)
        while len(view):
            try:
                received = self._channel.recv_into(view)
            except OSError:
                received = 0
            if received == 0:
                self._lost()
            view = view[received:]
        return bytes(buffer)

    def _lost(self):
        if self._gone:
            # The plugin has caught it once and goes on.
            os._exit(75)
        self._gone = True
        raise HostGone("the host has closed the connection")

    def wait_closed(self):
        """After the last frame the host closes the connection. A guest that left
        earlier could take unread frames of the host's with it."""
        try:
            while True:
                self._frame()
        except HostGone:
            pass
        self._channel.close()

    # Writing.

    def _raw(self, *parts):
        if self._owner != os.getpid():
            raise RuntimeError("only the plugin's own process can publish, not one that it forked: "
                               "return the data to the parent and publish it there")
        try:
            for part in parts:
                self._channel.sendall(part)
        except OSError:
            self._lost()

    def _control(self, kind, fields):
        body = json.dumps(fields).encode("ascii")
        with self._lock:
            self._raw(HEADER.pack(kind, len(body)), body)

    def send_topic(self, name, default_uri):
        with self._lock:
            self._topics += 1
            self._control(TOPIC, {"id": self._topics, "name": name, "default_uri": default_uri or ""})
            return self._topics

    def send_batch(self, topic_id, rows, stream):
        """Send one batch, as soon as the window allows."""
        with self._lock:
            while self._sent - self._acknowledged >= self._window:
                (self._acknowledged,) = struct.unpack(">Q", self._expect(ACK))
            self._raw(
                HEADER.pack(BATCH_FRAME, BATCH.size + len(stream))
                + BATCH.pack(self._sent + 1, topic_id, 0),
                stream,
            )
            self._sent += 1
            self._rows += rows

    def send_progress(self, note):
        self._control(PROGRESS, {"note": str(note)[:LONGEST_TEXT]})

    def send_log(self, message):
        self._control(LOG, {"message": str(message)[:LONGEST_TEXT]})

    def send_end(self, imports):
        with self._lock:
            self._control(END, {"batches": self._sent, "rows": self._rows, "imports": imports})

    def send_error(self, kind, message, trace):
        fields = {"type": kind[:200], "message": message, "traceback": trace}
        # Of a long traceback the end says most.
        limit = LONGEST_CONTROL // 2
        while len(json.dumps(fields)) > LONGEST_CONTROL:
            fields["message"], fields["traceback"] = message[:limit // 4], trace[-limit:]
            limit //= 2
        self._control(ERROR, fields)
