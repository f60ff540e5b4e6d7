"""What a guest does for itself while its host is dead. Linux only."""
import os
import signal
import stat
import time

# Of the output that nobody reads.
TAIL = 8 << 10


class Output:
    """The guest's own way into the pipe that its stdout and stderr are. As long as it
    is open, printing fails for nobody; and what nobody reads must be read here, or
    printing would wait for ever."""

    def __init__(self):
        self.descriptor = -1
        self._dropped, self._tail = 0, b""
        if stat.S_ISFIFO(os.fstat(1).st_mode):
            self.descriptor = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def drop(self):
        """Read what is there."""
        for _ in range(64):
            try:
                text = os.read(self.descriptor, 64 << 10)
            except OSError:
                return
            self._dropped += len(text)
            self._tail = (self._tail + text)[-TAIL:]

    def take_note(self):
        """Say what was read since the last time; None for nothing."""
        if not self._dropped:
            return None
        note = "[%d bytes of output while there was no worker, the last of them:]\n%s" % (
            self._dropped, self._tail.decode("utf-8", "replace"))
        self._dropped, self._tail = 0, b""
        return note


def end(marker):
    """Kill whatever belongs to the guest, and then the guest. Does not return."""
    own = os.getpid()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [pid for pid in tree(own, marker) if pid != own]
        if not found:
            break
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.01)  # nothing tells when somebody else's child is gone
    os.kill(own, signal.SIGKILL)


def tree(own, marker):
    """The living processes of the guest: its session, what carries its marker, and the
    descendants of these."""
    children, members = {}, set()
    variable = b"CASPARIAN_GUEST=" + marker.encode()
    living = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        pid = int(name)
        try:
            with open("/proc/%d/stat" % pid, "rb") as file:
                state, parent, group, session = file.read().rpartition(b")")[2].split()[:4]
            if state in (b"Z", b"X"):
                continue
            living.add(pid)
            children.setdefault(int(parent), []).append(pid)
            if int(group) == own or int(session) == own:
                members.add(pid)
                continue
            with open("/proc/%d/environ" % pid, "rb") as file:
                if variable in file.read().split(b"\0"):
                    members.add(pid)
        except OSError:  # it has ended, or is another user's
            continue
    waiting = list(members)
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in members:
                members.add(pid)
                waiting.append(pid)
    return members & living
