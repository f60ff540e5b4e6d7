"""What a plugin may yield, as Arrow tables.

pandas and polars are never imported here: a frame of theirs can exist only
where the plugin has imported them.
"""
import contextlib
import sys
from collections.abc import Iterable, Mapping

# Iterables inside of iterables; deeper ones are a mistake.
DEEPEST = 4

ACCEPTED = ("a pandas or polars DataFrame, a pyarrow Table or RecordBatch, a dict of columns, "
            "a list of dicts, or an iterable of these")


def tables(data, depth=0):
    """Yield each frame in data as a pyarrow Table or RecordBatch, one at a time."""
    if data is None:
        return
    if depth > DEEPEST:
        raise TypeError("what the plugin published is nested more than %d iterables deep" % DEEPEST)
    import pyarrow as pa

    if isinstance(data, (pa.Table, pa.RecordBatch)):
        yield data
        return
    if isinstance(data, pa.RecordBatchReader):
        yield from data
        return
    if _is(data, "pyarrow.dataset", "Dataset", "Scanner"):
        yield from data.to_batches()
        return
    if _is(data, "pandas", "DataFrame", "Series"):
        yield _from_pandas(pa, data)
        return
    if _is(data, "polars", "DataFrame", "LazyFrame", "Series"):
        yield _from_polars(data)
        return
    if isinstance(data, Mapping):
        yield _from_columns(pa, data)
        return
    if isinstance(data, (list, tuple)):
        rows = [item for item in data if item is not None]
        if rows and all(isinstance(item, Mapping) for item in rows):
            yield _from_rows(pa, rows)
            return
    if hasattr(data, "__arrow_c_stream__"):
        with _converting(data):
            reader = pa.RecordBatchReader.from_stream(data)
        yield from reader
        return
    if hasattr(data, "__arrow_c_array__"):
        with _converting(data):
            batch = pa.record_batch(data)
        yield batch
        return
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes, bytearray)) or hasattr(data, "__array_interface__"):
        raise TypeError("a plugin publishes %s; this is %s" % (ACCEPTED, _describe(data)))
    for item in data:
        yield from tables(item, depth + 1)
        item = None  # or it would live on while the next one is made


def _is(data, module, *names):
    loaded = sys.modules.get(module)
    classes = tuple(getattr(loaded, name) for name in names if hasattr(loaded, name))
    return isinstance(data, classes)


def _describe(data):
    text = repr(data)
    if len(text) > 60:
        text = text[:60] + "..."
    return "%s: %s" % (type(data).__name__, text)


@contextlib.contextmanager
def _converting(data):
    """Name the thing that cannot become a table."""
    try:
        yield
    except Exception as error:
        raise ValueError("cannot turn this %s into a table: %s" % (type(data).__name__, error)) from error


def _from_pandas(pa, data):
    if type(data).__name__ == "Series" or getattr(data, "ndim", 2) == 1:
        data = data.to_frame()
    with _converting(data):
        # A labelled index becomes a column, a range is only noted. One thread: the
        # default would start a pool for each frame.
        return pa.Table.from_pandas(data, preserve_index=None, nthreads=1)


def _from_polars(data):
    with _converting(data):
        polars = sys.modules["polars"]
        if isinstance(data, polars.LazyFrame):
            try:
                data = data.collect(engine="streaming")
            except TypeError:  # before polars 1.23
                data = data.collect()
        elif isinstance(data, polars.Series):
            data = data.to_frame()
        if hasattr(polars, "CompatLevel"):
            # Large strings: a slice of string views would drag along all of the text.
            return data.to_arrow(compat_level=polars.CompatLevel.oldest())
        return data.to_arrow()


def _from_columns(pa, data):
    for name, values in data.items():
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) and not hasattr(values, "__arrow_array__"):
            raise TypeError("a dict is a dict of columns, and column %r is %s; for one row publish a list with one dict"
                            % (name, _describe(values)))
    with _converting(data):
        return pa.table({str(name): _column(values) for name, values in data.items()})


def _column(values):
    # pyarrow takes lists, arrays, and what speaks Arrow; other iterables it does not.
    if isinstance(values, (list, tuple)) or hasattr(values, "__len__"):
        return values
    return list(values)


def _from_rows(pa, rows):
    # pyarrow's own from_pylist looks at the keys of the first row only.
    names = {}
    for row in rows:
        for name in row:
            names.setdefault(name)
    with _converting(rows):
        return pa.table({str(name): [row.get(name) for row in rows] for name in names})
