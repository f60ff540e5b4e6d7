"""Compare Parquet files with the Arrow data they were made from, value by value,
as pyarrow, duckdb and polars read them.

Reads JSON lines from stdin: {"expected": IPC stream, "actual": Parquet file,
"job_id": int, "file_version_id": int}. Prints each difference; the exit status
is 1 when there is one.
"""

import json
import math
import struct
import sys
import uuid

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

LINEAGE = ["_job_id", "_file_version_id"]
differences = []


def plain_type(kind, inner=False):
    """The type that the file claims: list views as lists, runs as their values,
    and dictionaries of nested values, or inside of other types, as their values."""
    t = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return kind
    if inner and t.is_dictionary(kind):
        return plain_type(kind.value_type)
    if t.is_run_end_encoded(kind):
        return plain_type(kind.value_type, inner)
    if t.is_list_view(kind):
        return pa.list_(plain_type(kind.value_type, True))
    if t.is_large_list_view(kind):
        return pa.large_list(plain_type(kind.value_type, True))
    if t.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type, True), kind.list_size)
    if t.is_large_list(kind):
        return pa.large_list(plain_type(kind.value_type, True))
    if t.is_list(kind):
        return pa.list_(plain_type(kind.value_type, True))
    if t.is_map(kind):
        return pa.map_(plain_type(kind.key_type, True), plain_type(kind.item_type, True))
    if t.is_struct(kind):
        return pa.struct([(f.name, plain_type(f.type, True)) for f in kind])
    if t.is_dictionary(kind) and t.is_nested(kind.value_type):
        return plain_type(kind.value_type, True)
    return kind


def same_type(kind, got):
    """pyarrow gives back a dictionary of text as one, with 32-bit indices, and
    one of other values as the values."""
    t = pa.types
    kind = plain_type(kind)
    if t.is_dictionary(kind):
        if t.is_string(kind.value_type) or t.is_large_string(kind.value_type) or t.is_string_view(kind.value_type):
            return got == pa.dictionary(pa.int32(), pa.string(), kind.ordered)
        return got == kind.value_type
    # Parquet has neither seconds nor days in milliseconds; pyarrow writes the same.
    if t.is_date64(kind):
        return got == pa.date32()
    if kind == pa.time32("s"):
        return got == pa.time32("ms")
    if t.is_timestamp(kind) and kind.unit == "s":
        return got == pa.timestamp("ms", kind.tz)
    if t.is_interval(kind):  # twelve bytes: months, days, milliseconds
        return got == pa.binary(12)
    if t.is_list(kind) and t.is_list(got):
        return same_type(kind.value_type, got.value_type)
    return got.equals(kind)


def values(column, kind=None):
    """Python values that compare: NaN equals NaN, times are numbers. Times are
    in the unit of kind, that other readers keep in another one."""
    if kind is not None and coarse(kind) and column.type != kind:
        column = column.cast(kind)
    return [plain(v) for v in numbers(column).to_pylist()]


def coarse(kind):
    t = pa.types
    return kind == pa.time32("s") or t.is_date64(kind) or (t.is_timestamp(kind) and kind.unit == "s")


def numbers(column):
    """Times as integers: datetime has neither nanoseconds nor far years."""
    t, kind = pa.types, column.type
    if isinstance(kind, pa.BaseExtensionType):
        return numbers(column.cast(kind.storage_type) if isinstance(column, pa.ChunkedArray) else column.storage)
    if t.is_dictionary(kind) and (t.is_nested(kind.value_type) or t.is_string_view(kind.value_type)):
        return pa.array(column.to_pylist(), kind.value_type)  # pyarrow has no cast for it
    if t.is_dictionary(kind):
        return numbers(column.cast(kind.value_type))
    if t.is_run_end_encoded(kind):
        import pyarrow.compute as pc
        return numbers(pc.run_end_decode(column))
    if t.is_timestamp(kind) or t.is_duration(kind) or t.is_time64(kind) or t.is_date64(kind):
        return column.cast(pa.int64())
    if t.is_time32(kind) or t.is_date32(kind):
        return column.cast(pa.int32())
    if t.is_interval(kind):
        return pa.array([None if v is None else struct.pack("<iii", v.months, v.days, v.nanoseconds // 10**6)
                         for v in column.to_pylist()], pa.binary(12))
    return column


def plain(v):
    if isinstance(v, float):
        return "NaN" if math.isnan(v) else (v, math.copysign(1, v))
    if isinstance(v, dict):
        return {k: plain(w) for k, w in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(w) for w in v]
    return v


def compare(reader, path, name, want, got):
    if want == got:
        return
    for i, (a, b) in enumerate(zip(want, got)):
        if a != b:
            differences.append(f"{path}: {reader}: {name}[{i}] is {b!r}, not {a!r}")
            return
    differences.append(f"{path}: {reader}: {name} has {len(got)} rows, not {len(want)}")


def lineage(reader, path, table, job):
    if table.column_names[-2:] != LINEAGE:
        differences.append(f"{path}: {reader}: the last columns are {table.column_names[-2:]}")
        return
    for name, value in zip(LINEAGE, (job["job_id"], job["file_version_id"])):
        if set(table[name].to_pylist()) != {value}:
            differences.append(f"{path}: {reader}: {name} is {set(table[name].to_pylist())}, not {value}")


def check_pyarrow(job, expected):
    path = job["actual"]
    file = pq.ParquetFile(path)
    table = file.read()
    lineage("pyarrow", path, table, job)
    for name in LINEAGE:
        if table.schema.field(name).type != pa.int64() or table.schema.field(name).nullable:
            differences.append(f"{path}: {name} is {table.schema.field(name)}")
    if table.column_names[:-2] != expected.column_names:
        differences.append(f"{path}: pyarrow: columns {table.column_names}")
        return
    for field in expected.schema:
        got = table.schema.field(field.name).type
        if not same_type(field.type, got):
            differences.append(f"{path}: pyarrow: {field.name} is {got}, not {plain_type(field.type)}")
            continue
        compare("pyarrow", path, field.name, values(expected[field.name]), values(table[field.name], field.type))
    statistics(path, file, table)


def statistics(path, file, table):
    """Minimum and maximum of each row group, where the file states them."""
    at = 0
    for g in range(file.num_row_groups):
        group = file.metadata.row_group(g)
        rows = table.slice(at, group.num_rows)
        at += group.num_rows
        for c in range(group.num_columns):
            chunk = group.column(c)
            stats = chunk.statistics
            if stats is None or "." in chunk.path_in_schema:
                continue
            column = rows[chunk.path_in_schema]
            if stats.null_count != column.null_count:
                differences.append(f"{path}: group {g}: {chunk.path_in_schema} has {column.null_count} nulls, not {stats.null_count}")
            if not stats.has_min_max or not isinstance(stats.min, (int, str, float)) or isinstance(stats.min, bool):
                continue
            if pa.types.is_duration(column.type):
                column = column.cast(pa.int64())
            present = [v for v in column.to_pylist() if v is not None and v == v]
            if present and (not isinstance(present[0], type(stats.min)) or stats.min > min(present) or stats.max < max(present)):
                differences.append(f"{path}: group {g}: {chunk.path_in_schema} states {stats.min!r} to {stats.max!r}, "
                                   f"and has {min(present)!r} to {max(present)!r}")


def via_arrow(reader, path, expected, table, skip):
    """Another reader's table, cast to the types that were expected."""
    for field in expected.schema:
        if skip(field):
            continue
        want = storage(plain_type(field.type))
        column = table[field.name]
        if text_of_uuid(field.type, column.type):
            compare(reader, path, field.name, expected[field.name].to_pylist(), [uuid.UUID(v) if v else None for v in column.to_pylist()])
            continue
        if pa.types.is_struct(field.type) and any(text_of_uuid(f.type, column.type.field(f.name).type) for f in field.type):
            names = [f.name for f in field.type if isinstance(f.type, pa.BaseExtensionType)]
            got = [row and {k: uuid.UUID(v) if v and k in names else v for k, v in row.items()} for row in column.to_pylist()]
            compare(reader, path, field.name, values(expected[field.name]), [plain(v) for v in got])
            continue
        try:
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            if pa.types.is_duration(column.type):  # polars restores it, and knows no seconds
                column = column.cast(field.type)
            column = entries(column, want)
            got = column.cast(want) if column.type != want else column
        except pa.ArrowInvalid as e:
            differences.append(f"{path}: {reader}: {field.name} is {column.type} and not {want}: {e}")
            continue
        except pa.ArrowNotImplementedError:
            got = column  # values alone must do
        compare(reader, path, field.name, values(expected[field.name]), values(got))


def text_of_uuid(kind, got):
    """duckdb gives a UUID as text."""
    return isinstance(kind, pa.BaseExtensionType) and kind == pa.uuid() and pa.types.is_string(got)


def entries(column, want):
    """polars has no maps: a list of key and value is the same thing."""
    if pa.types.is_map(want) and not pa.types.is_map(column.type):
        chunks = [[None if row is None else [(e["key"], e["value"]) for e in row] for row in column.to_pylist()]]
        return pa.chunked_array(chunks, want)
    return column


def storage(kind):
    if isinstance(kind, pa.BaseExtensionType):
        return kind.storage_type
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_duration(kind):
        return pa.int64()
    return kind


def very_wide(kind):
    """A decimal of more than 38 digits, here or inside."""
    if pa.types.is_decimal256(kind):
        return True
    return pa.types.is_struct(kind) and any(very_wide(f.type) for f in kind)


def check_duckdb(job, expected):
    path = job["actual"]
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        table = db.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table()
    lineage("duckdb", path, table, job)

    def skip(field):
        # duckdb has no decimal of more than 38 digits, and reads it as a double.
        return very_wide(field.type)

    via_arrow("duckdb", path, expected, table, skip)


def check_polars(job, expected):
    path = job["actual"]
    # polars reads no file that has an INTERVAL, whichever columns are asked for,
    # and no decimal of more than 38 digits.
    if any(pa.types.is_interval(f.type) for f in expected.schema):
        return
    names = [f.name for f in expected.schema if not very_wide(f.type)]
    table = pl.read_parquet(path, columns=names + LINEAGE).to_arrow()
    lineage("polars", path, table, job)
    via_arrow("polars", path, expected, table, lambda field: field.name not in names)


def main():
    for line in sys.stdin:
        job = json.loads(line)
        with pa.OSFile(job["expected"]) as file, pa.ipc.open_stream(file) as stream:
            expected = stream.read_all()
        for check in (check_pyarrow, check_duckdb, check_polars):
            try:
                check(job, expected)
            except BaseException as e:  # a reader that refuses the file is a difference, too
                differences.append(f"{job['actual']}: {check.__name__}: {type(e).__name__}: {e}")
    print("\n".join(differences))
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
