"""Tells whether Parquet files hold the very rows of an Arrow IPC file.

    verify.py TABLE.arrow FILE.parquet...
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

with open(sys.argv[1], "rb") as file:
    table = pa.ipc.open_file(pa.BufferReader(file.read())).read_all()
for path in sys.argv[2:]:
    if not pq.read_table(path).equals(table):
        sys.exit(f"{path} does not hold the rows of {sys.argv[1]}")
