"""Print the columns of a file of intervals as duckdb reads them."""

import sys

import duckdb

con = duckdb.connect()
for column in ("c0", "c1"):
    rows = con.sql(f"SELECT {column}::VARCHAR FROM '{sys.argv[1]}'").fetchall()
    print(" | ".join(str(r[0]) for r in rows))
