"""Print what a Parquet file holds: its rows, its schema, its first rows."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, WIDTH, LINE = 5, 24, 160


def cell(value):
    text = "" if value is None else str(value)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def preview(path):
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    print(f"  {file.metadata.num_rows:,} rows, {file.metadata.num_row_groups} row group(s)")
    for field in schema:
        print(f"    {field.name}: {field.type}{'' if field.nullable else ' not null'}")
    batch = next(file.iter_batches(batch_size=ROWS), None)
    if batch is None:
        return
    columns = [[name] + [cell(v) for v in values.to_pylist()] for name, values in zip(schema.names, batch.columns)]
    used, shown = 4, []
    for column in columns:
        width = max(len(text) for text in column)
        if used + width + 2 > LINE and shown:
            shown.append((["…"] * len(column), 1))
            break
        shown.append((column, width))
        used += width + 2
    for row in range(len(columns[0])):
        print("    " + "  ".join(column[row].ljust(width) for column, width in shown).rstrip())


for name in sys.argv[1:]:
    print(name)
    try:
        preview(name)
    except (OSError, pa.ArrowException) as error:
        print(f"  cannot be shown: {error}")
