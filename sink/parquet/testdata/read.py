"""Tell what is in Parquet files. Each line of stdin is a path as a JSON string;
each line of the answer is a JSON object, {"error": text} when pyarrow, duckdb or
polars cannot read the file."""

import json
import sys

import duckdb
import polars as pl
import pyarrow.parquet as pq


def describe(path):
    file = pq.ParquetFile(path)
    table = file.read()
    first = file.metadata.row_group(0)
    quoted = path.replace("'", "''")
    with duckdb.connect() as db:
        counted = db.execute(f"SELECT count(*) FROM read_parquet('{quoted}')").fetchone()[0]
    return {
        "columns": {name: table[name].to_pylist() for name in table.column_names},
        "names": table.column_names,
        "types": {f.name: str(f.type) for f in table.schema},
        "groups": [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)],
        "codecs": [first.column(c).compression for c in range(first.num_columns)],
        "ranges": {first.column(c).path_in_schema: [first.column(c).statistics.min, first.column(c).statistics.max]
                   for c in range(first.num_columns)
                   if first.column(c).statistics is not None and first.column(c).statistics.has_min_max},
        "metadata": {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items() if k != b"ARROW:schema"},
        "created": file.metadata.created_by,
        "readers": {"duckdb": counted, "polars": len(pl.read_parquet(path, glob=False))},
    }


for line in sys.stdin:
    try:
        answer = describe(json.loads(line))
    except Exception as e:
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer, default=str), flush=True)
