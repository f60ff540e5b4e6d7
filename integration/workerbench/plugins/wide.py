"""Five hundred columns."""
import numpy as np
import pyarrow as pa

ROWS, COLUMNS = 2_000, 500


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            rows = int(file.read())
        random = np.random.default_rng(7)
        words = np.array([f"word {i}" for i in range(50)])
        kinds = [
            lambda: pa.array(random.integers(0, 2**40, ROWS)),
            lambda: pa.array(random.random(ROWS)),
            lambda: pa.array(random.integers(0, 1000, ROWS), pa.int32()),
            lambda: pa.array(words[random.integers(0, 50, ROWS)]),
            lambda: pa.array([f"{i:016x}" for i in random.integers(0, 2**62, ROWS)]),
        ]
        batch = pa.record_batch({f"c{i:03}": kinds[i % len(kinds)]() for i in range(COLUMNS)})
        for first in range(0, rows, ROWS):
            yield batch.slice(0, min(ROWS, rows - first))
