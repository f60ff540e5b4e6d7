"""One job, from connect to end."""
import atexit
import os
import sys
import threading
import traceback

from . import plugin, publish, wire

# os.EX_TEMPFAIL, which Windows lacks: the host went away.
HOST_GONE = 75


def main():
    """A guest that was started cold."""
    # The plugin, and what it starts, must not find the way to the host.
    address = os.environ.pop("BRIDGE_SOCKET", None)
    token = os.environ.pop("BRIDGE_TOKEN", None)
    for name in ("BRIDGE_PLUGIN_CODE", "BRIDGE_FILE_PATH", "BRIDGE_JOB_ID", "BRIDGE_FILE_VERSION_ID"):
        os.environ.pop(name, None)
    if not address or not token:
        return "casparian guest: this program is started by a casparian worker, not by hand"
    return serve(address, token)


def serve(address, token):
    """Run the job that the host at this address has, and give the exit status."""
    try:
        connection = wire.Connection(address, token)
        job = connection.receive_job()
        return run(connection, job)
    except wire.HostGone:
        # Nobody is left to tell. Threads of the plugin must not keep this alive.
        flush()
        os._exit(HOST_GONE)


def leave(status):
    """End the process as the interpreter would, but for taking itself apart: the
    operating system does that faster. status is a number or a message."""
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    # Threads that are no daemons are waited for, as ever; the host's patience has
    # an end. The name is private, and what multiprocessing calls for the same end.
    for last in (getattr(threading, "_shutdown", flush), atexit._run_exitfuncs):
        try:
            last()
        except BaseException:
            traceback.print_exc()
    flush()
    os._exit(status)


def run(connection, job):
    publisher = publish.Publisher(connection, job)
    before = set(sys.modules) if job.learn else ()
    try:
        plugin.run(job, publisher)
    except wire.HostGone:
        raise
    except BaseException as error:  # sys.exit and KeyboardInterrupt are failures, too
        kind, message, trace = describe(error, job.filename)
        del error  # its traceback holds on to the plugin's frames
        flush()
        connection.send_error(kind, message, trace)
        connection.wait_closed()
        return 1
    flush()
    connection.send_end(learned(before) if job.learn else [])
    connection.wait_closed()
    return 0


def learned(before):
    """The modules that were imported since then from the environment's packages."""
    import sysconfig

    folders = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib"))
    names = []
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if name not in before and isinstance(origin, str) and origin.startswith(folders):
            names.append(name)
    return names[:1000]


def describe(error, filename):
    """The error's type, message and traceback, from the plugin's first frame on."""
    kind = type(error).__name__
    module = type(error).__module__
    if module not in ("builtins", "__bridge_plugin__"):
        kind = module + "." + kind
    try:
        message = str(error)
    except Exception as inner:
        message = "(its message cannot be shown: %s)" % type(inner).__name__
    if isinstance(error, SystemExit):
        message = "the plugin called sys.exit(%s); a plugin returns when it is done" % message
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != filename:
        frames = frames.tb_next
    if frames is None and not isinstance(error, SyntaxError):
        frames = error.__traceback__  # not the plugin's: show all there is
    try:
        report = traceback.TracebackException(type(error), error, frames)
        trace = "".join(report.format())
    except Exception as inner:
        trace = "(the traceback cannot be shown: %s)" % type(inner).__name__
    return kind, message, trace


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the plugin may have closed or replaced it
