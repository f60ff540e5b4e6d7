"""Write the type matrix as Arrow IPC streams, one file per group of columns.

usage: make_types.py FOLDER SEED
"""

import datetime as dt
import decimal
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

ROWS = 350
BATCHES = [120, 0, 100, 130]  # one of them is empty
rng = np.random.default_rng(int(sys.argv[2]))


def with_nulls(name, array):
    """The column without nulls, with some, and with nothing else."""
    mask = rng.random(len(array)) < 0.3
    mask[0], mask[-1] = True, True
    some = pa.array([None if m else v for m, v in zip(mask, array.to_pylist())], array.type) \
        if not has_no_pylist(array.type) else take_nulls(array, mask)
    return {name: array, name + "_nulls": some, name + "_all_null": pa.nulls(len(array), array.type)}


def has_no_pylist(kind):
    # Nanoseconds do not survive datetime, far seconds do not fit it.
    return pa.types.is_temporal(kind)


def take_nulls(array, mask):
    indices = pa.array([None if m else i for i, m in enumerate(mask)], pa.int64())
    return array.take(indices)


def integers(kind, low, high):
    extremes = [low, high, 0, 1]
    rest = [int(v) for v in rng.integers(low, high, ROWS - len(extremes), dtype=np.int64 if low < 0 else np.uint64)]
    return pa.array(extremes + rest, kind)


def repeat(values, kind):
    return pa.array([values[i % len(values)] for i in range(ROWS)], kind)


def numbers():
    columns = {}
    for bits in (8, 16, 32, 64):
        columns |= with_nulls(f"int{bits}", integers(getattr(pa, f"int{bits}")(), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        columns |= with_nulls(f"uint{bits}", integers(getattr(pa, f"uint{bits}")(), 0, 2**bits - 1))
    special = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.5, -2.25]
    columns |= with_nulls("float64", repeat(special + [1e308, 5e-324], pa.float64()))
    columns |= with_nulls("float32", repeat(special + [3.0e38], pa.float32()))
    columns |= with_nulls("float16", pa.array(np.array([special[i % 7] for i in range(ROWS)], np.float16)))
    columns |= with_nulls("float64_random", pa.array(rng.standard_normal(ROWS)))
    columns |= with_nulls("bool", repeat([True, False, False], pa.bool_()))
    D = decimal.Decimal
    columns |= with_nulls("decimal_5_2", repeat([D("999.99"), D("-999.99"), D("0.00"), D("1.50")], pa.decimal128(5, 2)))
    columns |= with_nulls("decimal_18_0", repeat([D(10**18 - 1), D(-(10**18) + 1), D(7)], pa.decimal128(18, 0)))
    columns |= with_nulls("decimal_38_10", repeat([D("9" * 28 + "." + "9" * 10), D("-1.0000000001")], pa.decimal128(38, 10)))
    columns |= with_nulls("decimal256", repeat([D("9" * 60 + "." + "9" * 10), D("-1.0000000001")], pa.decimal256(70, 10)))
    columns |= with_nulls("decimal32", repeat([D("9.99"), D("-9.99")], pa.decimal32(3, 2)))
    columns |= with_nulls("decimal64", repeat([D("9999999.99"), D("-0.01")], pa.decimal64(9, 2)))
    columns["nothing"] = pa.nulls(ROWS)
    return columns


def text():
    words = ["", "a", "Grüße", "日本語", "🎈" * 40, "x" * 3000, "\x00mid\x00"]
    blobs = [b"", b"\x00\xff", bytes(range(256)), b"y" * 2000]
    columns = {}
    for name, kind in (("string", pa.string()), ("large_string", pa.large_string()), ("string_view", pa.string_view())):
        columns |= with_nulls(name, repeat(words, kind))
    for name, kind in (("binary", pa.binary()), ("large_binary", pa.large_binary()), ("binary_view", pa.binary_view())):
        columns |= with_nulls(name, repeat(blobs, kind))
    columns |= with_nulls("string_unique", pa.array([f"key-{rng.integers(2**60):016x}" for _ in range(ROWS)]))
    columns |= with_nulls("fixed", repeat([b"0123456789abcdef", bytes(16)], pa.binary(16)))
    for index in (pa.int8(), pa.uint16(), pa.int64()):
        columns[f"dictionary_{index}"] = repeat(["red", "green", None, "blue"], pa.string()).dictionary_encode().cast(
            pa.dictionary(index, pa.string()))
    columns["dictionary_large"] = pa.DictionaryArray.from_arrays(repeat([0, 1, None], pa.int32()), pa.array(["p", "q"], pa.large_string()))
    columns["dictionary_null_value"] = pa.DictionaryArray.from_arrays(repeat([0, 1, 2], pa.int32()), pa.array(["a", None, "c"]))
    columns["dictionary_twice"] = pa.DictionaryArray.from_arrays(repeat([0, 1, 2], pa.int32()), pa.array(["a", "b", "a"]))
    columns["dictionary_int"] = pa.DictionaryArray.from_arrays(repeat([1, 0, None], pa.int8()), pa.array([10, -20], pa.int64()))
    columns["dictionary_date"] = pa.DictionaryArray.from_arrays(repeat([1, 0], pa.int8()), pa.array([10, -20], pa.date32()))
    ends = list(range(7, ROWS + 1, 7))
    columns["runs"] = pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), pa.array(
        [None if i % 5 == 0 else f"run {i}" for i in range(len(ends))]))
    lists = pa.array([[1, None], [], None, [2]], pa.list_(pa.int64()))
    columns["dictionary_list"] = pa.DictionaryArray.from_arrays(repeat([0, 1, None, 3, 2], pa.int16()), lists)
    structs = pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "ü"}])
    columns["dictionary_struct"] = pa.DictionaryArray.from_arrays(repeat([2, 0, 1, None], pa.int8()), structs)
    columns["dictionary_view"] = pa.DictionaryArray.from_arrays(repeat([0, 1, None], pa.int32()), pa.array(["p" * 20, "q"], pa.string_view()))
    columns["runs_short_ends"] = pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int16()), pa.array(
        [None if i % 3 == 0 else i for i in range(len(ends))], pa.int32()))
    columns["runs_struct"] = pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int64()), pa.array(
        [None if i % 3 == 0 else {"a": i, "l": [i] * (i % 3)} for i in range(len(ends))]))
    columns["uuid"] = pa.ExtensionArray.from_storage(pa.uuid(), repeat([b"0123456789abcdef", None], pa.binary(16)))
    return columns


def times():
    columns = {}
    columns |= with_nulls("date32", repeat([0, -1, 1, 19000, -719162], pa.date32()))
    columns |= with_nulls("date64", pa.array([d * 86_400_000 for d in [0, -1, 1, 19000, -25000] * (ROWS // 5)], pa.int64()).cast(pa.date64()))
    columns |= with_nulls("time32_s", repeat([0, 86_399, 3600], pa.time32("s")))
    columns |= with_nulls("time32_ms", repeat([0, 86_399_999, 3600], pa.time32("ms")))
    columns |= with_nulls("time64_us", repeat([0, 86_399_999_999, 3600], pa.time64("us")))
    columns |= with_nulls("time64_ns", repeat([0, 86_399_999_999_000, 36_000], pa.time64("ns")))
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    for unit, factor in per_second.items():
        seconds = [0, 1, -1, 1_700_000_000, -1_000_000_000]
        values = [s * factor + (7 if unit != "s" else 0) for s in seconds]
        for zone in (None, "UTC", "Europe/Berlin"):
            columns |= with_nulls(f"timestamp_{unit}_{zone}", repeat(values, pa.timestamp(unit, zone)))
        columns |= with_nulls(f"duration_{unit}", repeat([0, 1, -1, 10**12], pa.duration(unit)))
    return columns


def intervals():
    return {"interval": repeat([(1, 2, 3_000_000), None, (14, 30, 86_400_000_000_000), (0, 0, 0)], pa.month_day_nano_interval())}


def nested():
    lists = [[1, 2, 3], [], None, [None], [4, None, 5], [-(2**31)]]
    columns = {
        "list": repeat(lists, pa.list_(pa.int32())),
        "list_dense": repeat([[1], [2, 3], []], pa.list_(pa.int64())),
        "large_list": repeat(lists, pa.large_list(pa.int64())),
        "list_view": repeat(lists, pa.list_view(pa.int64())),
        "large_list_view": repeat(lists, pa.large_list_view(pa.int32())),
        "list_string": repeat([["a", "", None], None, [], ["ü"]], pa.list_(pa.string())),
        "list_view_string": repeat([["a", "", None], None, [], ["ü"]], pa.list_(pa.string_view())),
        "list_null": repeat([[], None, [None], [None, None]], pa.list_(pa.null())),
        "list_empty": repeat([[], None], pa.list_(pa.string())),
        "fixed_list": repeat([[1, 2], [3, None]], pa.list_(pa.int32(), 2)),
        "fixed_list_nulls": repeat([[1, 2], None, [None, 4]], pa.list_(pa.int32(), 2)),
        "list_list": repeat([[[1], [], None, [2, None]], [], None, [None], [[3]]], pa.list_(pa.list_(pa.int16()))),
        "list_dictionary": pa.ListArray.from_arrays(
            pa.array(list(range(0, 2 * ROWS + 1, 2)), pa.int32()),
            pa.array(["x", None, "y", "x"] * (ROWS // 2), pa.string()).dictionary_encode()),
        "struct": repeat([{"a": 1, "b": "x"}, {"a": None, "b": None}, None, {"a": 2, "b": ""}],
                         pa.struct([("a", pa.int64()), ("b", pa.string())])),
        "struct_dense": repeat([{"a": 1}, {"a": 2}], pa.struct([("a", pa.int8())])),
        "struct_struct": repeat([{"s": {"t": {"u": 1}}}, {"s": {"t": None}}, {"s": None}, None],
                                pa.struct([("s", pa.struct([("t", pa.struct([("u", pa.int64())]))]))])),
        "struct_list": repeat([{"l": [1, None]}, {"l": []}, {"l": None}, None], pa.struct([("l", pa.list_(pa.int64()))])),
        "list_struct": repeat([[{"a": 1, "b": [1.5]}, None, {"a": None, "b": None}], [], None],
                              pa.list_(pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))]))),
        "map": repeat([[("k", 1), ("l", None)], [], None], pa.map_(pa.string(), pa.int64())),
        "map_nested": repeat([[(1, [{"x": True}, None])], [(2, None), (3, [])], None],
                             pa.map_(pa.int32(), pa.list_(pa.struct([("x", pa.bool_())])))),
        "list_timestamp": repeat([[dt.datetime(2024, 1, 1), None], None], pa.list_(pa.timestamp("s"))),
        "list_decimal": repeat([[decimal.Decimal("1.25"), None], []], pa.list_(pa.decimal128(5, 2))),
        "list_binary": repeat([[b"\xff", None], []], pa.list_(pa.binary())),
        "list_bool": repeat([[True, None, False], [], None], pa.list_(pa.bool_())),
    }
    # Elements under a null and between lists, which Arrow allows.
    hidden = pa.ListArray.from_arrays(pa.array([0, 2, 4, 6], pa.int32()), pa.array([1, 2, 3, 4, 5, 6]), mask=pa.array([False, True, False]))
    columns["list_hidden"] = pa.concat_arrays([hidden] * (ROWS // 3) + [hidden.slice(0, ROWS % 3)])
    # Values under a null struct.
    struct_mask = pa.array([i % 3 == 1 for i in range(ROWS)])
    fields = {
        "decimal": repeat([decimal.Decimal("1.25"), decimal.Decimal("2.50")], pa.decimal128(5, 2)),
        "half": pa.array(np.arange(ROWS, dtype=np.float16)),
        "number": pa.array(range(ROWS)),
        "text": pa.array([str(i) for i in range(ROWS)]),
        "flag": repeat([True, True, False], pa.bool_()),
        "fixed": repeat([b"ab", b"cd"], pa.binary(2)),
        "list": repeat([[1], [2, 3]], pa.list_(pa.int64())),
        "dictionary": repeat(["x", "y"], pa.string()).dictionary_encode(),
        "uuid": pa.ExtensionArray.from_storage(pa.uuid(), repeat([b"0123456789abcdef"], pa.binary(16))),
        "pair": pa.StructArray.from_arrays([repeat([decimal.Decimal("3.75")], pa.decimal128(5, 2))], ["deep"]),
        "nothing": pa.nulls(ROWS),
    }
    columns["struct_hidden"] = pa.StructArray.from_arrays(list(fields.values()), list(fields), mask=struct_mask)
    wide = repeat([decimal.Decimal(1), decimal.Decimal(2)], pa.decimal256(60, 0))
    columns["struct_hidden_256"] = pa.StructArray.from_arrays([wide], ["decimal256"], mask=struct_mask)
    return columns


LEAVES = [pa.int64(), pa.int16(), pa.uint32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string(), pa.binary(),
          pa.timestamp("us"), pa.date32(), pa.decimal128(9, 3)]


def random_type(depth):
    kind = rng.integers(6) if depth else 0
    if kind <= 1:
        return LEAVES[rng.integers(len(LEAVES))]
    if kind == 2:
        return pa.list_(random_type(depth - 1))
    if kind == 3:
        return pa.large_list(random_type(depth - 1))
    if kind == 4:
        return pa.map_(pa.string(), random_type(depth - 1))
    return pa.struct([(f"f{i}", random_type(depth - 1)) for i in range(rng.integers(1, 4))])


def random_value(kind, nulls):
    t = pa.types
    if rng.random() < nulls:
        return None
    if t.is_list(kind) or t.is_large_list(kind):
        return [random_value(kind.value_type, nulls) for _ in range(rng.integers(4))]
    if t.is_map(kind):
        return [(f"k{i}", random_value(kind.item_type, nulls)) for i in range(rng.integers(3))]
    if t.is_struct(kind):
        return {f.name: random_value(f.type, nulls) for f in kind}
    n = int(rng.integers(30_000))
    if t.is_floating(kind):
        return n / 8
    if t.is_boolean(kind):
        return n % 2 == 0
    if t.is_string(kind) or t.is_large_string(kind):
        return "é" * (n % 5) + str(n)
    if t.is_binary(kind):
        return b"\xff" * (n % 4)
    if t.is_timestamp(kind):
        return dt.datetime(2020, 1, 1) + dt.timedelta(microseconds=n)
    if t.is_date(kind):
        return dt.date(2020, 1, 1) + dt.timedelta(days=n)
    return decimal.Decimal(n) / 1000 if t.is_decimal(kind) else n


def random():
    """Types nested up to five levels, none, some or many nulls at every level."""
    columns = {}
    for i in range(60):
        kind = random_type(int(rng.integers(1, 6)))
        nulls = (0, 0.1, 0.6)[i % 3]
        columns[f"random_{i}"] = pa.array([random_value(kind, nulls) for _ in range(ROWS)], kind)
    return columns


def main(folder):
    for group in (numbers, text, times, intervals, nested, random):
        columns = group()
        for name, column in columns.items():
            assert len(column) == ROWS, (name, len(column))
        table = pa.table(columns)
        with pa.OSFile(str(folder / f"{group.__name__}.arrows"), "wb") as out, pa.ipc.new_stream(out, table.schema,
                options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=False)) as stream:
            at = 0
            for rows in BATCHES:
                chunk = table.slice(at, rows)
                arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in chunk.columns]
                arrays = [a.chunk(0) if isinstance(a, pa.ChunkedArray) and a.num_chunks else a for a in arrays]
                arrays = [pa.nulls(0, f.type) if isinstance(a, pa.ChunkedArray) else a for a, f in zip(arrays, table.schema)]
                stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=table.schema))
                at += rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
