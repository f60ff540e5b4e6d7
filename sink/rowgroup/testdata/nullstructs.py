"""What duckdb makes of a file by pyarrow with a struct of nothing but nulls beside a list.

usage: nullstructs.py PATH

Prints what pyarrow, polars and duckdb read, a line each. compare.py knows this
defect; when duckdb's line is like the others, it need not know it any more.
"""

import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

path = sys.argv[1]
shape = pa.struct([("nothing", pa.struct([("n", pa.null())])), ("list", pa.list_(pa.int32()))])
pq.write_table(pa.table({"c": pa.array([{"nothing": None, "list": [1]}, {"nothing": {"n": None}, "list": []}, None], shape)}), path)
print(pq.read_table(path)["c"].to_pylist())
print(pl.read_parquet(path)["c"].to_list())
print(duckdb.sql(f"SELECT c FROM '{path}'").to_arrow_table()["c"].to_pylist())
