"""Six mixed columns in a long stream, made with as little work as possible: the
worker is to be measured, not the plugin."""
import numpy as np
import pyarrow as pa

ROWS = 65_536


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            rows = int(file.read())
        random = np.random.default_rng(7)
        words = np.array([f"word {i}" for i in range(50)])
        low = pa.array(words[random.integers(0, 50, ROWS)])
        high = pa.array([f"{i:016x}" for i in random.integers(0, 2**62, ROWS)])
        small = pa.array(random.integers(0, 1000, ROWS), pa.int32())
        values = pa.array(random.random(ROWS))
        start = np.arange(ROWS, dtype=np.int64)
        for first in range(0, rows, ROWS):
            sequence = start + first
            yield pa.record_batch(
                {
                    "id": pa.array(sequence),
                    "value": values,
                    "small": small,
                    "low": low,
                    "high": high,
                    "at": pa.array(sequence * 1_000_000, pa.timestamp("us")),
                }
            ).slice(0, min(ROWS, rows - first))
