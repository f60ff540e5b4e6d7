"""Two topics with nested columns, in turns.

The job's file is JSON: frames (of 100 rows, two of `wide` to one of `deep`), and
optionally gate and gate_after (frames before the gate), and salt: a folder in
which each start of the plugin leaves a file; with it every start gives other data.
"""

import json
import os
import random

import pyarrow as pa

from casparian_flow.sdk import BasePlugin, FileEvent


def stand_at(gate):
    if os.path.exists(os.path.join(gate, "open")):
        return
    with open(os.path.join(gate, "reached"), "w") as reached:
        reached.write("x")
    release = os.open(os.path.join(gate, "release"), os.O_RDONLY)
    os.read(release, 1)  # exactly one: the next byte is for another plugin
    os.close(release)


class Handler(BasePlugin):
    def consume(self, event: FileEvent):
        with open(event.path) as file:
            wish = json.load(file)
        salt = 0
        if wish.get("salt"):
            salt = len(os.listdir(wish["salt"]))
            open(os.path.join(wish["salt"], str(os.getpid())), "w").close()
        dice = random.Random(7)
        for number in range(wish["frames"]):
            if wish.get("gate") and number == wish["gate_after"]:
                stand_at(wish["gate"])
            ids = range(number * 100, number * 100 + 100)
            if number % 3 == 2:
                self.publish(
                    "deep",
                    pa.table(
                        {
                            "id": pa.array(ids, pa.int64()),
                            "tree": pa.array(
                                [
                                    None if i % 11 == 0 else [{"k": f"k{i % 5}", "v": [i, None]}] * (i % 3)
                                    for i in ids
                                ],
                                pa.list_(pa.struct({"k": pa.string(), "v": pa.list_(pa.int32())})),
                            ),
                        }
                    ),
                )
                continue
            self.publish(
                "wide",
                pa.table(
                    {
                        "id": pa.array([i + salt for i in ids], pa.int64()),
                        "point": pa.array(
                            [None if i % 13 == 0 else {"x": dice.random(), "name": f"ö{i}"} for i in ids],
                            pa.struct({"x": pa.float64(), "name": pa.string()}),
                        ),
                        "sort": pa.array([f"s{i % 4}" for i in ids]).dictionary_encode(),
                    }
                ),
            )
