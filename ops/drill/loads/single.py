"""One output of a few row groups, with nulls and a NaN."""
import pyarrow as pa

BATCHES, ROWS = 5, 50


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            first = int(file.read())
        for start in range(first, first + BATCHES * ROWS, ROWS):
            numbers = range(start, start + ROWS)
            yield pa.table({
                "id": pa.array(numbers, pa.int64()),
                "name": ["row %d" % n if n % 7 else None for n in numbers],
                "value": [n / 3 if n % 11 else float("nan") for n in numbers],
            })
