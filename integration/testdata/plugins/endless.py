"""Yields rows for ever, with a tree of processes that do not want to go: a child
that ignores SIGTERM, its child, and one that left the session (a daemon)."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("up", flush=True)
signal.pause()
"""

DAEMON = """
import os, signal
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print("up", flush=True)
signal.pause()
"""


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            wish = json.load(file)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for program in (STUBBORN, DAEMON):
            child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
            child.stdout.readline()
        row = 0
        while True:
            yield pd.DataFrame({"row": range(row, row + 1000)})
            row += 1000
            if row == 20_000:
                with open(os.path.join(wish["gate"], "reached"), "w") as reached:
                    reached.write("x")
