"""Compare what a file's metadata says with its data, value by value.

usage: metadata.py FILE

pyarrow reads chunk statistics; duckdb's parquet_metadata and its Bloom filter
probe read theirs. Status 1 if anything does not hold.
"""

import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

path = sys.argv[1]
f = pq.ParquetFile(path, page_checksum_verification=True)
bad = 0


def fail(*what):
    global bad
    bad += 1
    print(*what)


con = duckdb.connect()
flags = {
    (g, name): (low, high, nans)
    for g, name, low, high, nans in con.execute("SELECT row_group_id, path_in_schema, min_is_exact, max_is_exact, stats_nan_count FROM parquet_metadata(?)", [path]).fetchall()
}
checked = 0
for g in range(f.num_row_groups):
    table = f.read_row_group(g)
    meta = f.metadata.row_group(g)
    if meta.sorting_columns[0].column_index != 4:
        fail("sorting columns", meta.sorting_columns)
    for i in range(meta.num_columns):
        chunk, column = meta.column(i), table.column(i)
        s = chunk.statistics
        where = f"group {g}, {chunk.path_in_schema}"
        if not chunk.has_column_index or not chunk.has_offset_index:
            if not pa.types.is_floating(column.type):
                fail(where, "has no page index")
        if s.null_count != column.null_count:
            fail(where, "null count", s.null_count, column.null_count)
        values = column.drop_null()
        if pa.types.is_floating(values.type):
            is_nan = pc.is_nan(values)
            if flags[g, chunk.path_in_schema][2] != pc.sum(is_nan).as_py():
                fail(where, "NaN count", flags[g, chunk.path_in_schema][2])
            values = values.filter(pc.invert(is_nan))
        lowest, highest = min(values.to_pylist()), max(values.to_pylist())
        checked += 1
        low_exact, high_exact, nans = flags[g, chunk.path_in_schema]
        if low_exact is None or high_exact is None:
            fail(where, "does not say whether its bounds are exact")
        if low_exact and s.min != lowest:
            fail(where, "min", s.min, lowest)
        if high_exact and s.max != highest:
            fail(where, "max", s.max, highest)
        if not s.min <= lowest or not s.max >= highest:
            fail(where, "bounds", s.min, s.max, lowest, highest)
        if s.distinct_count is not None and s.distinct_count != len(set(column.drop_null().to_pylist())):
            fail(where, "distinct", s.distinct_count)

whole = f.read()
probes = excluded = 0
for name in ("c0", "c1", "c3", "c6"):
    values = whole.column(name).drop_null()
    for k in range(0, len(values), 97):
        rows = con.execute(f"SELECT row_group_id, bloom_filter_excludes FROM parquet_bloom_probe('{path}', '{name}', ?)", [values[k].as_py()]).fetchall()
        for group, excludes in rows:
            probes += 1
            there = pc.any(pc.equal(f.read_row_group(group, columns=[name]).column(0), values[k])).as_py()
            if there and excludes:
                fail("bloom filter of", name, "denies", values[k])
            excluded += bool(excludes)
if excluded < probes / 4:
    fail("bloom filters exclude", excluded, "of", probes)
print(f"{checked} chunks, {probes} bloom probes of which {excluded} excluded a group")
sys.exit(1 if bad else 0)
