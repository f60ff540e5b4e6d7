"""Two topics with different columns, in turns; the names come from the job's file."""

import json

import pandas as pd
import pyarrow as pa

from casparian_flow.sdk import BasePlugin, FileEvent, PluginMetadata

MANIFEST = PluginMetadata(pattern="*.json", sinks={"odd": "parquet://odd.parquet"})


class Handler(BasePlugin):
    def consume(self, event: FileEvent):
        with open(event.path) as file:
            wish = json.load(file)
        for i in range(wish["rounds"]):
            self.publish("even", pd.DataFrame({"n": [2 * i, 2 * i + 2], "round": [i, i]}))
            self.publish("odd", pa.table({"odd": [2 * i + 1], "text": [f"round {i}"]}))
