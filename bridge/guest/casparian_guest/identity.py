"""What makes a fork a process of its own. Linux only.

A fork begins as a copy of the warm interpreter. What a job could see of that,
or share with another job, is replaced here.
"""
import _signal  # without the enums that signal makes of what it gives
import ctypes
import os
import sys

MARKER = "CASPARIAN_GUEST"
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.getenv.restype = ctypes.c_void_p


class Forks:
    """Makes processes of their own of the forks of this one, its parent."""

    def __init__(self):
        # Where the kernel keeps the marker that this process was started with. Asked for
        # before anything changes the environment: a changed variable lies elsewhere.
        self._place = _libc.getenv(MARKER.encode())
        if not self._place:
            raise RuntimeError("the variable %s is not set" % MARKER)
        self.marker_length = len(os.environ[MARKER])
        self._parent = os.getpid()
        self._numpy_state = None

    def prepare(self):
        """Find what can be found before a fork. Comes after the last import."""
        if "numpy.random" in sys.modules:
            self._numpy_state = _numpy_state(sys.modules["numpy"])

    def assume(self, marker, environment=(), folder=None, output=None, outlive=False):
        """Become the process of a job: a session and group of its own that dies with its
        parent unless it is to outlive it, the job's environment, folder, output and random
        state. Called in the fork."""
        os.setsid()
        if not outlive:
            _libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._parent:
                os._exit(75)  # the parent died before it could be noticed
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        if output is not None:
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
        if folder:
            os.chdir(folder)
        self._assume_environment(marker, environment)
        self._assume_randomness()

    def _assume_environment(self, marker, environment):
        # /proc/PID/environ shows the memory that the process was started with, and that
        # is the warm interpreter's. This process has its own copy of that page: written
        # over, it shows the job's marker, by which the host finds whatever a job leaves.
        value = marker.encode()
        if len(value) != self.marker_length:
            raise ValueError("a marker of %d bytes, there is room for %d" % (len(value), self.marker_length))
        ctypes.memmove(self._place, value, len(value))
        os.environ[MARKER] = marker
        for variable in environment:
            name, _, text = variable.partition(b"=")
            os.environb[name] = text

    def _assume_randomness(self):
        # The module random has seeded itself: it asks to be told of a fork.
        if self._numpy_state is not None:
            self._numpy_state(os.urandom(MT19937_WORDS * 4))
        # Names of temporary files depend on the process id already; their folder may
        # depend on the job's environment.
        tempfile = sys.modules.get("tempfile")
        if tempfile is not None:
            tempfile.tempdir = None
        # The key by which the processes of one program trust each other.
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None:
            processes.current_process().authkey = os.urandom(32)


MT19937_WORDS = 624


def _numpy_state(numpy):
    """A function that sets the state of numpy's own generator, from as many random
    bytes as it has. The plain way, set_state, writes to 60 pages on its way through
    numpy; so the state is written where numpy says that it lies, if a trial shows that
    it is what it should be: the words, and then how many of them are used up."""
    random = numpy.random

    def plainly(words):
        random.set_state(("MT19937", numpy.frombuffer(words, numpy.uint32), MT19937_WORDS))

    trial = os.urandom(MT19937_WORDS * 4)
    plainly(trial)  # forgets what else there is beside the words
    try:
        address = random.get_bit_generator().ctypes.state_address
    except AttributeError:  # before numpy 1.24
        return plainly
    used_up = MT19937_WORDS.to_bytes(4, sys.byteorder)
    if ctypes.string_at(address, len(trial) + 4) != trial + used_up:
        return plainly

    def directly(words):
        ctypes.memmove(address, words + used_up, len(words) + 4)

    return directly
