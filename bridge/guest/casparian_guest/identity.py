"""What makes a fork a process of its own. Linux only.

A fork begins as a copy of the warm interpreter. What a job could see of that,
or share with another job, is replaced here.
"""
import ctypes
import os
import random
import signal
import sys

MARKER = "CASPARIAN_GUEST"
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.getenv.restype = ctypes.c_void_p


def marker_place():
    """Where the kernel keeps the marker that this process was started with. Asked
    for before anything changes the environment: a changed variable lies elsewhere."""
    place = _libc.getenv(MARKER.encode())
    if not place:
        raise RuntimeError("the variable %s is not set" % MARKER)
    return place, len(os.environ[MARKER])


def assume(place, marker, parent, environment=(), folder=None, output=None, outlive=False):
    """Become the process of a job: a session and group of its own that dies with
    its parent unless it is to outlive it, the job's environment, folder, output and
    random state."""
    os.setsid()
    if not outlive:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(75)  # the parent died before it could be noticed
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
    if folder:
        os.chdir(folder)
    _assume_environment(place, marker, environment)
    _assume_randomness()


def _assume_environment(place, marker, environment):
    # /proc/PID/environ shows the memory that the process was started with, and that
    # is the warm interpreter's. This process has its own copy of that page: written
    # over, it shows the job's marker, by which the host finds whatever a job leaves.
    address, length = place
    value = marker.encode()
    if len(value) != length:
        raise ValueError("a marker of %d bytes, there is room for %d" % (len(value), length))
    ctypes.memmove(address, value, length)
    os.environ[MARKER] = marker
    for variable in environment:
        name, _, text = variable.partition(b"=")
        os.environb[name] = text


def _assume_randomness():
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        # What seed() would draw, without its way through half of numpy: each page that is
        # touched on it has to be copied for this process.
        numpy.random.set_state(("MT19937", numpy.frombuffer(os.urandom(624 * 4), numpy.uint32), 624))
    # Names of temporary files depend on the process id already; their folder may
    # depend on the job's environment.
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None
    # The key by which the processes of one program trust each other.
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.current_process().authkey = os.urandom(32)
