"""A file in which there is nothing to be found: no rows, told in several ways."""

import pandas as pd
import pyarrow as pa


class Handler:
    def consume(self, event):
        yield None
        yield pd.DataFrame({"a": pd.Series([], dtype="int64")})
        yield pa.table({"a": pa.array([], pa.int64())})
