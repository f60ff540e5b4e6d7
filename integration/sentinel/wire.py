"""The wire between Sentinel and worker, as the Sentinel's side packs and reads it.

Header: 16 bytes, `!BBHQI` = version, opcode, reserved, job id, payload length.
"""

import struct
from enum import IntEnum

HEADER = struct.Struct("!BBHQI")
VERSION = 4


class Op(IntEnum):
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


class WireError(Exception):
    """A message that the Sentinel cannot read."""


def pack(op: Op, job_id: int, payload: bytes | None) -> list[bytes]:
    """Header and payload frame. payload None gives the header alone (RELOAD)."""
    header = HEADER.pack(VERSION, op, 0, job_id, len(payload or b""))
    return [header] if payload is None else [header, payload]


def unpack(frames: list[bytes]) -> tuple[Op, int, bytes]:
    """Opcode, job id and payload of the frames behind the routing id."""
    if not frames or len(frames) > 2:
        raise WireError(f"{len(frames)} frames, want header and payload")
    if len(frames[0]) != HEADER.size:
        raise WireError(f"header of {len(frames[0])} bytes, want {HEADER.size}")
    version, op, reserved, job_id, length = HEADER.unpack(frames[0])
    if version != VERSION:
        raise WireError(f"version {version}, want {VERSION}")
    if reserved != 0:
        raise WireError(f"reserved field is {reserved}, want 0 when sent")
    payload = frames[1] if len(frames) == 2 else b""
    if len(payload) != length:
        raise WireError(f"payload of {len(payload)} bytes, header says {length}")
    try:
        return Op(op), job_id, payload
    except ValueError:
        raise WireError(f"opcode {op} is not known") from None
