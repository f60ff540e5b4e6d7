"""Encodes an Arrow IPC file as Parquet with pyarrow, as it comes or tuned by hand.

How it is asked and how it answers: contestant.go. The third argument is the
tuning as JSON; without it pyarrow's defaults hold, but for the codec.
"""

import json
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq


def options(codec: str, tuning: dict | None) -> dict:
    level = 1 if codec == "zstd" else None
    if tuning is None:
        return {"compression": codec, "compression_level": level}
    plain = set(tuning["uncompressed"])
    columns = tuning["columns"]
    return {
        "compression": {name: "none" if name in plain else codec for name in columns},
        "compression_level": {name: level for name in columns if name not in plain} if level else None,
        "use_dictionary": tuning["dictionary"],
        "column_encoding": tuning["encodings"],
    }


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        table = pa.ipc.open_file(pa.BufferReader(file.read())).read_all()
    chosen = options(sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else None)

    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        _, _, path = line.rstrip("\n").partition(" ")
        sink = pa.OSFile(path, "wb") if path else pa.MockOutputStream()
        pq.write_table(table, sink, **chosen)
        size = sink.tell() if path else sink.size()
        sink.close()
        print(time.process_time() - cpu, time.perf_counter() - wall, size, flush=True)


main()
