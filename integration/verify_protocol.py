#!/usr/bin/env python
"""The Rosetta stone of protocol v4: Go and Python say the same things.

Python (struct, json, pydantic) and the worker's own Go codec exchange every
opcode and every payload in both directions, extremes included, and Python
breaks messages to see that Go names what is wrong with them. The table counts
what was said; the exit status is 1 on any mismatch.

It needs pydantic 2 and Go, or a program built before:

    make tools
    .tools/py/bin/python integration/verify_protocol.py

    go build -o /tmp/rosetta ./integration/rosetta
    python integration/verify_protocol.py --rosetta /tmp/rosetta
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Tuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "rosetta"))

import cases as says  # noqa: E402
import faults  # noqa: E402
import wire  # noqa: E402
from wire import Op  # noqa: E402

TO_GO = "Python → Go"
TO_PYTHON = "Go → Python"
BROKEN = "broken → Go names it"
TOLERATED = "odd → Go takes it"
STREAMED = "stream → Go"
REFUSED = "Go refuses to send"
COMPLETED = "Go fills in"
COLUMNS = [TO_GO, TO_PYTHON, TOLERATED, BROKEN, STREAMED, REFUSED, COMPLETED]


class Rosetta:
    """The Go program, spoken to in records."""

    def __init__(self, program: str):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, task: str, *parts: bytes) -> Tuple[Dict[str, Any], List[bytes]]:
        record = [task.encode(), *parts]
        pipe = self.process.stdin
        try:
            pipe.write(struct.pack("!I", len(record)))
            for part in record:
                pipe.write(struct.pack("!I", len(part)))
                pipe.write(part)
            pipe.flush()
        except BrokenPipeError:
            raise SystemExit("the Go program ended early, see its message above")
        count, = struct.unpack("!I", self._read(4))
        answer = [self._read(struct.unpack("!I", self._read(4))[0]) for _ in range(count)]
        return json.loads(answer[0]), answer[1:]

    def _read(self, size: int) -> bytes:
        data = self.process.stdout.read(size)
        if len(data) != size:
            raise SystemExit("the Go program ended early, see its message above")
        return data

    def close(self) -> int:
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()


class Report:
    """Counts what was said in each row and column, and keeps what went wrong."""

    def __init__(self, verbose: bool):
        self.verbose = verbose
        self.said: Dict[Tuple[str, str], int] = defaultdict(int)
        self.wrong: Dict[Tuple[str, str], List[str]] = defaultdict(list)

    def check(self, row: str, column: str, name: str, problem: str) -> None:
        self.said[row, column] += 1
        if problem:
            self.wrong[row, column].append(f"{name}: {problem}")
        if self.verbose:
            print(f"{'FAIL' if problem else 'ok  '}  {row:<12} {column:<20} {name}")

    def print(self) -> bool:
        rows = [op.name for op in list(Op)[1:]] + ["frames"]
        widths = [max(len(column), 8) for column in COLUMNS]
        print(" " * 12 + "  ".join(f"{c:>{w}}" for c, w in zip(COLUMNS, widths)))
        for row in rows:
            cells = []
            for column, width in zip(COLUMNS, widths):
                said, wrong = self.said[row, column], len(self.wrong[row, column])
                text = "" if not said else f"{said} ok" if not wrong else f"{wrong}/{said} BAD"
                cells.append(f"{text:>{width}}")
            print(f"{row:<12}" + "  ".join(cells))
        problems = [(key, text) for key, texts in self.wrong.items() for text in texts]
        for (row, column), text in problems[:50]:
            print(f"\nMISMATCH {row}, {column}: {text}")
        if len(problems) > 50:
            print(f"\n… and {len(problems) - 50} more")
        total = sum(self.said.values())
        print(f"\n{total} exchanges, {len(problems)} mismatches")
        return not problems and total > 0


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values that tells 1 from true and from 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[name]) for name, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + f"… ({len(text)} characters)"


def read_by_go(go: Rosetta, frames: List[bytes], op: Op, job_id: int, value: Dict[str, Any]) -> str:
    got, made = go.ask("unpack", *frames)
    if got["kind"]:
        return f"Go says {got['kind']}: {got['error']}"
    if (got["op"], got["job_id"]) != (op.name, job_id):
        return f"Go read {got['op']} for job {got['job_id']}, Python said {op.name} for job {job_id}"
    read = json.loads(made[0])
    return "" if same(read, value) else f"Go read {brief(read)}, Python said {brief(value)}"


def describe(op: Op, job_id: int, value: Dict[str, Any]) -> List[bytes]:
    return [wire.compact({"op": op.name, "job_id": job_id}), wire.compact(value)]


def read_by_python(go: Rosetta, case: says.Case) -> str:
    got, frames = go.ask("pack", *describe(case.op, case.job_id, says.go_value(case.model)))
    if got["kind"]:
        return f"Go refuses: {got['kind']}: {got['error']}"
    try:
        op, job_id, model = wire.unpack(frames)
    except ValueError as error:  # pydantic's errors are ValueErrors
        return f"Python refuses: {brief(str(error))}"
    except wire.WireError as error:
        return f"Python refuses: {error}"
    if (op, job_id) != (case.op, case.job_id):
        return f"Python read {op.name} for job {job_id}"
    want = case.model and says.as_sent_by_go(case.model)
    if model != want or not same(model and model.model_dump(), want and want.model_dump()):
        return f"Python read {brief(repr(model))}, Go said {brief(repr(want))}"
    return ""


def exchange(go: Rosetta, report: Report, case: says.Case, spellings: Dict[str, List[bytes]]) -> None:
    value = says.go_value(case.model)
    for spelling, frames in spellings.items():
        report.check(case.op.name, TO_GO, f"{case.name} ({spelling})", read_by_go(go, frames, case.op, case.job_id, value))
    report.check(case.op.name, TO_PYTHON, case.name, read_by_python(go, case))


def row_of(name: str) -> str:
    """Faults are named after the opcode where one is at fault."""
    head = name.split(":")[0].split(" ")[0]
    return head if head in Op.__members__ else "frames"


def run_huge(go: Rosetta, report: Report, megabytes: int) -> None:
    for case in says.huge(megabytes):
        exchange(go, report, case, {"compact": wire.pack_model(case.op, case.job_id, case.model)})


def run(go: Rosetta, report: Report) -> None:
    for case in says.cases():
        exchange(go, report, case, says.spellings(case))

    for odd in faults.tolerated():
        report.check(odd.op.name, TOLERATED, odd.name, read_by_go(go, odd.frames, odd.op, odd.job_id, odd.value))

    for fault in faults.broken():
        got, _ = go.ask("unpack", *fault.frames)
        problem = ""
        if (got["kind"], got["field"], got["job_id"]) != (fault.kind, fault.field, fault.job_id):
            problem = (f"Go says {got['kind'] or 'nothing'}, field {got['field']!r}, job {got['job_id']} ({brief(got['error'])}); "
                       f"it is {fault.kind}, field {fault.field!r}, job {fault.job_id}")
        elif len(got["error"]) > 400:
            problem = f"Go's message has {len(got['error'])} characters: {brief(got['error'])}"
        report.check(row_of(fault.name), BROKEN, fault.name, problem)

    for stream in faults.streams():
        got, _ = go.ask("stream", stream.data)
        problem = "" if got["kind"] == stream.kind else f"Go says {got['kind'] or 'nothing'} ({brief(got['error'])}), it is {stream.kind or 'sound'}"
        report.check("frames", STREAMED, stream.name, problem)

    for case in faults.refused():
        got, frames = go.ask("pack", *describe(case.op, 9, case.value))
        problem = ""
        if (got["kind"], got["field"]) != ("JsonError", case.field) or frames:
            problem = f"Go says {got['kind'] or 'nothing'}, field {got['field']!r}, {len(frames)} frames; it must refuse field {case.field!r}"
        report.check(case.op.name, REFUSED, case.name, problem)

    for name, (op, value, want) in faults.completed().items():
        got, frames = go.ask("pack", *describe(op, 9, value))
        body = json.loads(frames[1]) if len(frames) == 2 else None
        problem = "" if same(body, want) else f"Go sent {brief(body)} {brief(got['error'])}, it must be {brief(want)}"
        report.check(op.name, COMPLETED, name, problem)


def build(folder: str) -> str:
    program = str(Path(folder) / ("rosetta.exe" if sys.platform == "win32" else "rosetta"))
    subprocess.run(["go", "build", "-o", program, "./integration/rosetta"], cwd=HERE.parent, check=True)
    return program


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rosetta", metavar="PATH", help="the Go program, built before; without it, `go build` makes one")
    parser.add_argument("--huge", metavar="MB", type=int, default=64, help="size of the huge payloads, 0 for none (default: 64)")
    parser.add_argument("--only-huge", action="store_true", help="exchange the huge payloads and nothing else")
    parser.add_argument("--verbose", action="store_true", help="print every exchange")
    options = parser.parse_args()

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        go = Rosetta(options.rosetta or build(folder))
        report = Report(options.verbose)
        try:
            if not options.only_huge:
                run(go, report)
            if options.huge:
                run_huge(go, report, options.huge)
        finally:
            status = go.close()
    sound = report.print()
    print(f"{time.monotonic() - started:.1f} s")
    if status != 0:
        print(f"the Go program ended with status {status}")
    return 0 if sound and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
