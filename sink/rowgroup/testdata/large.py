"""Scan a large file of internal/rowload with one reader, and say what is in it.

usage: large.py PATH pyarrow|duckdb|polars

Prints one JSON object: the rows, the schema, and a sum of each column. The
timestamps are near their row's sequence number; what they are apart is summed.
"""

import json
import sys

START = 1_700_000_000_000_000  # of the first row, in microseconds


def by_pyarrow(path):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, page_checksum_verification=True)
    sums = dict.fromkeys(["rows", "sequence", "small", "value", "city", "key", "apart", "job"], 0)
    for batch in file.iter_batches():
        sums["rows"] += batch.num_rows
        for name in ["sequence", "small", "value"]:
            sums[name] += pc.sum(batch[name]).as_py()
        for name in ["city", "key"]:
            sums[name] += pc.sum(pc.binary_length(batch[name])).as_py()
        expected = pc.add(pc.multiply(batch["sequence"], 1000), START)
        sums["apart"] += pc.sum(pc.subtract(batch["at"].cast("int64"), expected)).as_py()
        sums["job"] += pc.sum(batch["_job_id"]).as_py()
    return sums, [f"{field.name} {field.type}" for field in file.schema_arrow]


def by_duckdb(path):
    import duckdb

    con = duckdb.connect(config={"threads": 1})
    rows = con.execute(
        f"""SELECT count(*), sum("sequence"), sum(small), sum("value"), sum(strlen(city)), sum(strlen("key")),
            sum(epoch_us("at") - {START} - 1000 * "sequence"), sum(_job_id) FROM read_parquet(?)""",
        [path],
    ).fetchone()
    names = ["rows", "sequence", "small", "value", "city", "key", "apart", "job"]
    types = {"BIGINT": "int64", "DOUBLE": "double", "SMALLINT": "int16", "VARCHAR": "string", "TIMESTAMP WITH TIME ZONE": "timestamp[us, tz=UTC]"}
    columns = con.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
    sums = {k: v if isinstance(v, float) else int(v) for k, v in zip(names, rows)}
    return sums, [f"{c[0]} {types[c[1]]}" for c in columns]


def by_polars(path):
    import polars as pl

    table = pl.scan_parquet(path, glob=False)
    apart = pl.col("at").dt.epoch("us") - START - 1000 * pl.col("sequence")
    sums = table.select(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("sequence").sum(),
        pl.col("small").cast(pl.Int64).sum(),
        pl.col("value").sum(),
        pl.col("city").str.len_bytes().cast(pl.Int64).sum(),
        pl.col("key").str.len_bytes().cast(pl.Int64).sum(),
        apart.sum().alias("apart"),
        pl.col("_job_id").sum().alias("job"),
    ).collect(engine="streaming")
    schema = pl.DataFrame(schema=table.collect_schema()).to_arrow().schema
    types = {"large_string": "string", "string_view": "string"}
    return sums.to_dicts()[0], [f"{field.name} {types.get(str(field.type), field.type)}" for field in schema]


sums, schema = {"pyarrow": by_pyarrow, "duckdb": by_duckdb, "polars": by_polars}[sys.argv[2]](sys.argv[1])
print(json.dumps({"sums": sums, "schema": schema}))
