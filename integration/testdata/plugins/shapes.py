"""What the field's shim refuses and users yield all the same: bare and mixed."""

import pandas as pd
import polars as pl
import pyarrow as pa


class Handler:
    def consume(self, event):
        return [
            None,
            {"n": [1, 2], "text": ["a", None]},
            [{"n": 3, "text": "c"}, {"n": 4}],
            pl.DataFrame({"n": [5], "text": ["e"]}),
            pd.DataFrame({"n": [6], "text": ["f"]}),
            pa.table({"n": [7], "text": ["g"]}),
            pa.record_batch({"n": [8], "text": [None]}, schema=pa.schema([("n", pa.int64()), ("text", pa.string())])),
        ]
