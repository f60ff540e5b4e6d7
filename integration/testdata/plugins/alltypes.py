"""One row group of every type that a plugin can yield and Parquet can hold, in
three batches: with values, with nulls everywhere, empty."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa

NAN, INF = float("nan"), float("inf")
DAY = dt.datetime(2024, 2, 29, 23, 59, 59, 123456)
LONG = "ä" * 5000


def column(kind, *values):
    return pa.array(list(values), kind)


COLUMNS = {
    **{
        f"int{bits}": column(pa.type_for_alias(f"int{bits}"), -(2 ** (bits - 1)), 0, 2 ** (bits - 1) - 1)
        for bits in (8, 16, 32, 64)
    },
    **{
        f"uint{bits}": column(pa.type_for_alias(f"uint{bits}"), 0, 1, 2**bits - 1) for bits in (8, 16, 32, 64)
    },
    "float32": column(pa.float32(), NAN, -INF, 1.5),
    "float64": column(pa.float64(), INF, NAN, -0.0),
    "bool": column(pa.bool_(), True, False, True),
    "string": column(pa.string(), "", "näïve 🦦", LONG),
    "large_string": column(pa.large_string(), "x", "", LONG),
    "binary": column(pa.binary(), b"", b"\x00\xff", b"z" * 9000),
    "large_binary": column(pa.large_binary(), b"a", b"", b"\x80"),
    "fixed_binary": column(pa.binary(4), b"abcd", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff"),
    "date32": column(pa.date32(), dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31)),
    "date64": column(pa.date64(), dt.date(1900, 1, 1), dt.date(1970, 1, 1), dt.date(2262, 4, 1)),
    "time32_s": column(pa.time32("s"), dt.time(0), dt.time(12, 30), dt.time(23, 59, 59)),
    "time32_ms": column(pa.time32("ms"), dt.time(0), dt.time(1, 2, 3, 4000), dt.time(23, 59, 59, 999000)),
    "time64_us": column(pa.time64("us"), dt.time(0), dt.time(1, 2, 3, 4), dt.time(23, 59, 59, 999999)),
    "time64_ns": column(pa.time64("ns"), dt.time(0), dt.time(1, 2, 3, 4), dt.time(23, 59, 59, 999999)),
    **{
        f"timestamp_{unit}{'_' + zone.split('/')[-1].lower() if zone else ''}": column(
            pa.timestamp(unit, tz=zone),
            dt.datetime(1970, 1, 1),
            DAY.replace(microsecond=0) if unit == "s" else DAY.replace(microsecond=123000) if unit == "ms" else DAY,
            dt.datetime(1900, 1, 1),
        )
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "America/New_York")
    },
    "decimal128": column(pa.decimal128(38, 9), Decimal("-1.5"), Decimal("0"), Decimal("9" * 29 + "." + "9" * 9)),
    "decimal_small": column(pa.decimal128(5, 2), Decimal("-999.99"), Decimal("0.01"), Decimal("999.99")),
    "dictionary": column(pa.string(), "b", "a", "b").dictionary_encode(),
    "list": column(pa.list_(pa.int64()), [1, None, 3], [], [5]),
    "large_list": column(pa.large_list(pa.string()), ["x"], [], [None, "y"]),
    "list_of_lists": column(pa.list_(pa.list_(pa.float64())), [[1.0], []], [], [[NAN, None]]),
    "struct": column(
        pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]),
        {"a": 1, "b": ["x"]},
        {"a": None, "b": []},
        {"a": 3, "b": None},
    ),
    "map": column(pa.map_(pa.string(), pa.int64()), [("k", 1), ("l", None)], [], [("m", 3)]),
    "null": column(pa.null(), None, None, None),
}

SCHEMA = pa.schema([(name, array.type) for name, array in COLUMNS.items()])


class Handler:
    def consume(self, event):
        full = pa.table(COLUMNS, schema=SCHEMA)
        yield full
        yield pa.table({name: pa.nulls(4, kind) for name, kind in zip(SCHEMA.names, SCHEMA.types)}, schema=SCHEMA)
        yield full.slice(0, 0)
        # A slice does not begin at the start of its buffers.
        yield full.slice(1, 2)
