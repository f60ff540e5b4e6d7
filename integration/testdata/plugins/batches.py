"""pyarrow record batches and one table, published through register_topic and publish."""

import json

import pyarrow as pa


class Handler:
    def configure(self, context, config):
        self.context = context
        self.handle = context.register_topic("output")

    def consume(self, event):
        with open(event.path) as file:
            wish = json.load(file)
        for start in range(0, wish["rows"], wish["chunk"]):
            ids = range(start, min(start + wish["chunk"], wish["rows"]))
            batch = pa.record_batch(
                {
                    "id": pa.array(ids, pa.int64()),
                    "word": pa.array([f"w{i % 13}" for i in ids], pa.string()).dictionary_encode(),
                    "list": pa.array([[i, None] if i % 5 else None for i in ids], pa.list_(pa.int32())),
                    "pair": pa.array([{"a": i, "b": str(i)} for i in ids]),
                }
            )
            # A table of one batch, or the batch itself: both are Arrow.
            self.context.publish(self.handle, pa.Table.from_batches([batch]) if start else batch)
