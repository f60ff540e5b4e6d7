"""What is said in both directions: every opcode, every payload, every extreme."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional

from wire import (
    INT64_MAX, INT64_MIN, UINT64_MAX, Conclude, Deploy, Dispatch, EnvReady, Err, Heartbeat,
    Identify, Op, Payload, PrepareEnv, Sink, compact, pack, pack_model,
)

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

TEXTS = {
    "empty": "",
    "blanks": " \t ",
    "quotes and backslashes": "\"'\\/\\\"",
    "control characters": "".join(map(chr, range(32))),
    "DEL, NEL, line and paragraph separator": "\x7f\x85\u2028\u2029",
    "HTML": "<a href='x'>&amp;</a>",
    "emoji": "🦊👩‍👩‍👧‍👦🏳️‍🌈",
    "combining": "e\u0301 A\u030a \u1100\u1161\u11a8",
    "right to left": "שלום\u202e مرحبا",
    "byte order mark": "\ufeffx\ufeff",
    "edges of UTF-8": "\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0010ffff",
    "an escape as text": "\\u0041\\ud800 \\n",
    "SQL and shell": "'; DROP TABLE jobs; -- $(rm -rf) `x`",
    "lines": "a\nb\r\nc\rd",
}

INTEGERS = [0, 1, -1, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, -(2**53) - 1, INT64_MAX, INT64_MIN]
JOB_IDS = [0, 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, UINT64_MAX - 1, UINT64_MAX]

OPAQUE = {
    "absent": None,
    "object": {"fields": [{"name": "a", "type": {"type": "list", "of": "int64"}}], "é": "🦊"},
    "empty object": {},
    "list": [1, "two", None, True],
    "string": "a: int64",
    "empty string": "",
    "number": 12345678901234567890,
    "false": False,
    "zero": 0,
}

SINK = Sink(topic="output", uri="parquet://sales/out.parquet", mode="append")

# One ordinary message for each opcode, with every optional field present.
ORDINARY: Dict[Op, Optional[Payload]] = {
    Op.IDENTIFY: Identify(capabilities=["sales", "invoices"], worker_id="edge-7"),
    Op.DISPATCH: Dispatch(
        plugin_name="sales", file_path="/data/in/2024-01.csv",
        sinks=[SINK, Sink(topic="errors", uri="parquet://errors.parquet?compression=zstd", mode="replace",
                          schema_def={"id": "int64"})],
        file_version_id=41, env_hash=HASH, source_code="class Handler:\n    pass\n", artifact_hash=HASH[::-1]),
    Op.ABORT: None,
    Op.HEARTBEAT: Heartbeat(status="BUSY", current_job_id=7),
    Op.CONCLUDE: Conclude(
        status="FAILED", metrics={"bytes": 4096, "rows": 1000},
        artifacts=[{"topic": "output", "uri": "parquet:///out/sales_7.parquet"}], error_message="boom"),
    Op.ERR: Err(message="Bad IDENTIFY payload", traceback="Traceback (most recent call last):\n  ..."),
    Op.RELOAD: None,
    Op.PREPARE_ENV: PrepareEnv(env_hash=HASH, lockfile_content="version = 1\n", python_version="3.11"),
    Op.ENV_READY: EnvReady(env_hash=HASH, interpreter_path="/venvs/9f86/bin/python", cached=True),
    Op.DEPLOY: Deploy(
        plugin_name="sales", version="1.2.0", source_code="class Handler: ...", lockfile_content="version = 1\n",
        env_hash=HASH, artifact_hash=HASH[::-1], signature="c2ln", publisher_name="Ada",
        publisher_email="ada@example.org", azure_oid="00000000-0000-0000-0000-000000000000",
        system_requirements=["libpq"]),
}

# Fields that must not be empty, on both sides.
NAMED = {
    Op.DISPATCH: {"plugin_name", "file_path", "env_hash"},
    Op.PREPARE_ENV: {"env_hash"},
    Op.ENV_READY: {"env_hash"},
    Op.DEPLOY: {"plugin_name", "env_hash"},
}

# Fields that only have a fixed set of values.
FIXED = {(Op.HEARTBEAT, "status"), (Op.CONCLUDE, "status")}


@dataclass
class Case:
    """One message that both sides can say."""

    name: str
    op: Op
    job_id: int
    model: Optional[Payload]


def cases() -> Iterator[Case]:
    for op, model in ORDINARY.items():
        for job_id in JOB_IDS:
            yield Case(f"job id {job_id}", op, job_id, model)
        if model is not None:
            yield from _texts(op, model)
            yield from _optionals(op, model)
    yield from _particular()


def _texts(op: Op, model: Payload) -> Iterator[Case]:
    for name, value in model.model_dump().items():
        if not isinstance(value, str) or (op, name) in FIXED:
            continue
        for about, text in TEXTS.items():
            if text or name not in NAMED.get(op, ()):
                yield Case(f"{name}: {about}", op, 1, model.model_copy(update={name: text}))


def _optionals(op: Op, model: Payload) -> Iterator[Case]:
    optional = [name for name, info in type(model).model_fields.items() if not info.is_required()]
    for name in optional:
        yield Case(f"{name} absent", op, 2, model.model_copy(update={name: None}))
    if optional:
        yield Case("no optional field", op, 2, model.model_copy(update=dict.fromkeys(optional)))


def _particular() -> Iterator[Case]:
    def of(op: Op, name: str, **update: Any) -> Case:
        return Case(name, op, 3, ORDINARY[op].model_copy(update=update))

    yield of(Op.IDENTIFY, "no capability", capabilities=[])
    yield of(Op.IDENTIFY, "10,000 capabilities", capabilities=[f"plugin_{i}" for i in range(10_000)])
    yield of(Op.IDENTIFY, "capabilities of all texts", capabilities=list(TEXTS.values()))

    yield of(Op.DISPATCH, "no sink", sinks=[])
    yield of(Op.DISPATCH, "the same sink 1,000 times", sinks=[SINK] * 1000)
    for about, text in TEXTS.items():
        if text:
            yield of(Op.DISPATCH, f"sink: {about}", sinks=[Sink(topic=text, uri=text, mode=text)])
    yield of(Op.DISPATCH, "sink with an empty mode", sinks=[SINK.model_copy(update={"mode": ""})])
    for about, schema in OPAQUE.items():
        yield of(Op.DISPATCH, f"schema_def: {about}", sinks=[SINK.model_copy(update={"schema_def": schema})])
        yield of(Op.DEPLOY, f"system_requirements: {about}", system_requirements=schema)
    for value in INTEGERS:
        yield of(Op.DISPATCH, f"file_version_id {value}", file_version_id=value)
        yield of(Op.CONCLUDE, f"metric {value}", metrics={"rows": value})

    for status in ("IDLE", "BUSY"):
        for job in [None, *JOB_IDS]:
            yield of(Op.HEARTBEAT, f"{status}, job {job}", status=status, current_job_id=job)

    for status in ("SUCCESS", "FAILED"):
        yield of(Op.CONCLUDE, status, status=status)
        yield of(Op.CONCLUDE, f"{status} and nothing else", status=status, metrics={}, artifacts=[], error_message=None)
    yield of(Op.CONCLUDE, "1,000 metrics", metrics={f"m{i:04}": i for i in range(1000)})
    yield of(Op.CONCLUDE, "metrics named by all texts", metrics={text: i for i, text in enumerate(TEXTS.values())})
    for about, text in TEXTS.items():
        if text:
            yield of(Op.CONCLUDE, f"artifact: {about}", artifacts=[{"topic": text, "uri": text, text: text}])
    yield of(Op.CONCLUDE, "an artifact with more fields",
             artifacts=[{"topic": "t", "uri": "u", "rows": "", "": "empty name"}])

    yield of(Op.ENV_READY, "not cached", cached=False)


def huge(megabytes: int) -> Iterator[Case]:
    """Payloads of the given size, one for each field that may be large."""
    size = megabytes << 20
    plain = "x = 1  # <&>\n"
    source = plain * (size // len(plain))
    snowy = "☃ä🦊 = '\\\"'\n"
    text = snowy * (size // len(snowy.encode()))

    def of(op: Op, name: str, **update: Any) -> Case:
        return Case(f"{megabytes} MB of {name}", op, UINT64_MAX, ORDINARY[op].model_copy(update=update))

    yield of(Op.DISPATCH, "source", source_code=source)
    yield of(Op.PREPARE_ENV, "lockfile in many scripts", lockfile_content=text)
    yield of(Op.CONCLUDE, "error message", error_message=source)
    yield of(Op.ERR, "traceback in many scripts", traceback=text)
    yield of(Op.DEPLOY, "source", source_code=source)
    yield of(Op.IDENTIFY, "one capability", capabilities=[source])
    yield of(Op.ENV_READY, "interpreter path", interpreter_path=source)


# --- how Go names the same things -------------------------------------------

_GO_WORDS = {"id": "ID", "uri": "URI", "oid": "OID"}


def go_name(wire_name: str) -> str:
    return "".join(_GO_WORDS.get(word, word.capitalize()) for word in wire_name.split("_"))


# Optional fields that are not text: absent is null in Go, too.
_NULLABLE = {"current_job_id", "schema_def", "system_requirements"}


def go_value(model: Optional[Payload]) -> Dict[str, Any]:
    """The Go struct of a payload, as encoding/json writes it without tags."""
    if model is None:
        return {}

    def convert(fields: Dict[str, Any]) -> Dict[str, Any]:
        out = {}
        for name, value in fields.items():
            if value is None and name not in _NULLABLE:
                value = ""
            if name == "sinks":
                value = [convert(sink) for sink in value]
            out[go_name(name)] = value
        return out

    return convert(model.model_dump())


def as_sent_by_go(model: Payload) -> Payload:
    """In Go an optional text that is empty is absent, and is sent as null."""
    empty = [name for name, info in type(model).model_fields.items()
             if not info.is_required() and name not in _NULLABLE and getattr(model, name) == ""]
    return model.model_copy(update=dict.fromkeys(empty))


# --- the ways in which Python writes one payload ----------------------------


def spellings(case: Case) -> Dict[str, List[bytes]]:
    """Frames that all mean the same message."""
    if case.op == Op.RELOAD:
        return {
            "one frame": pack(case.op, case.job_id, None),
            "an empty payload": pack(case.op, case.job_id, b""),
            "a payload to ignore": pack(case.op, case.job_id, b'{"why":"config"}'),
        }
    if case.op == Op.ABORT:
        return {
            "an empty payload": pack(case.op, case.job_id, b""),
            "one frame": pack(case.op, case.job_id, None),
            "a payload to ignore": pack(case.op, case.job_id, b"{}"),
        }
    whole = case.model.model_dump()
    return {
        "pydantic": pack(case.op, case.job_id, case.model.model_dump_json().encode()),
        "compact": pack(case.op, case.job_id, compact(whole)),
        "ASCII with blanks": pack(case.op, case.job_id, json.dumps(whole).encode()),
        "absent for null, another order, indented": pack(case.op, case.job_id, json.dumps(
            _reversed(_without_nulls(whole)), indent=2, ensure_ascii=False).encode()),
        "with unknown fields": pack(case.op, case.job_id, compact(
            {"trace_id": None, "Status": 1, **whole, "x": [{"y": {}}, True, 0.5, "z"]})),
        "reserved bytes set": pack(case.op, case.job_id, compact(whole), reserved=0xBEEF),
    }


def _without_nulls(fields: Dict[str, Any]) -> Dict[str, Any]:
    """Leaves out absent optional fields; what is inside of opaque JSON stays."""
    kept = {name: value for name, value in fields.items() if value is not None}
    if "sinks" in kept:
        kept["sinks"] = [_without_nulls(sink) for sink in kept["sinks"]]
    return kept


def _reversed(fields: Dict[str, Any]) -> Dict[str, Any]:
    return dict(reversed(list(fields.items())))
