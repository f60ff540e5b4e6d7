"""Proves an environment: imports what was locked, from where it was installed.

argv: the names of the project's direct dependencies, in order.
Prints JSON lines: {"python"}, then {"found": [...]} with the names of argv that
are installed, then one of {"imported"} and {"failed", "why"} per module tried.
The host reads what came before a crash, so each line is written at once.
"""

import importlib
import importlib.metadata
import inspect
import json
import os
import platform
import re
import sys

lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what an import prints must not be taken for a line of ours


def say(**line):
    lines.write(json.dumps(line) + "\n")
    lines.flush()


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def modules(distribution):
    """The importable modules that a distribution brings, outermost ones only."""
    found = {}  # dotted name -> depth
    for file in distribution.files or ():
        parts = file.parts
        if parts[-1] in ("__init__.py", "__init__.pyc"):
            dotted = parts[:-1]
        else:
            name = inspect.getmodulename(parts[-1])
            if name is None or name.startswith("__"):
                continue
            dotted = parts[:-1] + (name,)
        if dotted and all(part.isidentifier() for part in dotted):
            found[".".join(dotted)] = len(dotted)
    if not found:
        return []
    outermost = min(found.values())
    names = [name for name, depth in found.items() if depth == outermost]
    own = plain(distribution.metadata["Name"])
    # The module named after the package first, private ones last.
    return sorted(names, key=lambda name: (plain(name) != own, name.startswith("_"), name))


say(python=platform.python_version())
installed = {}
for distribution in importlib.metadata.distributions():
    if distribution.metadata["Name"]:
        installed.setdefault(plain(distribution.metadata["Name"]), distribution)
wanted = [plain(name) for name in sys.argv[1:]]
say(found=[name for name in wanted if name in installed])

inside = os.path.realpath(sys.prefix) + os.sep
for name in wanted:
    if name not in installed:
        continue
    for module in modules(installed[name])[:1]:
        try:
            imported = importlib.import_module(module)
            path = getattr(imported, "__file__", None) or ""
            if path and not os.path.realpath(path).startswith(inside):
                say(failed=module, why="it came from " + path)
            else:
                say(imported=module)
        except BaseException as problem:  # SystemExit of a module counts, too
            say(failed=module, why=f"{type(problem).__name__}: {problem}")
os._exit(0)  # threads that an import started must not keep this process
