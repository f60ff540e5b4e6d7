"""What Python gets wrong, and what the Go side must make of it: a fault of the
right kind and field, or tolerance where the wire really is like that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional

from cases import HASH, ORDINARY, SINK, go_value
from wire import HEADER, INT64_MAX, UINT64_MAX, Op, compact, pack, pack_model


@dataclass
class Broken:
    name: str
    frames: List[bytes]
    kind: str
    field: str = ""  # for JsonError; empty is the payload as a whole
    job_id: int = 0  # what Go must still know of the message


@dataclass
class Tolerated:
    name: str
    frames: List[bytes]
    op: Op
    job_id: int
    value: Dict[str, Any]


@dataclass
class Stream:
    """One message as a file or pipe carries it; kind is empty when it is sound."""

    name: str
    data: bytes
    kind: str


@dataclass
class Refused:
    """A Go struct that Encode must not send."""

    name: str
    op: Op
    value: Dict[str, Any]
    field: str


def broken() -> Iterator[Broken]:
    yield from _broken_frames()
    for op, model in ORDINARY.items():
        if model is not None:
            yield from _broken_json(op)
    yield from _broken_fields()


def _broken_frames() -> Iterator[Broken]:
    sound = pack_model(Op.PREPARE_ENV, 9, ORDINARY[Op.PREPARE_ENV])
    header, body = sound

    yield Broken("no frame", [], "HeaderTooShort")
    for size in (0, 1, 8, 15):
        yield Broken(f"header of {size} bytes", [header[:size], body], "HeaderTooShort")
    yield Broken("the empty frame of a REQ socket", [b"", header, body], "HeaderTooShort")

    for version in (0, 1, 3, 5, 255):
        yield Broken(f"version {version}", pack(Op.ERR, 9, b"{}", version=version), "VersionMismatch")
    yield Broken("HTTP", [b"GET / HTTP/1.1\r\n\r\n"], "VersionMismatch")
    yield Broken("version 3 and opcode 99", pack(99, 9, b"{}", version=3), "VersionMismatch")

    for op in (0, 11, 12, 99, 255):
        yield Broken(f"opcode {op}", pack(op, 9, b'{"new": true}'), "InvalidOpCode", job_id=9)
    yield Broken("opcode 11, one frame", pack(11, UINT64_MAX, None), "InvalidOpCode", job_id=UINT64_MAX)
    yield Broken("opcode 11, three frames", pack(11, 9, b"{}") + [b"more"], "InvalidOpCode", job_id=9)
    yield Broken("opcode 11, wrong length", pack(11, 9, b"{}", length=77), "InvalidOpCode", job_id=9)

    mismatch = "PayloadLengthMismatch"
    for op in list(Op)[1:]:
        yield Broken(f"{op.name}: announces a byte too much", pack(op, 9, b"{}", length=3), mismatch, job_id=9)
        yield Broken(f"{op.name}: announces a byte too little", pack(op, 9, b"{}", length=1), mismatch, job_id=9)
        yield Broken(f"{op.name}: announces a payload that is not there", pack(op, 9, None, length=2), mismatch, job_id=9)
    yield Broken("announces 2^32-1 bytes", pack(Op.ERR, 9, b"{}", length=2**32 - 1), mismatch, job_id=9)
    yield Broken("three frames", sound + [b""], mismatch, job_id=9)
    yield Broken("four frames", sound + [b"x", b"y"], mismatch, job_id=9)
    yield Broken("payload in the header's frame", [header + body], mismatch, job_id=9)
    yield Broken("header of 17 bytes", [header + b"\0", body], mismatch, job_id=9)


def _broken_json(op: Op) -> Iterator[Broken]:
    """What no payload may be."""
    sound = compact(ORDINARY[op].model_dump())
    payloads = {
        "half of it": sound[: len(sound) // 2],
        "another value behind it": sound + b"{}",
        "a letter behind it": sound + b"x",
        "a NUL behind it": sound + b"\0",
        "a byte order mark": b"\xef\xbb\xbf" + sound,
        "UTF-16": sound.decode().encode("utf-16"),
        "Latin-1": b'{"message":"gr\xfc\xdfe"}',
        "a surrogate as UTF-8": b'{"message":"\xed\xa0\xbd"}',
        "overlong UTF-8": b'{"message":"\xc0\xaf"}',
        "half of a surrogate pair": sound[:-1] + b',"x":"\\ud83e"}',
        "the other half of one": sound[:-1] + b',"x":"\\udd8a"}',
        "two first halves": sound[:-1] + b',"x":"\\ud83e\\ud83e"}',
        "half of a pair in a name": sound[:-1] + b',"\\udcff":0}',
        "a list": b"[]",
        "a list with it": b"[" + sound + b"]",
        "a string": b'"{}"',
        "a number": b"7",
        "true": b"true",
        "a word": b"hello",
        "NaN": sound[:-1] + b',"x":NaN}',
        "single quotes": sound.replace(b'"', b"'"),
        "a comma too many": sound[:-1] + b",}",
        "a raw line end in a string": sound[:-1] + b',"x":"a\nb"}',
        "a bad escape": sound[:-1] + b',"x":"\\x"}',
        "300 nested lists": sound[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}",
        "a million open lists": b"[" * 1_000_000,
        "a million open objects": b'{"a":' * 1_000_000,
    }
    if op != Op.HEARTBEAT:  # there these three are a Sentinel that asks
        payloads.update({"empty": b"", "blanks": b" \n", "null": b"null"})
        yield Broken(f"{op.name}: one frame", pack(op, 9, None), "JsonError", job_id=9)
    for about, payload in payloads.items():
        yield Broken(f"{op.name}: {about}", pack(op, 9, payload), "JsonError", job_id=9)


def _broken_fields() -> Iterator[Broken]:
    def of(op: Op, about: str, field: str, payload: Any) -> Broken:
        body = payload if isinstance(payload, bytes) else compact(payload)
        return Broken(f"{op.name}: {about}", pack(op, 9, body), "JsonError", field=field, job_id=9)

    wrong = {"a string": "seven", "a number": 7, "a boolean": True, "a list": [7], "an object": {"a": 7}, "a fraction": 7.5}
    accepts = {
        str: {"a string"}, int: {"a number"}, bool: {"a boolean"}, list: {"a list"}, dict: {"an object"},
    }
    for op, model in ORDINARY.items():
        if model is None:
            continue
        whole = model.model_dump()
        for name, info in type(model).model_fields.items():
            if info.is_required() and op != Op.HEARTBEAT:
                yield of(op, f"{name} missing", name, {k: v for k, v in whole.items() if k != name})
                yield of(op, f"{name} null", name, {**whole, name: None})
            if name in ("system_requirements",):  # any JSON
                continue
            for about, value in wrong.items():
                if about in accepts[type(whole[name])]:
                    continue
                yield of(op, f"{name} is {about}", name, {**whole, name: value})

    from cases import NAMED
    for op, names in NAMED.items():
        for name in names:
            yield of(op, f"{name} empty", name, {**ORDINARY[op].model_dump(), name: ""})

    identify = ORDINARY[Op.IDENTIFY].model_dump()
    for value in (None, 7, True, [], {}):
        yield of(Op.IDENTIFY, f"capability {value!r}", "capabilities[1]", {**identify, "capabilities": ["a", value]})

    dispatch = ORDINARY[Op.DISPATCH].model_dump()
    sink = SINK.model_dump()
    for value in (None, 7, "parquet://x", ["parquet://x"]):
        yield of(Op.DISPATCH, f"sink {value!r}", "sinks[1]", {**dispatch, "sinks": [sink, value]})
    for name in ("topic", "uri", "mode"):
        missing = {k: v for k, v in sink.items() if k != name}
        for about, entry in {"missing": missing, "null": {**sink, name: None}, "a number": {**sink, name: 1}}.items():
            yield of(Op.DISPATCH, f"sink's {name} {about}", f"sinks[2].{name}", {**dispatch, "sinks": [sink, sink, entry]})
    for name in ("topic", "uri"):
        yield of(Op.DISPATCH, f"sink's {name} empty", f"sinks[0].{name}", {**dispatch, "sinks": [{**sink, name: ""}]})

    head = compact({**dispatch, "file_version_id": 0}).replace(b'"file_version_id":0', b'"file_version_id":%s')
    for literal in (INT64_MAX + 1, -INT64_MAX - 2, 10**400, "1e3", "1E-2", "7.5", "7.01", "9007199254740993.0", "9" * 40 + ".0"):
        yield of(Op.DISPATCH, f"file_version_id {str(literal)[:24]}", "file_version_id", head % str(literal).encode())
    yield of(Op.DISPATCH, "file_version_id as text", "file_version_id", head % b'"41"')
    yield of(Op.DISPATCH, "plugin_name in capitals", "plugin_name", compact(dispatch).replace(b"plugin_name", b"Plugin_Name"))
    yield of(Op.DISPATCH, "the last of two plugin_names is null", "plugin_name", compact(dispatch)[:-1] + b',"plugin_name":null}')

    for status in ("idle", "", "DONE", "IDLE "):
        yield of(Op.HEARTBEAT, f"status {status!r}", "status", {"status": status, "current_job_id": 7})
    yield of(Op.HEARTBEAT, "a job and no status", "status", {"current_job_id": 7})
    for literal in (b"-1", b"18446744073709551616", b"0.5", b'"7"'):
        yield of(Op.HEARTBEAT, f"current_job_id {literal.decode()}", "current_job_id", b'{"status":"BUSY","current_job_id":%s}' % literal)

    conclude = ORDINARY[Op.CONCLUDE].model_dump()
    for status in ("", "success", "REJECTED", "ABORTED", "SUCCESS\n"):
        yield of(Op.CONCLUDE, f"status {status!r}", "status", {**conclude, "status": status})
    for value in (None, 0.5, True, "7", [1], {"a": 1}, INT64_MAX + 1):
        yield of(Op.CONCLUDE, f"metric {value!r}", "metrics.rows", {**conclude, "metrics": {"bytes": 1, "rows": value}})
    for entry in ({"uri": "u"}, {"topic": "", "uri": "u"}):
        yield of(Op.CONCLUDE, f"artifact {entry}", "artifacts[0].topic", {**conclude, "artifacts": [entry]})
    for entry in ({"topic": "t"}, {"topic": "t", "uri": ""}, {"topic": "t", "uri": None}, {"topic": "t", "uri": 1}):
        yield of(Op.CONCLUDE, f"artifact {entry}", "artifacts[0].uri", {**conclude, "artifacts": [entry]})
    yield of(Op.CONCLUDE, "an artifact's number", "artifacts[0].rows", {**conclude, "artifacts": [{"topic": "t", "uri": "u", "rows": 1}]})
    yield of(Op.CONCLUDE, "an artifact that is text", "artifacts[0]", {**conclude, "artifacts": ["parquet:///x"]})


def tolerated() -> Iterator[Tolerated]:
    asks = {"Status": "", "CurrentJobID": None}
    for about, payload in {
        "empty": b"", "no frame": None, "{}": b"{}", "null": b"null", "blanks": b" \r\n\t", "blanks around null": b" null\n",
        "nulls": b'{"status":null,"current_job_id":null}', "only unknown fields": b'{"sent_at":1.5}',
    }.items():
        yield Tolerated(f"HEARTBEAT that asks: {about}", pack(Op.HEARTBEAT, 0, payload), Op.HEARTBEAT, 0, asks)

    sound = ORDINARY[Op.DISPATCH]
    text = compact(sound.model_dump())
    value = go_value(sound)

    def dispatch(about: str, payload: bytes, **update: Any) -> Tolerated:
        return Tolerated(f"DISPATCH: {about}", pack(Op.DISPATCH, 5, payload), Op.DISPATCH, 5, {**value, **update})

    integer = b'"file_version_id":41'
    yield dispatch("file_version_id 41.0", text.replace(integer, integer + b".0"))
    yield dispatch("file_version_id 41.000", text.replace(integer, integer + b".000"))
    yield dispatch("file_version_id -0", text.replace(integer, b'"file_version_id":-0'), FileVersionID=0)
    yield dispatch("file_version_id -0.0", text.replace(integer, b'"file_version_id":-0.0'), FileVersionID=0)
    yield dispatch("file_version_id 2^53 as a float", text.replace(integer, b'"file_version_id":9007199254740992.0'), FileVersionID=2**53)
    yield dispatch("the last of two fields counts", b'{"plugin_name":7,' + text[1:])
    yield dispatch("blanks around it", b" \r\n" + text + b"\n\t ")
    yield dispatch("blanks inside", text.replace(b",\"", b" ,\n \"").replace(b":null", b" : null "))
    yield dispatch("200 nested lists in an unknown field", text[:-1] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}")
    yield dispatch("a huge number in an unknown field", text[:-1] + b',"x":1' + b"0" * 5000 + b"}")
    yield dispatch("empty artifact_hash", compact({**sound.model_dump(), "artifact_hash": ""}), ArtifactHash="")


def streams() -> Iterator[Stream]:
    header, body = pack_model(Op.CONCLUDE, 9, ORDINARY[Op.CONCLUDE])
    yield Stream("a whole message", header + body, "")
    yield Stream("a header alone", b"".join(pack(Op.RELOAD, 0, None)), "")
    for size in (1, 15):
        yield Stream(f"ends after {size} bytes of header", header[:size], "IoError")
    for size in (0, 1, len(body) - 1):
        yield Stream(f"ends after {size} bytes of payload", header + body[:size], "IoError")
    yield Stream("announces 2^32-1 bytes and ends", HEADER.pack(4, Op.ERR, 0, 9, 2**32 - 1), "IoError")
    yield Stream("another version", b"".join(pack(Op.ERR, 9, b"{}", version=5)), "VersionMismatch")
    yield Stream("an unknown opcode", b"".join(pack(42, 9, b"{}")), "InvalidOpCode")
    yield Stream("payload that is not JSON", b"".join(pack(Op.ERR, 9, b"oops")), "JsonError")


def refused() -> Iterator[Refused]:
    def of(op: Op, about: str, field: str, **update: Any) -> Refused:
        return Refused(about, op, {**go_value(ORDINARY[op]), **update}, field)

    for status in ("", "DONE", "success", "REJECTED"):
        yield of(Op.CONCLUDE, f"status {status!r}", "status", Status=status)
    for artifact, field in (
        ({}, "topic"), ({"uri": "u"}, "topic"), ({"topic": "", "uri": "u"}, "topic"),
        ({"topic": "t"}, "uri"), ({"topic": "t", "uri": ""}, "uri"), (None, "topic"),
    ):
        yield of(Op.CONCLUDE, f"artifact {artifact}", f"artifacts[1].{field}", Artifacts=[{"topic": "t", "uri": "u"}, artifact])
    yield of(Op.HEARTBEAT, "status 'AWAY'", "status", Status="AWAY")
    yield of(Op.HEARTBEAT, "a job and no status", "status", Status="")
    for name, go in (("plugin_name", "PluginName"), ("file_path", "FilePath"), ("env_hash", "EnvHash")):
        yield of(Op.DISPATCH, f"{name} empty", name, **{go: ""})
    yield of(Op.DISPATCH, "a sink without topic", "sinks[0].topic", Sinks=[{"URI": "u"}])
    yield of(Op.DISPATCH, "a sink without uri", "sinks[0].uri", Sinks=[{"Topic": "t"}])
    yield of(Op.PREPARE_ENV, "env_hash empty", "env_hash", EnvHash="")
    yield of(Op.ENV_READY, "env_hash empty", "env_hash", EnvHash="")
    yield of(Op.DEPLOY, "plugin_name empty", "plugin_name", PluginName="")
    yield of(Op.DEPLOY, "env_hash empty", "env_hash", EnvHash="")


def completed() -> Dict[str, Any]:
    """What Go leaves out and Encode fills in: nil lists and maps."""
    return {
        "CONCLUDE of nil metrics and artifacts": (
            Op.CONCLUDE, {"Status": "SUCCESS", "Metrics": None, "Artifacts": None},
            {"status": "SUCCESS", "metrics": {}, "artifacts": [], "error_message": None}),
        "IDENTIFY of nil capabilities": (
            Op.IDENTIFY, {"Capabilities": None}, {"capabilities": [], "worker_id": None}),
        "DISPATCH of nil sinks": (
            Op.DISPATCH, {"PluginName": "p", "FilePath": "f", "EnvHash": HASH},
            {"plugin_name": "p", "file_path": "f", "sinks": [], "file_version_id": 0, "env_hash": HASH,
             "source_code": "", "artifact_hash": None}),
        "HEARTBEAT that asks": (Op.HEARTBEAT, {}, {}),
    }
