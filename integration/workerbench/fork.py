"""How long a fork of an interpreter takes that has imported what plugins import,
until the child has ended: seconds for each of COUNT forks, one after another.

    fork.py COUNT
"""
import os
import sys
import time

import pandas  # noqa: F401
import pyarrow  # noqa: F401

count = int(sys.argv[1])
began = time.perf_counter()
for _ in range(count):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
print((time.perf_counter() - began) / count)
