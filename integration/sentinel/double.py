"""A stand-in for the Python Sentinel, on a real libzmq ROUTER.

It is driven by JSON lines on stdin, answers each with one JSON line on stdout,
and reports there what it sees as it sees it. `{"do": "quit"}` or the end of
stdin ends it.

    python double.py [--burst] [--operator] [--books FILE] [--bind ENDPOINT]

It is no Sentinel: it finds no files, and keeps what it knows in memory, or in books
that outlive kill -9.
"""

import argparse
import base64
import json
import os
import sys
import time

import zmq

import models
import wire
from books import Books
from desk import Desk
from wire import Op


class Double:
    def __init__(self, arguments: argparse.Namespace):
        self.context = zmq.Context()
        self.socket: zmq.Socket | None = None
        self.endpoint = arguments.bind
        books = Books(arguments.books) if arguments.books else None
        self.desk = Desk(self.send, self.tell, arguments.burst, arguments.operator, books)
        self.held = False  # the Sentinel is busy with something else
        self.pending = b""  # the start of a command whose line has not ended yet

    # The ROUTER.

    def open(self):
        """Bind; the second time on the same port. No ROUTER_HANDOVER, as in the
        real one: a second connection with a known identity reaches nobody."""
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        # A port that was closed a moment ago may be held a moment longer.
        deadline = time.monotonic() + 60
        while True:
            try:
                self.socket.bind(self.endpoint)
                break
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def close(self):
        self.socket.close()
        self.socket = None
        self.desk.forget_workers()

    def send(self, identity: str | bytes, frames: list[bytes]):
        """Like the real one: a message to nobody is dropped in silence."""
        routing_id = identity if isinstance(identity, bytes) else identity.encode("utf-8")
        if self.socket is not None:
            self.socket.send_multipart([routing_id, *frames])

    # The control lines.

    def tell(self, kind: str, **facts):
        line = json.dumps({"event": kind, "at": time.time(), **facts})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def run(self):
        self.open()
        self.tell("open", endpoint=self.endpoint)
        while True:
            poller = zmq.Poller()
            poller.register(sys.stdin.fileno(), zmq.POLLIN)
            if self.socket is not None and not self.held:
                poller.register(self.socket, zmq.POLLIN)
            ready = dict(poller.poll())
            if self.socket in ready:
                routing_id, *frames = self.socket.recv_multipart()
                self.desk.receive(routing_id, frames)
            if sys.stdin.fileno() in ready and not self.read_commands():
                break
        if self.socket is not None:
            self.socket.close()
        self.context.term()

    def read_commands(self) -> bool:
        data = os.read(sys.stdin.fileno(), 1 << 20)
        if not data:
            return False
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["do"] == "quit":
                return False
            self.tell("done", id=command["id"], **self.obey(command))
        return True

    def obey(self, command: dict) -> dict:
        try:
            result = getattr(self, "do_" + command["do"])(command)
        except Exception as error:  # the test that gave the command decides
            return {"error": f"{command['do']}: {type(error).__name__}: {error}"}
        return {"result": result}

    def do_submit(self, command: dict):
        self.desk.submit(command["job_id"], models.Dispatch.model_validate(command["dispatch"]))

    def do_retry(self, command: dict):
        self.desk.retry(command["job_id"])

    def do_resend(self, command: dict):
        self.desk.resend(command["job_id"])

    def do_abort(self, command: dict):
        """The job's id and an empty payload frame."""
        self.send(command["identity"], wire.pack(Op.ABORT, command["job_id"], b""))

    def do_reload(self, command: dict):
        self.desk.reload()

    def do_heartbeat(self, command: dict):
        """Ask for a heartbeat, as newer Sentinels do."""
        self.send(command["identity"], wire.pack(Op.HEARTBEAT, 0, b'{"status":"IDLE","current_job_id":null}'))

    def do_prepare_env(self, command: dict):
        request = models.PrepareEnv.model_validate(command["request"])
        self.send(command["identity"], wire.pack(Op.PREPARE_ENV, 0, request.model_dump_json().encode()))

    def do_raw(self, command: dict):
        self.send(command["identity"], [base64.b64decode(frame) for frame in command["frames"]])

    def do_close(self, command: dict):
        self.close()

    def do_open(self, command: dict):
        self.open()

    def do_hold(self, command: dict):
        """Do not touch the socket, as a Sentinel in a long database query. libzmq's
        own thread goes on; what needs the application's thread waits for it, the
        freeing of a gone worker's identity among it."""
        self.held = True

    def do_resume(self, command: dict):
        self.held = False

    def do_query(self, command: dict) -> dict:
        return {
            "jobs": {
                str(job.id): {
                    "status": job.status,
                    "worker": job.worker,
                    "dispatches": job.dispatches,
                    "receipts": job.receipts,
                    "error": job.error,
                }
                for job in self.desk.jobs.values()
            },
            "workers": {
                worker.identity: {"capabilities": worker.capabilities, "busy": worker.busy, "job": worker.job}
                for worker in self.desk.workers.values()
            },
            "violations": self.desk.violations,
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--burst", action="store_true", help="hand out jobs without waiting for earlier ones")
    parser.add_argument("--operator", action="store_true", help="give out again what a worker that came anew does not hold")
    parser.add_argument("--books", help="file of the books; what is in it is known at the start")
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", help="endpoint of the ROUTER")
    Double(parser.parse_args()).run()
