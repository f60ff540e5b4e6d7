"""pandas frames in chunks, as field plugins read a CSV file in chunks.

The job's file is JSON: rows, chunk (rows of one frame), and optionally gate and
gate_after (frames yielded before the gate).
"""

import json
import os

import pandas as pd


def stand_at(gate):
    if os.path.exists(os.path.join(gate, "open")):
        return
    with open(os.path.join(gate, "reached"), "w") as reached:
        reached.write("x")
    release = os.open(os.path.join(gate, "release"), os.O_RDONLY)
    os.read(release, 1)  # exactly one: the next byte is for another plugin
    os.close(release)


class Handler:
    def consume(self, event):
        with open(event.path) as file:
            wish = json.load(file)
        for number, start in enumerate(range(0, wish["rows"], wish["chunk"])):
            if wish.get("gate") and number == wish["gate_after"]:
                stand_at(wish["gate"])
            ids = range(start, min(start + wish["chunk"], wish["rows"]))
            yield pd.DataFrame(
                {
                    "id": list(ids),
                    "name": [f"näme {i % 97}" for i in ids],
                    "value": [i * 0.5 if i % 11 else None for i in ids],
                    "count": pd.array([i if i % 7 else None for i in ids], dtype="Int64"),
                    "at": pd.Timestamp("2024-03-01", tz="Europe/Berlin") + pd.to_timedelta(list(ids), unit="s"),
                    "flag": [i % 3 == 0 for i in ids],
                }
            )
        if wish.get("gate") and wish["gate_after"] < 0:
            stand_at(wish["gate"])
