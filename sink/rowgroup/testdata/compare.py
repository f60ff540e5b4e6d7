"""Compare every NAME.parquet in a folder with NAME.0.arrow, NAME.1.arrow, ..., read by real readers.

usage: compare.py FOLDER [pyarrow] [duckdb] [polars]

The Arrow file says what was written. Values are compared one by one as Python
objects, after the changes that Parquet asks for (an interval becomes twelve
bytes). Ends with a line per reader, and with status 1 if anything differs.
"""

import datetime
import glob
import math
import os
import struct
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq


def plain(value):
    """A value in a form in which equal means the same in every reader."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return value
    if isinstance(value, pa.MonthDayNano):
        return struct.pack("<iii", value.months, value.days, value.nanoseconds // 1000000)
    if isinstance(value, datetime.datetime) and value.tzinfo is None and value.time() == datetime.time():
        return value.date()  # what a date64 is, to some
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc)  # an hour that comes twice has no equal in another zone
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def has(t, test):
    """Whether a type or one inside it passes the test."""
    if test(t):
        return True
    if pa.types.is_dictionary(t):
        return has(t.value_type, test)
    if isinstance(t, pa.RunEndEncodedType):
        return has(t.value_type, test)
    return any(has(t.field(i).type, test) for i in range(t.num_fields))


def is_wide_decimal(t):
    return pa.types.is_decimal(t) and t.precision > 38


def is_interval(t):
    return t == pa.month_day_nano_interval()


def is_wide_inside(t):
    return pa.types.is_nested(t) and has(t, pa.types.is_decimal256)


# What a reader cannot have, whoever wrote the file: it is left out for it.
UNREADABLE = {
    "pyarrow": [],
    # No decimals of more than 38 digits (it gives floats), and no durations
    # (they are plain integers to everyone who does not know ARROW:schema).
    "duckdb": [is_wide_decimal, pa.types.is_duration],
    # No decimals of more than 38 digits, no INTERVAL; nested decimals that
    # ARROW:schema calls decimal256 it reads and cannot give back as Arrow.
    "polars": [is_wide_decimal, is_interval, is_wide_inside],
}


def is_empty(t):
    """Whether a type is a struct of nothing but nulls, as deep as may be."""
    return pa.types.is_struct(t) and all(pa.types.is_null(f.type) or is_empty(f.type) for f in t)


def has_list(t):
    """Whether a type is a list or a map, or a struct with one, not counting what is inside of others."""
    if pa.types.is_struct(t):
        return any(has_list(f.type) for f in t)
    return pa.types.is_nested(t)


def without_empty(value, t):
    """A struct's value without the structs inside of it that hold nothing but nulls."""
    if value is None or not pa.types.is_struct(t):
        return value
    return {f.name: without_empty(value[f.name], f.type) for f in t if not is_empty(f.type)}


def same(reader, field, want, got):
    """Whether a reader read a value as it should have.

    duckdb (2.0) reads no levels of columns of the null type. In a column of
    structs with a list among them it takes all structs that hold nothing but
    nulls as present, in pyarrow's files too (nullstructs.py): that is not held
    against this file.
    """
    if want == got:
        return True
    if reader == "duckdb" and pa.types.is_struct(field.type) and has_list(field.type):
        return without_empty(want, field.type) == without_empty(got, field.type)
    return False


def expected(column):
    out = []
    for chunk in column.chunks:
        out += [plain(v.as_py()) for v in chunk]
    return out


def columns(table):
    return [[plain(v) for v in table.column(i).to_pylist()] for i in range(table.num_columns)]


def by_pyarrow(path):
    return columns(pq.ParquetFile(path, page_checksum_verification=True).read())


def by_duckdb(path):
    import duckdb

    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'")
    return columns(con.sql(f"SELECT * FROM '{path}'").to_arrow_table())


def by_polars(path):
    import polars as pl

    return columns(pl.read_parquet(path, glob=False).to_arrow())


def fails_anyway(read, tables):
    """Whether a reader fails on pyarrow's own file of the same tables too."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "own.parquet")
        try:
            with pq.ParquetWriter(path, tables[0].schema) as writer:
                for table in tables:
                    writer.write_table(table)
        except pa.ArrowException:
            return False  # no file to tell by
        try:
            read(path)
        except BaseException:
            return True
    return False


READERS = {"pyarrow": by_pyarrow, "duckdb": by_duckdb, "polars": by_polars}


def main():
    folder, readers = sys.argv[1], sys.argv[2:] or list(READERS)
    names = sorted(n[:-8] for n in os.listdir(folder) if n.endswith(".parquet"))
    bad = 0
    counts, excused = dict.fromkeys(readers, 0), dict.fromkeys(readers, 0)
    for name in names:
        path = os.path.join(folder, name + ".parquet")
        want, schema, tables = [], None, []
        for part in sorted(glob.glob(os.path.join(glob.escape(folder), glob.escape(name) + ".*.arrow")), key=lambda p: int(p.split(".")[-2])):
            with pa.OSFile(part) as f:
                table = pa.ipc.open_stream(f).read_all()
            schema = table.schema
            tables.append(table)
            want = want or [[] for _ in schema]
            for i in range(table.num_columns):
                want[i] += expected(table.column(i))
        for reader in readers:
            try:
                if any(has(f.type, test) for f in schema for test in UNREADABLE[reader]):
                    continue
                got = READERS[reader](path)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # polars raises panics as such
                if fails_anyway(READERS[reader], tables):
                    excused[reader] += 1
                    continue
                print(f"{reader}: {name}: {type(error).__name__}: {str(error)[:300]}")
                bad += 1
                continue
            for i, field in enumerate(schema):
                read = got[i] if i < len(got) else []
                where = [k for k, (a, b) in enumerate(zip(want[i], read)) if not same(reader, field, a, b)][:3]
                if where or len(want[i]) != len(read):
                    bad += 1
                    print(f"{reader}: {name}: column {field.name} {field.type}: {len(want[i])} and {len(read)} rows, differs at {where}: {[(want[i][k], read[k]) for k in where]}"[:600])
            counts[reader] += 1
    print(f"{len(names)} files:", ", ".join(f"{r} read {n} and fails on pyarrow's own of {excused[r]}" for r, n in counts.items()))
    sys.exit(1 if bad else 0)


main()
