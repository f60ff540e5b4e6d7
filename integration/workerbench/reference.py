"""A plain worker to compare with, written for the benchmark: what a Sentinel
gives it runs in a fresh interpreter, the whole result is read into memory,
written with pyarrow, and reported. One job at a time; nothing is kept.

    reference.py ENDPOINT IDENTITY OUTPUT SHIM PLUGINS
"""
import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import zmq

HEADER = struct.Struct("!BBHQI")
VERSION, IDENTIFY, DISPATCH, CONCLUDE = 4, 1, 2, 5
END, ERROR = 0, 0xFFFFFFFF


def main():
    endpoint, identity, output, shim, plugins = sys.argv[1:]
    dealer = zmq.Context().socket(zmq.DEALER)
    dealer.setsockopt(zmq.IDENTITY, identity.encode())
    dealer.connect(endpoint)
    send(dealer, IDENTIFY, 0, {"capabilities": plugins.split(","), "worker_id": identity})
    while True:
        header, *payload = dealer.recv_multipart()
        _, op, _, job, _ = HEADER.unpack(header)
        if op != DISPATCH:
            continue
        dispatch = json.loads(payload[0])
        try:
            rows, path = run(job, dispatch, output, shim)
            receipt = {"status": "SUCCESS", "metrics": {"rows": rows}, "error_message": None,
                       "artifacts": [{"topic": "output", "uri": "parquet://" + path}]}
        except Exception as error:
            receipt = {"status": "FAILED", "metrics": {}, "artifacts": [], "error_message": str(error)}
        send(dealer, CONCLUDE, job, receipt)


def send(dealer, op, job, fields):
    payload = json.dumps(fields).encode()
    dealer.send_multipart([HEADER.pack(VERSION, op, 0, job, len(payload)), payload])


def run(job, dispatch, output, shim):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = os.path.join(folder, "bridge.sock")
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(60)
        environ = dict(
            os.environ, BRIDGE_SOCKET=path, BRIDGE_JOB_ID=str(job), BRIDGE_FILE_PATH=dispatch["file_path"],
            BRIDGE_FILE_VERSION_ID=str(dispatch["file_version_id"]),
            BRIDGE_PLUGIN_CODE=base64.b64encode(dispatch["source_code"].encode()).decode())
        guest = subprocess.Popen([sys.executable, shim], env=environ, stdout=subprocess.DEVNULL)
        try:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as frames:
                batches = list(read(frames))
        finally:
            guest.wait()
    table = pa.Table.from_batches(batches)
    for name, value in (("_job_id", job), ("_file_version_id", dispatch["file_version_id"])):
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), table.num_rows))
    target = os.path.join(output, "output_%d.parquet" % job)
    pq.write_table(table, target)
    return table.num_rows, target


def read(frames):
    while True:
        (length,) = struct.unpack("!I", exactly(frames, 4))
        if length == END:
            return
        if length == ERROR:
            (length,) = struct.unpack("!I", exactly(frames, 4))
            raise RuntimeError(exactly(frames, length).decode())
        yield from pa.ipc.open_stream(exactly(frames, length))


def exactly(frames, length):
    content = frames.read(length)
    if len(content) != length:
        raise RuntimeError("the guest's connection ended early")
    return content


if __name__ == "__main__":
    main()
