"""Tells which Python and where a package of the environment has. The
package is one that the machine's own Python lacks."""

import sys

import iniconfig


class Handler:
    def execute(self, path):
        return {"prefix": [sys.prefix], "package": [iniconfig.__file__]}
