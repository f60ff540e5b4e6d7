"""Runs a plugin in this process and gives what it yields as Arrow tables, so that
a test can say: the file holds what the plugin yielded."""

import sys
import types

import pandas as pd
import polars as pl
import pyarrow as pa


class Stage:
    """The plugin's context: keeps what is published, by topic."""

    def __init__(self):
        self.published: dict[str, list[pa.Table]] = {}

    def register_topic(self, name, default_uri=None):
        return name

    def publish(self, handle, data):
        table = as_table(data)
        if table is not None:
            self.published.setdefault(handle, []).append(table)


class FileEvent:
    def __init__(self, path, file_id=0):
        self.path, self.file_id = path, file_id


class PluginMetadata:
    def __init__(self, **facts):
        self.__dict__.update(facts)


class BasePlugin:
    def configure(self, ctx, config):
        self.ctx = ctx

    def publish(self, topic, data):
        self.ctx.publish(topic, data)


def rehearse(plugin: str, path: str) -> dict[str, list[pa.Table]]:
    """What a plugin file yields for an input file, by topic."""
    sdk = types.ModuleType("casparian_flow.sdk")
    sdk.FileEvent, sdk.PluginMetadata, sdk.BasePlugin = FileEvent, PluginMetadata, BasePlugin
    sys.modules["casparian_flow"] = types.ModuleType("casparian_flow")
    sys.modules["casparian_flow.sdk"] = sdk

    namespace = {"__name__": "__bridge_plugin__"}
    with open(plugin, encoding="utf-8") as file:
        exec(compile(file.read(), plugin, "exec"), namespace)
    handler, stage = namespace["Handler"](), Stage()
    if hasattr(handler, "configure"):
        handler.configure(stage, {})
    if hasattr(handler, "consume"):
        result = handler.consume(FileEvent(path))
    else:
        result = handler.execute(path)
    for item in [result] if is_table(result) else result or []:
        stage.publish("output", item)
    return stage.published


def is_table(value) -> bool:
    return isinstance(value, (pd.DataFrame, pl.DataFrame, pa.Table, pa.RecordBatch, dict))


def as_table(data) -> pa.Table | None:
    match data:
        case None:
            return None
        case pd.DataFrame():
            return pa.Table.from_pandas(data)
        case pl.DataFrame():
            return data.to_arrow()
        case pa.RecordBatch():
            return pa.Table.from_batches([data])
        case dict() if any(isinstance(value, list) for value in data.values()):
            return pa.table(data)
        case dict():  # one row
            return pa.Table.from_pylist([data])
        case list():
            return pa.Table.from_pylist(data)
    return data
