"""Filter a file by random predicates, with and without pruning.

usage: predicates.py FILE COUNT

The full scan reads everything and filters in memory. pyarrow prunes row groups
by statistics; duckdb and polars by whatever they use of statistics, page index
and Bloom filters. Status 1 if one of them gives other rows.
"""

import random
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

path, count = sys.argv[1], int(sys.argv[2])
table = pq.read_table(path)
table = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
full = duckdb.connect()
full.execute("SET TimeZone='UTC'")
pruned = duckdb.connect()
pruned.execute("SET TimeZone='UTC'")
memory = table
full.register("whole", table)

OPS = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal, "=": pc.equal}
PLOPS = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__", "=": "__eq__"}
rng = random.Random(7)
bad = 0
kept = groups = 0
fragment = next(ds.dataset(path).get_fragments())
names = [n for n in table.column_names if n != "row"]
for k in range(count):
    name = rng.choice(names)
    column = table.column(name)
    value = column[rng.randrange(len(column))]
    if not value.is_valid:
        value = column.drop_null()[0]
    op = rng.choice(list(OPS))
    want = table.filter(OPS[op](column, value))
    expression = {"<": pc.field(name) < value, "<=": pc.field(name) <= value, ">": pc.field(name) > value, ">=": pc.field(name) >= value, "=": pc.field(name) == value}[op]
    got = ds.dataset(path).to_table(filter=expression)
    if not got.equals(want.drop_columns("row")) and got.num_rows != want.num_rows:
        bad += 1
        print(f"pyarrow: {name} {op} {value}: {got.num_rows} rows, not {want.num_rows}")
    groups += fragment.num_row_groups
    kept += len(fragment.subset(filter=expression).row_groups)
    if not (pa.types.is_floating(value.type) and value.as_py() != value.as_py()):
        # duckdb takes NaN for the largest number, so it is compared with itself.
        v = value.as_py()
        query = "SELECT count(*), sum(hash(%s)::HUGEINT) FROM %s WHERE %s %s ?" % (name, "%s", name, op)
        if isinstance(v, bytes):
            query = query.replace("?", "?::BLOB")
        a = pruned.execute(query % f"'{path}'", [v]).fetchone()
        b = full.execute(query % "whole", [v]).fetchone()
        if a != b:
            bad += 1
            print(f"duckdb: {name} {op} {value}: {a[0]} rows, not {b[0]}")
        test = lambda frame: frame.filter(getattr(pl.col(name), PLOPS[op])(pl.lit(v))).select(pl.len()).collect().item()
        if not isinstance(v, bytes) and not str(value.type).startswith("decimal"):
            a, b = test(pl.scan_parquet(path)), test(pl.from_arrow(memory).lazy())
            if a != b:
                bad += 1
                print(f"polars: {name} {op} {value}: {a} rows, not {b}")
print(f"{count} predicates; pyarrow read {kept} of {groups} row groups")
if kept > groups * 0.8:
    bad += 1
    print("next to nothing was pruned: the predicates prove nothing")
sys.exit(1 if bad else 0)
