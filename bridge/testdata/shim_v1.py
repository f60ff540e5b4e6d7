"""A version 1 shim, written from the description of the wire alone."""
import base64
import json
import os
import socket
import struct
import sys
import types

import pyarrow as pa


class Event:
    def __init__(self, path, file_id):
        self.path = path
        self.file_id = file_id


class Context:
    def __init__(self, sock):
        self.sock = sock
        self.rows = 0

    def register_topic(self, name, default_uri=None):
        return name

    def publish(self, handle, data):
        if not isinstance(data, (pa.Table, pa.RecordBatch)):
            data = pa.Table.from_pandas(data)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, data.schema) as writer:
            writer.write(data)
        body = sink.getvalue().to_pybytes()
        self.sock.sendall(struct.pack(">I", len(body)) + body)
        self.rows += data.num_rows


def main():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(os.environ["BRIDGE_SOCKET"])
    context = Context(sock)
    status = "success"
    try:
        source = base64.b64decode(os.environ["BRIDGE_PLUGIN_CODE"]).decode("utf-8")
        module = types.ModuleType("__bridge_plugin__")
        module.sock = sock
        exec(compile(source, "<plugin>", "exec"), module.__dict__)
        handler = module.Handler()
        if hasattr(handler, "configure"):
            handler.configure(context, {"job_id": os.environ["BRIDGE_JOB_ID"]})
        event = Event(os.environ["BRIDGE_FILE_PATH"], int(os.environ["BRIDGE_FILE_VERSION_ID"]))
        for frame in handler.consume(event) or ():
            context.publish(None, frame)
    except Exception as error:
        status = "failed"
        text = str(error).encode("utf-8")
        sock.sendall(b"\xff\xff\xff\xff" + struct.pack(">I", len(text)) + text)
    sock.sendall(b"\x00\x00\x00\x00")
    print(json.dumps({"rows_published": context.rows, "status": status}))
    sys.exit(0 if status == "success" else 1)


main()
