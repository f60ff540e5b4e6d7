"""Prints 50 MB to each of stdout and stderr between its rows, also past Python."""

import os
import sys

import pandas as pd

LINE = "x" * 1023 + "\n"
MEGABYTES = 50


class Handler:
    def consume(self, event):
        for megabyte in range(MEGABYTES):
            for _ in range(512):
                sys.stdout.write(LINE)
                sys.stderr.write(LINE)
            sys.stdout.flush()
            os.write(1, LINE.encode() * 512)
            os.write(2, LINE.encode() * 512)
            yield pd.DataFrame({"megabyte": [megabyte]})
        print("noise ends here")
        if os.path.getsize(event.path) == 0:
            raise RuntimeError("and now it breaks")
