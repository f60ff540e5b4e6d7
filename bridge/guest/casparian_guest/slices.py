"""Tables cut into batches, and batches as bytes.

Where a table is cut depends on its values alone, never on the chunks that it
happens to be in: the same data gives the same batches again.
"""
import pyarrow as pa
import pyarrow.compute as pc

# What a stream's messages need beyond schema and values.
OVERHEAD = 4 << 10


class Encoder:
    """Encodes into one buffer that is used again and again: a fresh one would
    cost more than the copying."""

    def __init__(self, rows, size, frame):
        self._rows = rows
        self._size = size
        # The frame's own head comes off what a frame may hold.
        self._frame = frame - 64
        self._buffer = pa.allocate_buffer(256 << 10, resizable=True)
        self._options = pa.ipc.IpcWriteOptions(use_threads=False)

    def encode(self, table):
        """Yield (rows, bytes) for each batch of the table. The bytes are valid
        until the next one is asked for. Nothing is yielded for zero rows."""
        if table.num_rows == 0:
            return
        if table.num_columns == 0:
            raise ValueError("a frame of %d rows without columns cannot be stored" % table.num_rows)
        table = without_views(table)
        step = self._rows_per_slice(table)
        for start in range(0, table.num_rows, step):
            for batch in one_chunk(table.slice(start, step)):
                for part in self._halved(batch):
                    yield part.num_rows, self._stream(part)

    def _rows_per_slice(self, table):
        if table.num_rows <= self._rows and table.nbytes <= self._size:
            return table.num_rows  # which is what the rest would give
        size = sum(weight(column) for column in table.columns)
        return max(1, min(self._rows, self._size * table.num_rows // max(1, size)))

    def _halved(self, batch):
        """Rows differ in size: cut what is above twice the limit, as long as
        cutting helps."""
        batch = with_small_dictionaries(batch)
        if batch.nbytes <= 2 * self._size or batch.num_rows == 1:
            yield batch
            return
        middle = batch.num_rows // 2
        halves = batch.slice(0, middle), batch.slice(middle)
        if batch.nbytes <= self._frame // 2 and all(half.nbytes * 10 > batch.nbytes * 9 for half in halves):
            yield batch
            return
        for half in halves:
            yield from self._halved(half)

    def _stream(self, batch):
        length, need = self._write(batch), 0
        while length is None:
            # Dictionaries inside of nested columns may take more than is counted.
            need = max(self._need(batch), 2 * need)
            if need > self._frame + OVERHEAD:
                raise ValueError(
                    "a batch of %d rows takes %d bytes, a frame of the bridge holds %d: "
                    "its values are too large to be cut smaller" % (batch.num_rows, need, self._frame))
            if self._buffer.size < need:
                self._buffer = pa.allocate_buffer(need + need // 4, resizable=True)
            length = self._write(batch)
        if length > self._frame:
            raise ValueError("a batch of %d rows takes %d bytes, a frame of the bridge holds %d"
                             % (batch.num_rows, length, self._frame))
        return memoryview(self._buffer)[:length]

    def _need(self, batch):
        need = batch.schema.serialize().size + pa.ipc.get_record_batch_size(batch) + OVERHEAD
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                need += column.dictionary.nbytes + OVERHEAD
        return need

    def _write(self, batch):
        """The stream's length, None when the buffer is too short."""
        if batch.nbytes > self._buffer.size:
            return None
        sink = pa.FixedSizeBufferWriter(self._buffer)
        try:
            writer = pa.ipc.new_stream(sink, batch.schema, options=self._options)
            writer.write_batch(batch)
            writer.close()
            return sink.tell()
        except OSError:
            return None


def weight(column):
    """Bytes of a column that grow with its rows: a dictionary's values do not."""
    if pa.types.is_dictionary(column.type):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return sum(chunk.indices.nbytes for chunk in chunks)
    return column.nbytes


def one_chunk(piece):
    if isinstance(piece, pa.RecordBatch):
        return [piece]
    return piece.combine_chunks().to_batches()


def without_views(table):
    """A slice of a view column carries the text of the whole column: copy such
    columns into the plain layout."""
    if not hasattr(pa.types, "is_string_view"):
        return table
    fields = []
    for field in table.schema:
        if pa.types.is_string_view(field.type):
            field = field.with_type(pa.large_string())
        elif pa.types.is_binary_view(field.type):
            field = field.with_type(pa.large_binary())
        fields.append(field)
    schema = pa.schema(fields, metadata=table.schema.metadata)
    if schema.equals(table.schema):
        return table
    return table.cast(schema)


def with_small_dictionaries(batch):
    """Each batch carries its own dictionaries. One with more entries than the
    batch has rows is cut down to those that are used."""
    columns = list(batch.columns)
    changed = False
    for i, column in enumerate(columns):
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > len(column):
            columns[i] = used_only(column)
            changed = True
    if not changed:
        return batch
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def used_only(column):
    used = column.indices.unique().drop_null()
    indices = pc.index_in(column.indices, value_set=used).cast(column.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, column.dictionary.take(used), ordered=column.type.ordered)
