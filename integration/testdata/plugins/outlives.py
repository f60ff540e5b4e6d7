"""Two topics in turns, `few` getting one frame in five. The plugin counts its starts.

The job's file is JSON: folder (for what the plugin tells), frames and rows (of one
frame), and optionally gate and gate_after (frames before the gate; below zero: behind
the last one), pause (seconds before each frame), print (bytes, before each frame
behind the gate), and raises.
"""

import json
import os
import time

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

        def tell(what):
            open(os.path.join(wish["folder"], what), "w").close()

        tell("start-%d" % os.getpid())
        behind = False
        for number in range(wish["frames"]):
            if wish.get("gate") and number == wish["gate_after"]:
                stand_at(wish["gate"])
                behind = True
                tell("behind the gate")
            time.sleep(wish.get("pause", 0))  # stands for work
            if behind and wish.get("print"):
                print("x" * wish["print"])
            ids = range(number * wish["rows"], (number + 1) * wish["rows"])
            self.publish(
                "few" if number % 5 == 4 else "many",
                pa.table({"id": pa.array(ids, pa.int64()), "name": [f"ñ{i % 97}" for i in ids]}),
            )
        if wish.get("gate") and wish["gate_after"] < 0:
            stand_at(wish["gate"])
        tell("end")
        if wish.get("raises"):
            raise ValueError("as asked")
