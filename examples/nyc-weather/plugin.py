"""Hourly airport weather, cleaned and in metric units, and one row per airport and day.

Reads the file in chunks: a file of any size needs the memory of one chunk.
Publishes two topics, `hourly` and `daily`.
"""

import pandas as pd

from casparian_flow.sdk import BasePlugin, FileEvent, PluginMetadata

MANIFEST = PluginMetadata(
    pattern="*weather*.csv",
    subscriptions=[],
    sinks={
        "hourly": "parquet://nyc-weather/hourly.parquet",
        "daily": "parquet://nyc-weather/daily.parquet",
    },
    version="1.0.0",
    description="Hourly New York airport weather, cleaned, with daily figures",
)

CHUNK_ROWS = 5_000

# No wind on the ground was ever this strong (the record gust is 113 m/s). The
# source has one reading of 1048 mph, a known fault of the station.
STRONGEST_WIND = 115.0


class Handler(BasePlugin):
    def consume(self, event: FileEvent):
        days = []
        rows = 0
        for chunk in pd.read_csv(event.path, na_values=["NA"], chunksize=CHUNK_ROWS):
            hours = clean(chunk)
            rows += len(hours)
            print(f"{rows} hours read")
            self.publish("hourly", hours)
            days.append(sums_by_day(hours))
        self.publish("daily", daily(days))


def clean(raw: pd.DataFrame) -> pd.DataFrame:
    """One chunk of the source as typed, metric columns, faulty readings as nulls."""
    wind = raw["wind_speed"] * 0.44704
    return pd.DataFrame(
        {
            "airport": raw["origin"],
            "observed_at": pd.to_datetime(raw["time_hour"], utc=True),
            "local_date": pd.to_datetime(raw[["year", "month", "day"]]).dt.date,
            "temperature_c": ((raw["temp"] - 32) / 1.8).round(1),
            "dew_point_c": ((raw["dewp"] - 32) / 1.8).round(1),
            "humidity_percent": raw["humid"],
            "wind_from_degrees": raw["wind_dir"].astype("Int16"),
            "wind_m_s": wind.where(wind < STRONGEST_WIND).round(1),
            "gust_m_s": (raw["wind_gust"] * 0.44704).round(1),
            "rain_mm": (raw["precip"] * 25.4).round(2),
            "pressure_hpa": raw["pressure"],
            "visibility_km": (raw["visib"] * 1.609344).round(1),
        }
    )


def sums_by_day(hours: pd.DataFrame) -> pd.DataFrame:
    """What a chunk knows of each day. A day may lie across two chunks."""
    return hours.groupby(["airport", "local_date"], as_index=False).agg(
        hours=("observed_at", "count"),
        coldest_c=("temperature_c", "min"),
        warmest_c=("temperature_c", "max"),
        rain_mm=("rain_mm", "sum"),
        strongest_wind_m_s=("wind_m_s", "max"),
    )


def daily(chunks: list[pd.DataFrame]) -> pd.DataFrame:
    """The chunks' days put together."""
    if not chunks:
        return pd.DataFrame()
    days = pd.concat(chunks, ignore_index=True)
    return days.groupby(["airport", "local_date"], as_index=False).agg(
        hours=("hours", "sum"),
        coldest_c=("coldest_c", "min"),
        warmest_c=("warmest_c", "max"),
        rain_mm=("rain_mm", "sum"),
        strongest_wind_m_s=("strongest_wind_m_s", "max"),
    )
