"""A hundred rows from a small file, as most plugins do it."""
import pandas as pd
import pyarrow  # noqa: F401


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            rows = int(file.read())
        yield pd.DataFrame(
            {
                "id": range(rows),
                "value": [i * 0.5 for i in range(rows)],
                "name": [f"name {i % 7}" for i in range(rows)],
            }
        )
