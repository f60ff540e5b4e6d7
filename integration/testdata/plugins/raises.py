"""Raises after some rows, with a cause and text that is not ASCII."""

import sys

import pandas as pd


class Handler:
    def consume(self, event):
        yield pd.DataFrame({"a": [1, 2, 3]})
        print("the last words on stdout")
        print("the last words on stderr", file=sys.stderr)
        raise ValueError("Zeile 4: »Menge« fehlt")
