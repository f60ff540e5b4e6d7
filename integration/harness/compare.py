"""Compares a Parquet file with what a plugin yields, as pyarrow, duckdb and polars
read the file: column names and order, types, every value.

One JSON request on stdin: plugin, input, topic, file, job_id, file_version_id.
One JSON answer on stdout: rows, and problems, empty when all is equal.
"""

import contextlib
import datetime as dt
import json
import math
import sys
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from rehearse import rehearse

LINEAGE = ["_job_id", "_file_version_id"]
# Enough to understand what is wrong.
PROBLEMS_SHOWN = 12


def main():
    request = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # plugins print
        tables = rehearse(request["plugin"], request["input"]).get(request["topic"], [])
    if not tables:
        print(json.dumps({"rows": 0, "problems": [f"the plugin yields nothing for topic {request['topic']}"]}))
        return
    expected = pa.concat_tables(tables, promote_options="permissive")
    problems = []
    found_schema = pq.read_schema(request["file"])
    problems += lineage_problems(found_schema)
    for reader in (read_pyarrow, read_duckdb, read_polars):
        columns = reader(request["file"])
        problems += [f"{reader.__name__}: {p}" for p in differences(expected, columns, request)]
    print(json.dumps({"rows": expected.num_rows, "problems": problems[:PROBLEMS_SHOWN]}))


def lineage_problems(schema: pa.Schema) -> list[str]:
    """The lineage columns come last, int64, never null."""
    if schema.names[-2:] != LINEAGE:
        return [f"the last two columns are {schema.names[-2:]}, want {LINEAGE}"]
    return [
        f"{name} is {schema.field(name)}, want int64 not null"
        for name in LINEAGE
        if schema.field(name).type != pa.int64() or schema.field(name).nullable
    ]


def differences(expected: pa.Table, columns: dict[str, list], request: dict) -> list[str]:
    names = expected.column_names + LINEAGE
    if list(columns) != names:
        return [f"columns {list(columns)}, want {names}"]
    problems = []
    for name in expected.column_names:
        kind = expected.schema.field(name).type
        want = [canonical(v, kind) for v in expected.column(name).to_pylist()]
        got = [canonical(v, kind) for v in columns[name]]
        problems += difference(f"{name} ({kind})", want, got)
    for name, value in zip(LINEAGE, (request["job_id"], request["file_version_id"])):
        problems += difference(name, [value] * expected.num_rows, columns[name])
    return problems


def difference(name: str, want: list, got: list) -> list[str]:
    if len(want) != len(got):
        return [f"{name}: {len(got)} rows, want {len(want)}"]
    for row, (w, g) in enumerate(zip(want, got)):
        if w != g:
            return [f"{name}, row {row}: {str(g)[:200]}, want {str(w)[:200]}"]
    return []


def read_pyarrow(path: str) -> dict[str, list]:
    table = pq.ParquetFile(path).read()
    table.validate(full=True)
    return table.to_pydict()


def read_duckdb(path: str) -> dict[str, list]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        cursor = connection.execute("SELECT * FROM read_parquet(?)", [path])
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def read_polars(path: str) -> dict[str, list]:
    return pl.read_parquet(path).to_dict(as_series=False)


def canonical(value, kind: pa.DataType):
    """One value in a form that is the same whichever reader it came from."""
    if value is None:
        return None
    if pa.types.is_dictionary(kind):
        return canonical(value, kind.value_type)
    if pa.types.is_map(kind):
        return [[canonical(k, kind.key_type), canonical(v, kind.item_type)] for k, v in pairs(value)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [canonical(v, kind.value_type) for v in value]
    if pa.types.is_struct(kind):
        return [canonical(value[field.name], field.type) for field in kind]
    if pa.types.is_date(kind) and isinstance(value, dt.datetime) and value.time() == dt.time():
        value = value.date()  # polars makes a datetime of date64
    match value:
        case bool() | int() | str():
            return value
        case float():
            return "NaN" if math.isnan(value) else repr(value)
        case Decimal():
            return str(value.normalize()) if value else "0"
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case dt.datetime():  # pandas.Timestamp among them
            if value.tzinfo is not None:
                value = value.astimezone(dt.timezone.utc)
            return value.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
        case dt.date() | dt.time():
            return value.isoformat()
    return f"{type(value).__name__} {value}"


def pairs(value) -> list:
    """A map: pyarrow gives pairs, duckdb a dict, polars a list of structs."""
    if isinstance(value, dict):
        return list(value.items())
    return [(v["key"], v["value"]) if isinstance(v, dict) else v for v in value]


if __name__ == "__main__":
    main()
