"""Lists of structs, and lists of strings."""
import numpy as np
import pyarrow as pa

ROWS = 50_000


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            rows = int(file.read())
        random = np.random.default_rng(7)
        offsets = pa.array(np.arange(0, 3 * ROWS + 1, 3, dtype=np.int32))
        points = pa.StructArray.from_arrays(
            [pa.array(random.random(3 * ROWS)), pa.array(random.integers(0, 1000, 3 * ROWS))], ["x", "n"]
        )
        words = np.array([f"word {i}" for i in range(50)])
        tags = pa.array(words[random.integers(0, 50, 3 * ROWS)])
        batch = pa.record_batch(
            {
                "id": pa.array(np.arange(ROWS)),
                "points": pa.ListArray.from_arrays(offsets, points),
                "tags": pa.ListArray.from_arrays(offsets, tags),
            }
        )
        for first in range(0, rows, ROWS):
            yield batch.slice(0, min(ROWS, rows - first))
