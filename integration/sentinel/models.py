"""The payloads, as the Sentinel's own models read and write them.

What a worker sends is read strictly, and a field nobody knows is refused: the
real Sentinel would ignore it, and a misspelt field would go unseen.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr


class FromWorker(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Identify(FromWorker):
    capabilities: list[StrictStr]
    worker_id: StrictStr | None = None


class Heartbeat(FromWorker):
    status: Literal["IDLE", "BUSY"]
    current_job_id: StrictInt | None = None


class Artifact(BaseModel):
    model_config = ConfigDict(extra="allow")
    topic: StrictStr
    uri: StrictStr


class Conclude(FromWorker):
    status: StrictStr
    metrics: dict[StrictStr, StrictInt]
    artifacts: list[Artifact]
    error_message: StrictStr | None = None


class Err(FromWorker):
    message: StrictStr
    traceback: StrictStr | None = None


class EnvReady(FromWorker):
    env_hash: Annotated[StrictStr, Field(min_length=1)]
    interpreter_path: StrictStr
    cached: StrictBool


class Sink(BaseModel):
    topic: str
    uri: str
    mode: str = "append"
    schema_def: str | None = None


class Dispatch(BaseModel):
    plugin_name: str
    file_path: str
    sinks: list[Sink]
    file_version_id: int
    env_hash: str
    source_code: str
    artifact_hash: str | None = None


class PrepareEnv(BaseModel):
    env_hash: str
    lockfile_content: str
    python_version: str | None = None
