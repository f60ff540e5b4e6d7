"""Loading a plugin's source, and calling its Handler."""
import importlib
import importlib.util
import inspect
import io
import linecache
import sys
import tokenize
import types

from . import publish, sdk

MODULE = "__bridge_plugin__"
SDK = "casparian_flow.sdk"


class PluginContractError(Exception):
    """The plugin lacks something that every plugin must have."""


def run(job, publisher):
    """Run the plugin over the job's file and publish what it returns."""
    module = load(job)
    handler = find_handler(module)()
    context = publish.Context(publisher)
    if callable(getattr(handler, "configure", None)):
        handler.configure(context, {})
    send(call(handler, job), publisher)


def load(job):
    """Execute the source as module __bridge_plugin__. The module is registered
    like any other: dataclasses and pickle look theirs up by name."""
    show_in_tracebacks(job.filename, job.source)
    provide_sdk(job.source)
    code = compile(job.source, job.filename, "exec", dont_inherit=True)
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    exec(code, module.__dict__)
    return module


def show_in_tracebacks(filename, source):
    encoding = "utf-8"
    if not source.isascii():
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        except SyntaxError:
            pass
    lines = source.decode(encoding, "replace").splitlines(True)
    # No modification time: the entry is never checked against a file.
    linecache.cache[filename] = (len(source), None, lines, filename)


def provide_sdk(source):
    """Put our stand-in where the plugin's import will find it, unless the
    environment has the real one."""
    if b"casparian_flow" not in source:
        return
    try:
        importlib.import_module(SDK)
        return
    except ImportError:
        pass
    parent = sys.modules.get("casparian_flow")
    if parent is None:
        parent = types.ModuleType("casparian_flow")
        parent.__path__ = []
        sys.modules["casparian_flow"] = parent
    parent.sdk = sdk
    sys.modules[SDK] = sdk


def find_handler(module):
    handler = getattr(module, "Handler", None)
    if inspect.isclass(handler):
        return handler
    # Some plugins name their class otherwise. One BasePlugin is unmistakable.
    base = getattr(sys.modules.get(SDK, sdk), "BasePlugin", sdk.BasePlugin)
    named = [value for value in vars(module).values()
             if inspect.isclass(value) and issubclass(value, base) and value.__module__ == MODULE]
    if len(named) == 1:
        return named[0]
    raise PluginContractError(
        "the plugin has no class named Handler%s; it needs one with a constructor without arguments "
        "and a method consume(self, event) or execute(self, path)"
        % (" (it has a Handler that is not a class)" if handler is not None else ""))


def call(handler, job):
    """consume(event), or execute(path) when consume is missing or not implemented."""
    consume = getattr(handler, "consume", None)
    execute = getattr(handler, "execute", None)
    if not callable(consume) and not callable(execute):
        raise PluginContractError("%s has neither consume(event) nor execute(path)" % type(handler).__name__)
    if callable(consume):
        # The real package's events are its own class.
        event_class = getattr(sys.modules.get(SDK, sdk), "FileEvent", sdk.FileEvent)
        try:
            return started(consume(event_class(job.path, file_id=job.file_version_id)))
        except NotImplementedError:
            if not callable(execute):
                raise
    return execute(job.path)


def started(result):
    """Run a generator up to its first item: one that begins by raising
    NotImplementedError is as good as no consume."""
    if not inspect.isgenerator(result):
        return result
    try:
        first = next(result)
    except StopIteration:
        return None
    return resumed(first, result)


def resumed(first, rest):
    yield first
    first = None  # it may be large
    yield from rest


def send(result, publisher):
    if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("the plugin returned %s: async plugins are not supported, run the event loop inside of consume"
                        % type(result).__name__)
    if not inspect.isgenerator(result):
        publisher.publish(None, result)
        return
    # A generator may publish to topics between its items, so that each item has
    # to be sent before the next is asked for.
    for item in result:
        publisher.publish(None, item)
        item = None  # or it would live on while the plugin makes the next
