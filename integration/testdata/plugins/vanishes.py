"""Ends the process without a word, as an out-of-memory kill would."""

import os

import pandas as pd


class Handler:
    def consume(self, event):
        yield pd.DataFrame({"a": [1, 2, 3]})
        os._exit(0)
