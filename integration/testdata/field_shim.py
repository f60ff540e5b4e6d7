"""A guest shim as people in the field run their own copies of: version 1 of the
bridge, told by its environment, and strict about what a plugin may yield."""

import base64
import json
import os
import socket
import struct
import sys
import traceback

import pandas as pd
import pyarrow as pa

ERROR, END = b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"


class Context:
    def __init__(self, connection):
        self.connection = connection
        self.topics = []
        self.rows = 0

    def register_topic(self, name, default_uri=None):
        self.topics.append(name)
        return len(self.topics) - 1

    def publish(self, handle, data):
        if isinstance(data, pd.DataFrame):
            data = pa.Table.from_pandas(data)
        elif isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        elif not isinstance(data, pa.Table):
            raise TypeError(f"cannot publish {type(data).__name__}")
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, data.schema) as writer:
            writer.write_table(data)
        stream = buffer.getvalue()
        self.connection.sendall(struct.pack("!I", stream.size))
        self.connection.sendall(stream)
        self.rows += data.num_rows


class Event:
    def __init__(self, path, file_id):
        self.path, self.file_id = path, file_id


def run(context):
    namespace = {"__name__": "__bridge_plugin__"}
    exec(base64.b64decode(os.environ["BRIDGE_PLUGIN_CODE"]).decode(), namespace)
    handler = namespace["Handler"]()
    if hasattr(handler, "configure"):
        handler.configure(context, {})
    path = os.environ["BRIDGE_FILE_PATH"]
    try:
        result = handler.consume(Event(path, int(os.environ["BRIDGE_FILE_VERSION_ID"])))
    except (AttributeError, NotImplementedError):
        result = handler.execute(path)
    handle = context.register_topic("output")
    for item in result or []:
        context.publish(handle, item)


def main():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(os.environ["BRIDGE_SOCKET"])
        context = Context(connection)
        status = "SUCCESS"
        try:
            run(context)
        except Exception:
            status = "FAILED"
            message = traceback.format_exc().encode()
            connection.sendall(ERROR + struct.pack("!I", len(message)) + message)
        connection.sendall(END)
    print(json.dumps({"rows_published": context.rows, "status": status}))
    return 0 if status == "SUCCESS" else 1


if __name__ == "__main__":
    sys.exit(main())
