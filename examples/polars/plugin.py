"""Polars frames: the windiest hours of each airport and month."""

import polars as pl


class Handler:
    def configure(self, context, config):
        self.context = context
        self.windy = context.register_topic("windy", default_uri="parquet://windy.parquet")

    def consume(self, event):
        hours = pl.read_csv(event.path, null_values=["NA"], infer_schema_length=10_000)
        windiest = (
            hours.filter(pl.col("wind_speed") < 250)
            .sort("wind_speed", descending=True)
            .group_by("origin", "month", maintain_order=True)
            .head(3)
            .select("origin", "month", "day", "hour", "wind_speed", "wind_gust")
            .sort("origin", "month", "wind_speed", descending=[False, False, True])
        )
        self.context.publish(self.windy, windiest)
