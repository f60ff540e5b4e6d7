"""The least that a plugin needs: a Handler whose execute returns rows.

Counts the lines of a file. It imports nothing, so the shim alone must bring
what it takes to turn a list of dicts into a table.
"""


class Handler:
    def execute(self, path):
        with open(path, encoding="utf-8") as file:
            lines = [len(line.rstrip("\n")) for line in file]
        return [{"file": path, "lines": len(lines), "longest": max(lines, default=0)}]
