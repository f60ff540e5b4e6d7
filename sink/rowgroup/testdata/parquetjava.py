"""Compare NAME.rows, which parquet-java read from NAME.parquet, with NAME.0.arrow, NAME.1.arrow, ...

usage: parquetjava.py FOLDER

The Arrow files say what was written. Both sides are in the form that Rows.java
describes, floats to the bit. Status 1 if anything differs.
"""

import bisect
import decimal
import glob
import json
import os
import struct
import sys

import pyarrow as pa
import pyarrow.types as is_

WIDE = decimal.Context(prec=100)


def valid(array, values):
    return [v if ok else None for v, ok in zip(values, array.is_valid().to_pylist())]


def numbers(array, as_type, times=1):
    return [None if v is None else v * times for v in array.view(as_type).to_pylist()]


def rows(array):
    """The values of an Arrow array as Rows.java prints them."""
    t = array.type
    if is_.is_dictionary(t):
        values = rows(array.dictionary)
        return [None if i is None else values[i] for i in array.indices.to_pylist()]
    if isinstance(t, pa.RunEndEncodedType):
        values, ends = rows(array.values), array.run_ends.to_pylist()
        return [values[bisect.bisect_right(ends, array.offset + i)] for i in range(len(array))]
    if is_.is_struct(t):
        fields = [rows(array.field(i)) for i in range(t.num_fields)]
        return valid(array, [list(v) for v in zip(*fields)])
    if is_.is_map(t):
        entries = [list(e) for e in zip(rows(array.keys), rows(array.items))]
        at = array.offsets.to_pylist()
        return valid(array, [entries[a:b] for a, b in zip(at, at[1:])])
    if is_.is_fixed_size_list(t):
        values, n = rows(array.values), t.list_size
        return valid(array, [values[k * n : (k + 1) * n] for k in range(array.offset, array.offset + len(array))])
    if is_.is_list_view(t) or is_.is_large_list_view(t):
        values = rows(array.values)
        return valid(array, [values[a : a + n] for a, n in zip(array.offsets.to_pylist(), array.sizes.to_pylist())])
    if is_.is_list(t) or is_.is_large_list(t):
        values, at = rows(array.values), array.offsets.to_pylist()
        return valid(array, [values[a:b] for a, b in zip(at, at[1:])])
    if is_.is_timestamp(t) or is_.is_duration(t) or is_.is_time64(t):
        return numbers(array, pa.int64(), 1000 if is_.is_timestamp(t) and t.unit == "s" else 1)
    if is_.is_time32(t):
        return numbers(array, pa.int32(), 1000 if t.unit == "s" else 1)
    if is_.is_date64(t):
        return [None if v is None else v // 86400000 for v in array.view(pa.int64()).to_pylist()]
    if is_.is_date32(t):
        return numbers(array, pa.int32())
    if is_.is_float32(t):
        return numbers(array, pa.uint32())
    if is_.is_float64(t):
        return numbers(array, pa.uint64())
    if is_.is_float16(t):
        return [None if v is None else struct.pack("<H", v).hex() for v in array.view(pa.uint16()).to_pylist()]
    if is_.is_decimal(t):
        return [None if v is None else int(v.scaleb(t.scale, WIDE)) for v in array.to_pylist()]
    if t == pa.month_day_nano_interval():
        return [None if v is None else struct.pack("<iii", v.months, v.days, v.nanoseconds // 1000000).hex() for v in array.to_pylist()]
    if is_.is_null(t) or is_.is_boolean(t) or is_.is_integer(t):
        return array.to_pylist()
    return [None if v is None else (v.encode() if isinstance(v, str) else v).hex() for v in array.to_pylist()]


def written(stem):
    parts = glob.glob(glob.escape(stem) + ".*.arrow")
    for part in sorted(parts, key=lambda p: int(p.split(".")[-2])):
        with pa.OSFile(part) as f:
            for batch in pa.ipc.open_stream(f):
                yield from zip(*(rows(c) for c in batch.columns))


def main():
    bad = files = values = 0
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.parquet"))):
        stem = path[:-8]
        name = os.path.basename(stem)
        files += 1
        if os.path.exists(stem + ".error"):
            bad += 1
            print(f"{name}: not read: {open(stem + '.error').read()[:1500]}")
            continue
        with open(stem + ".rows") as f:
            got = [json.loads(line) for line in f]
        want = [list(row) for row in written(stem)]
        if len(got) != len(want):
            bad += 1
            print(f"{name}: {len(got)} rows, not {len(want)}")
        for k, (a, b) in enumerate(zip(got, want)):
            values += len(b)
            wrong = [i for i in range(max(len(a), len(b))) if a[i : i + 1] != b[i : i + 1]]
            if wrong:
                bad += 1
                i = wrong[0]
                print(f"{name}: row {k}, columns {wrong}: {a[i : i + 1]}, not {b[i : i + 1]}"[:400])
                break
    print(f"parquet-java read {files} files and {values} values")
    sys.exit(1 if bad or not values else 0)


main()
