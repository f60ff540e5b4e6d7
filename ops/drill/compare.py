"""Compares Parquet files value by value. One JSON request a line on stdin, one
answer a line on stdout:

    {"expected": PATH, "found": PATH}
    {"expected": rows, "found": rows, "missing": rows, "extra": rows, "order": bool, "problem": str}

missing and extra count rows without regard to their order; order tells whether
the rows come in the same one. A row's values are compared as Python writes them,
so that NaN is equal to itself.
"""

import json
import sys
from collections import Counter


def main():
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        print(json.dumps({"problem": str(error)}), flush=True)
        return
    print("{}", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = compare(pq, request["expected"], request["found"])
        except Exception as error:  # whatever pyarrow finds wrong with a file
            answer = {"problem": "%s: %s" % (type(error).__name__, error)}
        print(json.dumps(answer), flush=True)


def compare(pq, expected_path, found_path):
    expected, found = pq.ParquetFile(expected_path).read(), pq.ParquetFile(found_path).read()
    found.validate(full=True)
    answer = {"expected": expected.num_rows, "found": found.num_rows, "missing": 0, "extra": 0, "order": True}
    if not expected.schema.equals(found.schema):
        answer["problem"] = "the columns are %s, want %s" % (describe(found.schema), describe(expected.schema))
        return answer
    if expected.equals(found):
        return answer
    want, got = rows(expected), rows(found)
    answer["order"] = want == got
    if not answer["order"]:
        want, got = Counter(want), Counter(got)
        answer["missing"] = sum((want - got).values())
        answer["extra"] = sum((got - want).values())
    return answer


def rows(table):
    columns = [column.to_pylist() for column in table.columns]
    return [repr(row) for row in zip(*columns)]


def describe(schema):
    return ", ".join("%s %s" % (field.name, field.type) for field in schema)


main()
