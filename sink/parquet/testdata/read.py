"""Print what is in a Parquet file, as JSON. usage: read.py FILE"""

import json
import sys

import duckdb
import polars as pl
import pyarrow.parquet as pq

path = sys.argv[1]
file = pq.ParquetFile(path)
table = file.read()
first = file.metadata.row_group(0)
quoted = path.replace("'", "''")
with duckdb.connect() as db:
    counted = db.execute(f"SELECT count(*) FROM read_parquet('{quoted}')").fetchone()[0]
print(json.dumps({
    "columns": {name: table[name].to_pylist() for name in table.column_names},
    "names": table.column_names,
    "types": {f.name: str(f.type) for f in table.schema},
    "groups": [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)],
    "codecs": [first.column(c).compression for c in range(first.num_columns)],
    "metadata": {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items() if k != b"ARROW:schema"},
    "created": file.metadata.created_by,
    "readers": {"duckdb": counted, "polars": len(pl.read_parquet(path, glob=False))},
}, default=str))
