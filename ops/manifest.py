"""Print the sinks that a plugin's MANIFEST names, as a JSON object of topic to URI.

The source is on stdin. It is read, never run: only a literal counts.
"""

import ast
import json
import sys


def sinks(tree):
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if not any(isinstance(t, ast.Name) and t.id == "MANIFEST" for t in targets):
            continue
        if isinstance(value, ast.Call):
            for keyword in value.keywords:
                if keyword.arg == "sinks":
                    return ast.literal_eval(keyword.value)
        elif isinstance(value, ast.Dict):
            return ast.literal_eval(value).get("sinks", {})
    return {}


try:
    found = sinks(ast.parse(sys.stdin.buffer.read()))
except (SyntaxError, ValueError):
    found = {}
if not isinstance(found, dict):
    found = {}
json.dump({t: u for t, u in found.items() if isinstance(t, str) and isinstance(u, str)}, sys.stdout)
