"""Returns one frame, not a list of frames."""

import pandas as pd


class Handler:
    def execute(self, path):
        return pd.DataFrame({"n": range(3)})
