#!/usr/bin/env python
"""Writes the golden vectors of protocol v4, or checks that they are unchanged.

    .tools/py/bin/python integration/rosetta/golden.py           # writes
    .tools/py/bin/python integration/rosetta/golden.py --check   # compares

Each vector is a file of protocol/testdata/vectors: one frame a line, in hex, an empty
line for an empty frame. index.json says what each means. Vectors are only ever
added: those that are there are what workers and Sentinels in the field send.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from cases import HASH, ORDINARY, SINK, TEXTS, go_value
from wire import INT64_MAX, INT64_MIN, UINT64_MAX, Op, Payload, compact, pack, pack_model

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "testdata" / "vectors"


def vectors() -> Iterator[Tuple[Dict[str, Any], List[bytes]]]:
    yield from _sound()
    yield from _odd()
    yield from _broken()


def _sound() -> Iterator[Tuple[Dict[str, Any], List[bytes]]]:
    """What Go writes, too, byte for byte."""

    def vector(name: str, about: str, op: Op, job_id: int, model: Optional[Payload]):
        entry = {"name": name, "about": about, "op": op.name, "job_id": job_id, "value": go_value(model), "canonical": True}
        return entry, pack_model(op, job_id, model)

    def of(name: str, about: str, op: Op, **update: Any):
        return vector(name, about, op, 7, ORDINARY[op].model_copy(update=update))

    for op, model in ORDINARY.items():
        yield vector(op.name.lower(), f"an ordinary {op.name}", op, 7, model)
        yield vector(f"{op.name.lower()}_job_0", "about no job", op, 0, model)
        yield vector(f"{op.name.lower()}_job_max", "the highest job id", op, UINT64_MAX, model)
        if model is not None:
            optional = [n for n, info in type(model).model_fields.items() if not info.is_required()]
            if optional:
                yield of(f"{op.name.lower()}_nulls", "every optional field is null", op, **dict.fromkeys(optional))

    yield of("identify_no_capability", "a worker that can run nothing", Op.IDENTIFY, capabilities=[])
    yield of("dispatch_no_sink", "no sink at all", Op.DISPATCH, sinks=[])
    yield of("dispatch_repeated_sinks", "the same sink again, as after a reload", Op.DISPATCH, sinks=[SINK, SINK])
    yield of("dispatch_system", "the machine's own Python", Op.DISPATCH, env_hash="system")
    yield of("dispatch_empty_source", "an empty plugin", Op.DISPATCH, source_code="")
    yield of("dispatch_version_min", "the lowest integer", Op.DISPATCH, file_version_id=INT64_MIN)
    yield of("dispatch_version_max", "the highest integer", Op.DISPATCH, file_version_id=INT64_MAX)
    yield of("dispatch_schema", "a schema that only passes through", Op.DISPATCH, sinks=[SINK.model_copy(
        update={"schema_def": {"b": [1, 2.5, None, {"é": "🦊"}], "a": 12345678901234567890}})])
    for about, name in (("control characters", "control"), ("emoji", "emoji"), ("combining", "combining"),
                        ("right to left", "rtl"), ("HTML", "html"), ("an escape as text", "escape"),
                        ("byte order mark", "bom"), ("edges of UTF-8", "edges")):
        yield of(f"err_{name}", f"text: {about}", Op.ERR, message=TEXTS[about], traceback=None)
    yield of("heartbeat_idle", "an idle worker", Op.HEARTBEAT, status="IDLE", current_job_id=None)
    yield of("heartbeat_busy_with_job_max", "busy with the highest job id", Op.HEARTBEAT, current_job_id=UINT64_MAX)
    yield of("conclude_success", "a receipt of success", Op.CONCLUDE, status="SUCCESS", error_message=None)
    yield of("conclude_bare", "a receipt without files or figures", Op.CONCLUDE, status="SUCCESS", metrics={}, artifacts=[], error_message=None)
    yield of("conclude_metrics", "integers at their ends", Op.CONCLUDE, metrics={"max": INT64_MAX, "min": INT64_MIN, "zero": 0})
    yield of("env_ready_new", "an environment built just now", Op.ENV_READY, cached=False)


def _odd() -> Iterator[Tuple[Dict[str, Any], List[bytes]]]:
    """What is taken, but written in another way."""

    def vector(name: str, about: str, op: Op, frames: List[bytes], value: Dict[str, Any]):
        return {"name": name, "about": about, "op": op.name, "job_id": 7, "value": value, "canonical": False}, frames

    asks = {"Status": "", "CurrentJobID": None}
    yield vector("heartbeat_asks_empty", "a Sentinel asks: empty payload", Op.HEARTBEAT, pack(Op.HEARTBEAT, 7, b""), asks)
    yield vector("heartbeat_asks_one_frame", "a Sentinel asks: the header alone", Op.HEARTBEAT, pack(Op.HEARTBEAT, 7, None), asks)
    yield vector("heartbeat_asks_null", "a Sentinel asks: null", Op.HEARTBEAT, pack(Op.HEARTBEAT, 7, b"null"), asks)
    yield vector("heartbeat_asks_nulls", "a Sentinel asks: nulls", Op.HEARTBEAT,
                 pack(Op.HEARTBEAT, 7, b'{"status":null,"current_job_id":null}'), asks)
    yield vector("abort_one_frame", "the header alone", Op.ABORT, pack(Op.ABORT, 7, None), {})
    yield vector("abort_payload", "a payload to ignore", Op.ABORT, pack(Op.ABORT, 7, b'{"reason":"user"}'), {})
    yield vector("reload_empty_payload", "an empty payload frame", Op.RELOAD, pack(Op.RELOAD, 7, b""), {})

    for op, model in ORDINARY.items():
        if model is None:
            continue
        whole, value, name = model.model_dump(), go_value(model), op.name.lower()
        yield vector(f"{name}_ascii", "blanks, and escapes for all that is not ASCII", op,
                     pack(op, 7, json.dumps(whole).encode()), value)
        yield vector(f"{name}_unknown_field", "a field of a later release", op,
                     pack(op, 7, compact({**whole, "trace": {"id": [1.5, None]}})), value)
        yield vector(f"{name}_reserved", "the reserved bytes are set", op,
                     pack(op, 7, compact(whole), reserved=0xFFFF), value)
    dispatch = ORDINARY[Op.DISPATCH]
    yield vector("dispatch_float", "an integer that went through a float", Op.DISPATCH,
                 pack(Op.DISPATCH, 7, compact({**dispatch.model_dump(), "file_version_id": 41.0})), go_value(dispatch))


def _broken() -> Iterator[Tuple[Dict[str, Any], List[bytes]]]:
    def vector(name: str, about: str, kind: str, frames: List[bytes], field: str = ""):
        return {"name": f"broken_{name}", "about": about, "kind": kind, "field": field}, frames

    header, body = pack_model(Op.DISPATCH, 7, ORDINARY[Op.DISPATCH])
    yield vector("no_frame", "nothing at all", "HeaderTooShort", [])
    yield vector("short_header", "15 bytes", "HeaderTooShort", [header[:15], body])
    yield vector("delimiter", "an empty frame first", "HeaderTooShort", [b"", header, body])
    yield vector("version_3", "an older protocol", "VersionMismatch", pack(Op.ERR, 7, b"{}", version=3))
    yield vector("opcode_0", "UNKNOWN", "InvalidOpCode", pack(0, 7, b""))
    yield vector("opcode_11", "an opcode of a newer Sentinel", "InvalidOpCode", pack(11, 7, b'{"a":1}'))
    yield vector("length", "a byte is missing", "PayloadLengthMismatch", [header, body[:-1]])
    yield vector("three_frames", "a frame too many", "PayloadLengthMismatch", [header, body, b""])
    yield vector("one_frame_dispatch", "a payload is announced and not there", "PayloadLengthMismatch", [header])
    yield vector("not_json", "half an object", "JsonError", pack(Op.DISPATCH, 7, body[: len(body) // 2]))
    yield vector("not_utf8", "Latin-1", "JsonError", pack(Op.ERR, 7, b'{"message":"gr\xfc\xdfe"}'))
    yield vector("lone_surrogate", "half of a character", "JsonError", pack(Op.ERR, 7, b'{"message":"\\ud83e"}'))
    yield vector("deep", "300 nested lists", "JsonError", pack(Op.ERR, 7, b'{"message":"","x":' + b"[" * 300 + b"]" * 300 + b"}"))
    yield vector("trailing", "something behind the object", "JsonError", pack(Op.ERR, 7, b'{"message":"a"}x'))
    whole = ORDINARY[Op.DISPATCH].model_dump()
    for name in ("plugin_name", "file_path", "sinks", "file_version_id", "env_hash", "source_code"):
        yield vector(f"dispatch_without_{name}", f"{name} is missing", "JsonError",
                     pack(Op.DISPATCH, 7, compact({k: v for k, v in whole.items() if k != name})), name)
    yield vector("dispatch_version_range", "2^63", "JsonError", pack(Op.DISPATCH, 7, compact({**whole, "file_version_id": 2**63})), "file_version_id")
    yield vector("prepare_env_without_hash", "env_hash is null", "JsonError",
                 pack(Op.PREPARE_ENV, 7, b'{"env_hash":null,"lockfile_content":""}'), "env_hash")
    yield vector("conclude_status", "a status that ends no job", "JsonError",
                 pack(Op.CONCLUDE, 7, b'{"status":"REJECTED","metrics":{},"artifacts":[]}'), "status")
    yield vector("conclude_metric", "a metric that is no integer", "JsonError",
                 pack(Op.CONCLUDE, 7, b'{"status":"SUCCESS","metrics":{"rows":1.5},"artifacts":[]}'), "metrics.rows")


def files() -> Dict[str, str]:
    """The content of every file of protocol/testdata/vectors."""
    out, index = {}, []
    for entry, frames in vectors():
        name = f"{entry['name']}.hex"
        if name in out:
            raise SystemExit(f"two vectors are named {entry['name']}")
        out[name] = "".join(frame.hex() + "\n" for frame in frames)
        index.append({**entry, "file": name})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    out["index.json"] = f"[\n{lines}\n]\n"
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files that are there, write nothing")
    options = parser.parse_args()
    want = files()
    if not options.check:
        VECTORS.mkdir(parents=True, exist_ok=True)
        for name, text in want.items():
            (VECTORS / name).write_bytes(text.encode())
        print(f"{len(want) - 1} vectors in {VECTORS}")
        return 0
    there = {path.name: path.read_text(encoding="utf-8") for path in VECTORS.glob("*.*") if path.is_file()}
    wrong = sorted(name for name in want.keys() | there.keys() if want.get(name) != there.get(name))
    for name in wrong:
        print(f"{name}: {'not there' if name not in there else 'not made here' if name not in want else 'differs'}")
    print(f"{len(want) - 1} vectors, {len(wrong)} files differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
