"""Protocol v4 in Python: struct for the header, pydantic for the payloads.

It is written from docs/protocol.md alone and shares nothing with the Go codec:
each of the two proves the other.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import Any, Dict, List, Literal, Optional

from pydantic import BaseModel, ConfigDict

VERSION = 4
HEADER = struct.Struct("!BBHQI")
UINT64_MAX = 2**64 - 1
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


class Op(enum.IntEnum):
    UNKNOWN = 0
    IDENTIFY = 1
    DISPATCH = 2
    ABORT = 3
    HEARTBEAT = 4
    CONCLUDE = 5
    ERR = 6
    RELOAD = 7
    PREPARE_ENV = 8
    ENV_READY = 9
    DEPLOY = 10


class Payload(BaseModel):
    """Strict on purpose: what Go sends must need no conversion."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Identify(Payload):
    capabilities: List[str]
    worker_id: Optional[str] = None


class Sink(Payload):
    topic: str
    uri: str
    mode: str
    schema_def: Any = None


class Dispatch(Payload):
    plugin_name: str
    file_path: str
    sinks: List[Sink]
    file_version_id: int
    env_hash: str
    source_code: str
    artifact_hash: Optional[str] = None


class Heartbeat(Payload):
    status: Literal["IDLE", "BUSY"]
    current_job_id: Optional[int] = None


class Conclude(Payload):
    status: Literal["SUCCESS", "FAILED"]
    metrics: Dict[str, int]
    artifacts: List[Dict[str, str]]
    error_message: Optional[str] = None


class Err(Payload):
    message: str
    traceback: Optional[str] = None


class PrepareEnv(Payload):
    env_hash: str
    lockfile_content: str
    python_version: Optional[str] = None


class EnvReady(Payload):
    env_hash: str
    interpreter_path: str
    cached: bool


class Deploy(Payload):
    plugin_name: str
    version: str
    source_code: str
    lockfile_content: str
    env_hash: str
    artifact_hash: str
    signature: str
    publisher_name: str
    publisher_email: Optional[str] = None
    azure_oid: Optional[str] = None
    system_requirements: Any = None


# The opcodes whose payload is JSON. ABORT and RELOAD have none.
MODELS = {
    Op.IDENTIFY: Identify,
    Op.DISPATCH: Dispatch,
    Op.HEARTBEAT: Heartbeat,
    Op.CONCLUDE: Conclude,
    Op.ERR: Err,
    Op.PREPARE_ENV: PrepareEnv,
    Op.ENV_READY: EnvReady,
    Op.DEPLOY: Deploy,
}


class WireError(Exception):
    """Frames that are not a message of protocol v4."""


def pack(op: int, job_id: int, payload: Optional[bytes], *, version: int = VERSION,
         reserved: int = 0, length: Optional[int] = None) -> List[bytes]:
    """The frames of one message. No payload gives the header alone; version,
    reserved and length can be set wrongly on purpose."""
    if length is None:
        length = len(payload or b"")
    header = HEADER.pack(version, op, reserved, job_id, length)
    return [header] if payload is None else [header, payload]


def compact(value: Any) -> bytes:
    """JSON as both sides write it: no blanks, text as UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def pack_model(op: int, job_id: int, model: Optional[Payload]) -> List[bytes]:
    """A message as a Sentinel sends it."""
    if op == Op.RELOAD:
        return pack(op, job_id, None)
    if model is None:
        return pack(op, job_id, b"")
    return pack(op, job_id, compact(model.model_dump()))


def unpack(frames: List[bytes]):
    """Reads what a worker sent: (op, job id, model or None). Stricter than a
    Sentinel: reserved bytes must be 0 and every field must be there."""
    if not frames or len(frames[0]) != HEADER.size:
        raise WireError(f"{len(frames)} frames, the first must be a header of {HEADER.size} bytes")
    version, op, reserved, job_id, length = HEADER.unpack(frames[0])
    if version != VERSION or reserved != 0:
        raise WireError(f"version {version}, reserved {reserved:#06x}; they must be {VERSION} and 0")
    op = Op(op)
    if op == Op.RELOAD:
        if len(frames) != 1 or length != 0:
            raise WireError(f"RELOAD of {len(frames)} frames, it is the header alone")
        return op, job_id, None
    if len(frames) != 2:
        raise WireError(f"{op.name} of {len(frames)} frames, it must have 2")
    if length != len(frames[1]):
        raise WireError(f"{op.name} announces {length} bytes and has {len(frames[1])}")
    if op == Op.ABORT:
        if length:
            raise WireError(f"ABORT with {length} bytes of payload, it must be empty")
        return op, job_id, None
    model = MODELS[op].model_validate_json(frames[1])
    require_every_field(model)
    return op, job_id, model


def require_every_field(model: Payload) -> None:
    """An optional field that is absent is an explicit null."""
    fields = type(model).model_fields
    absent = set(fields) - model.model_fields_set
    if absent:
        raise WireError(f"{type(model).__name__} leaves out {sorted(absent)}, they must be null")
    for sink in getattr(model, "sinks", []):
        require_every_field(sink)
