"""A warm interpreter: it has imported what most plugins import, runs no plugin
itself, and is forked for each job. Linux only.

The host speaks to it through one SOCK_SEQPACKET pair, descriptor 3, which no
other process has an end of. What the host says begins with a byte and a u64,
big-endian; each message of the warm interpreter is one JSON object.

    host                                               warm interpreter
                                                       {"ready": {...}} or {"refused": why}
    F n {"address", "token", "marker", ...} and a      {"fork": n, "pid": pid}
        descriptor for the output                      or {"fork": n, "declined": why}
                                                       {"ended": pid, "code": ..., "status": ...}
    R pid

A job that has ended stays a zombie until the host says R: so long nobody else can
get its process id, and the host may kill what it left. When the host closes its
end, the warm interpreter ends.

After a fork each page that either process writes to is copied first, which takes
longer than most of what is done with it. So both take the shortest way there is:
little Python between two forks, and the request is for the fork to read.
"""
import base64
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
import warnings

from . import frames, identity, pages, plugin, publish, session, wire  # noqa: F401

CONTROL = 3
REAP = ord("R")  # whatever else comes is F
REQUEST = struct.Struct(">BQ")
LONGEST = 64 << 10
ONE_DESCRIPTOR = socket.CMSG_SPACE(4)
# What nearly every plugin imports, where it is installed.
USUAL = ("numpy", "pyarrow", "pandas")
SELF_TEST_SECONDS = 30
# CPython specializes code that has run eight times, and writes to it until then.
REHEARSALS = 8

# Compiled, never run.
SAMPLE = b"""
import os
class Handler:
    def consume(self, event):
        with open(event.path) as file:
            yield {"rows": [f"{line}" for line in file], "name": os.path.basename(event.path)}
"""


class Unfit(Exception):
    """This interpreter must not be forked, and why."""


def main(learned):
    control = socket.socket(fileno=CONTROL)
    control.set_inheritable(False)
    try:
        server = Server(control)
        preload(USUAL)
        for _ in range(REHEARSALS):
            rehearse()
        server.prove(learned)
    except Unfit as unfit:
        send(control, {"refused": str(unfit)})
        os._exit(1)
    except BaseException as error:
        traceback.print_exc()
        send(control, {"refused": "%s: %s" % (type(error).__name__, error)})
        os._exit(1)
    server.serve()
    # Nobody is left to fork for.
    os._exit(0)


def send(control, message):
    control.sendall(json.dumps(message).encode("ascii"))


def receive_all(channel, seconds):
    """What the peer sends until it closes its end. Raises socket.timeout."""
    deadline = time.monotonic() + seconds
    parts = []
    while True:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        part = channel.recv(64 << 10)
        if not part:
            return b"".join(parts)
        parts.append(part)


def preload(names):
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                continue
            importlib.import_module(name)
        except Exception as error:
            raise Unfit("import %s: %s: %s" % (name, type(error).__name__, error))


def rehearse():
    """What most jobs do: compile a source, make small frames, convert and encode them.
    Much of the libraries is imported with the first use of it."""
    compile(SAMPLE, "<rehearsal>", "exec", dont_inherit=True)
    pyarrow, pandas = sys.modules.get("pyarrow"), sys.modules.get("pandas")
    if pyarrow is None:
        return
    from . import slices

    samples = [{"a": [1, 2], "b": ["x", None], "c": [0.5, 1.5]}, {"a": range(2), "b": ["x", "y"], "c": [True, False]}]
    if pandas is not None:
        samples += [pandas.DataFrame(columns) for columns in samples]
    encoder = slices.Encoder(1024, 1 << 20, 8 << 20)
    for table in frames.tables(samples):
        for rows, stream in encoder.encode(table):
            assert rows == 2 and len(stream) > 0


def python_threads():
    return len(sys._current_frames())


def native_threads():
    return os.stat("/proc/self/task").st_nlink - 2  # it counts as a folder for each


class Server:
    def __init__(self, control):
        self._control = control
        self._forks = identity.Forks()
        self._children = set()  # running
        self._known_threads = 0
        # A child's end wakes the loop up.
        self._woken, wakeup = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wakeup, False)
        self._wakeup = wakeup
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    # Whether it may be forked.

    def prove(self, learned):
        """Import what was learned, fork once, and see that the fork can do what a job
        does. Says ready."""
        if python_threads() != 1:
            raise Unfit("an import started %d Python threads" % (python_threads() - 1))
        # Threads of BLAS and of allocators; they know how to be forked.
        self._known_threads = native_threads()
        for name in learned:
            # Nothing is known of how threads of these bear a fork.
            preload([name])
            self._check(" after the import of " + name)
        self._forks.prepare()
        gc.collect()
        gc.freeze()  # collections in the forks leave these objects' pages alone
        pages.copy_in_forks(self._self_test())
        self._check()
        send(self._control, {"ready": {
            "python": "%d.%d.%d" % sys.version_info[:3],
            "modules": [name for name in USUAL if name in sys.modules],
            "threads": self._known_threads,
        }})

    def _check(self, when=""):
        """No thread may have been started here since the usual imports."""
        if python_threads() != 1:
            raise Unfit("%d Python threads run%s, there should be one" % (python_threads(), when))
        if native_threads() > self._known_threads:
            raise Unfit("%d threads run%s, after the usual imports there were %d"
                        % (native_threads(), when, self._known_threads))
        if plugin.MODULE in sys.modules:
            raise Unfit("a plugin was loaded into it")

    def _self_test(self):
        """Fork once, and give the pages that the fork wrote to."""
        areas = pages.areas()
        ours, theirs = socket.socketpair()
        pid = self._fork()
        if pid == 0:
            try:
                ours.close()
                answer = {"written": self._test_in_child(areas)}
            except BaseException:
                answer = {"failed": traceback.format_exc()[-2000:]}
            try:
                send(theirs, answer)
            finally:
                os._exit(0)
        theirs.close()
        try:
            answer = receive_all(ours, SELF_TEST_SECONDS)
        except socket.timeout:  # TimeoutError only since Python 3.10
            raise Unfit("a fork of it hung in its self-test") from None
        finally:
            ours.close()
            os.kill(pid, signal.SIGKILL)  # it has nothing more to do
            _, status = os.waitpid(pid, 0)
        try:
            return json.loads(answer)["written"]
        except (ValueError, KeyError):
            raise Unfit("a fork of it failed its self-test (wait status %d): %s"
                        % (status, answer.decode("ascii", "replace").strip())) from None

    def _test_in_child(self, areas):
        self._forget_server()
        marker = "f" * self._forks.marker_length
        self._forks.assume(marker)
        with open("/proc/self/environ", "rb") as environ:
            if (identity.MARKER + "=" + marker).encode() not in environ.read().split(b"\0"):
                raise RuntimeError("the marker of a fork cannot be seen from outside")
        rehearse()
        written = pages.written(areas)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            square = numpy.ones((128, 128))
            assert (square @ square)[0, 0] == 128
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        return written

    # Work.

    def serve(self):
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._woken in ready:
                self._drain()
                self._report_ended()
            if self._control.fileno() in ready and not self._answer():
                return

    def _drain(self):
        try:
            while os.read(self._woken, 512):
                pass
        except BlockingIOError:
            pass

    def _report_ended(self):
        for pid in list(self._children):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self._children.discard(pid)
                self._send({"ended": pid, "code": ended.si_code, "status": ended.si_status})

    def _send(self, message):
        try:
            send(self._control, message)
        except OSError:
            os._exit(0)  # the host is gone

    def _answer(self):
        """Handle one message; false at the end of the connection."""
        try:
            data, ancillary, _, _ = self._control.recvmsg(LONGEST, ONE_DESCRIPTOR)
        except OSError:
            return False
        if not data:
            return False
        kind, number = REQUEST.unpack_from(data)
        if kind == REAP:
            os.waitpid(number, 0)
            return True
        output = int.from_bytes(ancillary[0][2], sys.byteorder)
        try:
            self._check()
            pid = self._fork()
        except (Unfit, OSError) as error:
            self._send({"fork": number, "declined": str(error)})
        else:
            if pid == 0:
                self._become(data[REQUEST.size:], output)
            self._children.add(pid)
            self._send({"fork": number, "pid": pid})
        os.close(output)
        return True

    def _fork(self):
        if sys.version_info < (3, 12):
            return os.fork()
        with warnings.catch_warnings():
            # Python warns of any second native thread. Those there are, are known.
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()

    def _forget_server(self):
        self._control.close()
        os.close(self._woken)
        os.close(self._wakeup)

    def _become(self, request, output):
        """Run one job in the forked process. Does not return."""
        status = 1
        try:
            self._forget_server()
            message = json.loads(request)
            self._forks.assume(
                message["marker"], environment=[base64.b64decode(variable) for variable in message["environment"] or ()],
                folder=base64.b64decode(message["folder"] or ""), output=output, outlive=message["outlive"])
            # Whatever confines a job is put on here: the process is the job's own, and
            # no byte of the plugin has been read.
            status = session.serve(os.fsdecode(base64.b64decode(message["address"])), message["token"])
        except BaseException:
            traceback.print_exc()
        finally:
            session.leave(status)
