"""The Sentinel's desk: its jobs, its workers, and what it makes of a message.

Everything here was seen on a running Sentinel. It sends through `send(identity,
frames)`, tells of what it sees through `tell(kind, **facts)`, and records what no
worker should do as a violation.
"""

from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

import models
import wire
from books import Books
from wire import Op


@dataclass
class Worker:
    identity: str
    capabilities: list[str]
    busy: bool = False
    job: int | None = None
    since: int = 0  # the moment of its IDENTIFY


@dataclass
class Job:
    id: int
    dispatch: models.Dispatch
    status: str = "QUEUED"
    worker: str | None = None
    dispatches: int = 0
    error: str | None = None
    # Receipts since the last dispatch, in the order they came.
    receipts: list[dict] = field(default_factory=list)
    dispatched: int = 0  # the moment of its last dispatch, 0 in the process before

    def end(self, receipt: dict):
        self.receipts.append(receipt)
        self.status, self.error = receipt["status"], receipt["error_message"]


class Desk:
    def __init__(self, send, tell, burst: bool, operator: bool = False, books: Books | None = None):
        self.send = send
        self.tell = tell
        self.burst = burst
        self.operator = operator
        self.books = books
        self.moment = 0  # counts dispatches and introductions
        self.jobs: dict[int, Job] = {}
        self.queue: list[int] = []
        self.workers: dict[str, Worker] = {}
        self.violations: list[str] = []
        self.reloads = 0
        if books:
            self.read(books)

    def read(self, books: Books):
        """What is in the books is known after a restart; the workers are not."""
        for entry in books.entries():
            job_id = entry["job_id"]
            match entry["kind"]:
                case "submitted":
                    self.jobs[job_id] = Job(job_id, models.Dispatch.model_validate(entry["dispatch"]))
                    self.queue.append(job_id)
                case "requeued":
                    self.jobs[job_id].status = "QUEUED"
                    self.queue.append(job_id)
                case "dispatched":
                    job = self.jobs[job_id]
                    job.status, job.worker = "RUNNING", entry["identity"]
                    job.dispatches += 1
                    self.queue.remove(job_id)
                case "ended":
                    self.jobs[job_id].end(entry["receipt"])

    def note(self, kind: str, job_id: int, **facts):
        if self.books:
            self.books.note(kind=kind, job_id=job_id, **facts)

    # What the operator of the Sentinel does.

    def submit(self, job_id: int, dispatch: models.Dispatch):
        """Queue a job. An id that is known is given other content, as after a
        reset of the Sentinel's database."""
        self.jobs[job_id] = Job(job_id, dispatch)
        self.note("submitted", job_id, dispatch=dispatch.model_dump())
        self.enqueue(job_id)

    def retry(self, job_id: int):
        """Queue a known job again."""
        self.jobs[job_id].receipts = []
        self.enqueue(job_id)

    def enqueue(self, job_id: int):
        self.jobs[job_id].status = "QUEUED"
        self.queue.append(job_id)
        self.hand_out()

    def resend(self, job_id: int):
        """Repeat a job's DISPATCH as it was, without a thought for its status."""
        job = self.jobs[job_id]
        self.send(job.worker, self.dispatch_frames(job))

    def reload(self):
        """Reload the configuration: every configured sink is appended once more,
        and every worker gets a RELOAD of one frame."""
        self.reloads += 1
        for identity in self.workers:
            self.send(identity, wire.pack(Op.RELOAD, 0, None))

    def forget_workers(self):
        """A Sentinel that was restarted knows its jobs and none of its workers."""
        self.workers.clear()

    # What a worker's message does.

    def receive(self, routing_id: bytes, frames: list[bytes]):
        try:
            op, job_id, payload = wire.unpack(frames)
        except wire.WireError as error:
            self.violate(f"unreadable message from {routing_id!r}: {error}")
            return
        try:
            identity = routing_id.decode("utf-8")
            if identity.startswith("\0"):
                raise ValueError("the identity is one that libzmq made up")
        except ValueError as error:
            self.violate(f"{op.name} under an identity that is not UTF-8 text: {error}")
            refusal = models.Err(message="Bad IDENTIFY payload").model_dump_json().encode()
            self.send(routing_id, wire.pack(Op.ERR, 0, refusal))
            return
        if op is not Op.IDENTIFY and identity not in self.workers:
            self.violate(f"{op.name} from {identity}, which never identified itself")
        handler = {
            Op.IDENTIFY: (models.Identify, self.identify),
            Op.HEARTBEAT: (models.Heartbeat, self.heartbeat),
            Op.CONCLUDE: (models.Conclude, self.conclude),
            Op.ERR: (models.Err, self.err),
            Op.ENV_READY: (models.EnvReady, self.env_ready),
        }.get(op)
        if handler is None:
            self.violate(f"{op.name} from {identity}: a worker never sends it")
            return
        model, handle = handler
        try:
            message = model.model_validate_json(payload)
        except ValidationError as error:
            # A receipt that cannot be read is dropped: its job stays RUNNING and
            # its worker BUSY, for ever.
            self.violate(f"{op.name} of job {job_id} from {identity} dropped: {error}")
            return
        self.told(op, identity, job_id, message)
        handle(identity, job_id, message)

    def told(self, op: Op, identity: str, job_id: int, message: BaseModel):
        self.tell("message", op=op.name, identity=identity, job_id=job_id, payload=message.model_dump())

    def identify(self, identity: str, job_id: int, message: models.Identify):
        if job_id != 0:
            self.violate(f"IDENTIFY with job id {job_id}")
        self.moment += 1
        self.workers[identity] = Worker(identity, message.capabilities, since=self.moment)
        self.hand_out()

    def heartbeat(self, identity: str, job_id: int, message: models.Heartbeat):
        if (message.status == "BUSY") != (message.current_job_id is not None):
            self.violate(f"HEARTBEAT {message.status} with current job {message.current_job_id}")
        worker = self.workers.get(identity)
        if self.operator and worker and message.status == "IDLE":
            self.look_after(worker)

    def look_after(self, worker: Worker):
        """As an operator does who reads the records: a worker that came anew, and is
        idle, does not hold what it was given before. That is given out again."""
        for job in self.jobs.values():
            if job.status == "RUNNING" and job.worker == worker.identity and job.dispatched < worker.since:
                job.status = "QUEUED"
                self.note("requeued", job.id)
                self.tell("requeued", job_id=job.id, identity=worker.identity)
                self.queue.append(job.id)
        self.hand_out()

    def conclude(self, identity: str, job_id: int, message: models.Conclude):
        job = self.jobs.get(job_id)
        if job is None:
            self.violate(f"CONCLUDE of job {job_id}, which does not exist")
        else:
            receipt = message.model_dump()
            if job.receipts and job.receipts[0] != receipt:
                self.violate(f"CONCLUDE of job {job_id} contradicts the one before: {job.receipts[0]} then {receipt}")
            if job.dispatches == 0:
                self.violate(f"CONCLUDE of job {job_id}, which was never dispatched")
            job.receipts.append(receipt)
            if message.status in ("SUCCESS", "FAILED"):
                if job.status not in ("SUCCESS", "FAILED"):
                    self.note("ended", job_id, receipt=receipt)
                job.status, job.error = message.status, message.error_message
            else:
                self.violate(f"CONCLUDE of job {job_id} with status {message.status}: the job stays RUNNING")
        self.free(identity)

    def err(self, identity: str, job_id: int, message: models.Err):
        worker = self.workers.get(identity)
        if job_id == 0 and worker and worker.busy:
            self.violate(f"ERR of job 0 while job {worker.job} runs: the worker counts as idle now")
        if job_id in self.jobs:
            self.jobs[job_id].status, self.jobs[job_id].error = "FAILED", message.message
        self.free(identity)

    def env_ready(self, identity: str, job_id: int, message: models.EnvReady):
        pass  # the Sentinel logs it as unhandled

    def free(self, identity: str):
        worker = self.workers.get(identity)
        if worker:
            worker.busy, worker.job = False, None
        self.hand_out()

    # Handing out jobs.

    def hand_out(self):
        """Pop queued jobs while some worker is idle. A job that no idle worker
        lists the plugin of is FAILED at once."""
        while self.queue:
            free = [w for w in self.workers.values() if self.burst or not w.busy]
            if not free:
                return
            job = self.jobs[self.queue.pop(0)]
            if job.status != "QUEUED":
                continue  # its receipt came after all
            able = [w for w in free if job.dispatch.plugin_name in w.capabilities]
            if not able:
                job.status, job.error = "FAILED", "no capable worker"
                self.tell("unassignable", job_id=job.id)
                continue
            worker = able[0]
            worker.busy, worker.job = True, job.id
            job.status, job.worker = "RUNNING", worker.identity
            self.moment += 1
            job.dispatched = self.moment
            self.note("dispatched", job.id, identity=worker.identity)
            self.send(worker.identity, self.dispatch_frames(job))
            job.dispatches += 1
            self.tell("dispatched", job_id=job.id, identity=worker.identity)

    def dispatch_frames(self, job: Job) -> list[bytes]:
        dispatch = job.dispatch.model_copy()
        dispatch.sinks = dispatch.sinks * (1 + self.reloads)
        if not any(sink.topic == "output" for sink in dispatch.sinks):
            dispatch.sinks = dispatch.sinks + [
                models.Sink(topic="output", uri=f"parquet://{dispatch.plugin_name}_output.parquet")
            ]
        return wire.pack(Op.DISPATCH, job.id, dispatch.model_dump_json().encode())

    def violate(self, what: str):
        self.violations.append(what)
        self.tell("violation", what=what)
