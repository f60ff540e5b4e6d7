"""A CSV file read by pandas in chunks."""
import pandas as pd
import pyarrow  # noqa: F401


class Handler:
    def consume(self, event):
        for chunk in pd.read_csv(event.path, chunksize=100_000):
            yield chunk
