"""Lists, structs, maps and decimals, null at every level."""
from decimal import Decimal

import pyarrow as pa

BATCHES, ROWS = 4, 30

SCHEMA = pa.schema([
    ("id", pa.int64()),
    ("tags", pa.list_(pa.string())),
    ("place", pa.struct([("name", pa.string()), ("at", pa.struct([("x", pa.float64()), ("y", pa.float64())]))])),
    ("counts", pa.map_(pa.string(), pa.int32())),
    ("steps", pa.list_(pa.struct([("price", pa.decimal128(12, 2)), ("notes", pa.list_(pa.string()))]))),
])


def row(n):
    return {
        "id": n,
        "tags": None if n % 5 == 0 else ["tag %d" % i for i in range(n % 4)],
        "place": None if n % 7 == 0 else {"name": "place %d" % n, "at": None if n % 3 == 0 else {"x": n / 2, "y": -n}},
        "counts": None if n % 6 == 0 else [("key %d" % i, n * i) for i in range(n % 3)],
        "steps": None if n % 4 == 0 else [
            {"price": Decimal(n * i) / 4, "notes": None if i else ["first of %d" % n]} for i in range(n % 3)
        ],
    }


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            first = int(file.read())
        for start in range(first, first + BATCHES * ROWS, ROWS):
            yield pa.Table.from_pylist([row(n) for n in range(start, start + ROWS)], schema=SCHEMA)
