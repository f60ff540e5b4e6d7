package ops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// Formats of an export.
const (
	ExportLines   = "jsonl"   // the records as stored, one a line
	ExportParquet = "parquet" // one row for each, see exportSchema
)

// Export writes the events of a journal to a file, for auditors: which of them says
// the Inspection. A file appears under its name only when it is whole. It gives the
// number of events.
func Export(ctx context.Context, in Inspection, format, path string) (events uint64, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("export to %s: %w", path, errors.Join(err, file.Close(), os.Remove(file.Name())))
		}
	}()
	out := &counted{to: bufio.NewWriterSize(file, 1<<20)}
	write := func(r journal.Record) error { _, err := out.Write(append(r.Raw, '\n')); return err }
	finish := func() error { return nil }
	if format == ExportParquet {
		table, err := newEventTable(out)
		if err != nil {
			return 0, err
		}
		defer table.rows.Release()
		write, finish = table.add, table.finish
	}
	err = readRecords(ctx, in.StateDir, false, func(r journal.Record) error {
		if !in.wanted(r) {
			return nil
		}
		events++
		return write(r)
	})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(finish(), out.to.Flush()); err != nil {
		return 0, err
	}
	if err := errors.Join(file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return 0, err
	}
	return events, os.Rename(file.Name(), path)
}

// counted counts what is written.
type counted struct {
	to    *bufio.Writer
	bytes int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.bytes += int64(n)
	return n, err
}

// exportSchema has what an audit asks for by column; event is the event as it is
// stored, in JSON. job, generation and attempt are null where an event has none.
var exportSchema = arrow.NewSchema([]arrow.Field{
	{Name: "seq", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "time", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}},
	{Name: "job", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
	{Name: "generation", Type: arrow.PrimitiveTypes.Uint32, Nullable: true},
	{Name: "attempt", Type: arrow.PrimitiveTypes.Uint32, Nullable: true},
	{Name: "kind", Type: arrow.BinaryTypes.String},
	{Name: "version", Type: arrow.PrimitiveTypes.Int32},
	{Name: "event", Type: arrow.BinaryTypes.String},
	{Name: "prev", Type: arrow.BinaryTypes.String},   // digest of the record before
	{Name: "digest", Type: arrow.BinaryTypes.String}, // of this record
}, nil)

const (
	exportBatch = 1024    // events in one batch
	exportGroup = 1 << 17 // events in one row group
)

// eventTable writes events as a Parquet file.
type eventTable struct {
	out     *counted
	encoder *rowgroup.Encoder
	rows    *array.RecordBuilder
	batched int
	groups  []rowgroup.Placed
}

func newEventTable(out *counted) (*eventTable, error) {
	encoder, err := rowgroup.New(exportSchema, rowgroup.Options{})
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(out, rowgroup.Magic)
	return &eventTable{out: out, encoder: encoder, rows: array.NewRecordBuilder(memory.DefaultAllocator, exportSchema)}, err
}

func (t *eventTable) add(r journal.Record) error {
	var stored struct {
		Event json.RawMessage `json:"event"`
	}
	var names struct {
		Generation *uint32 `json:"generation"`
		Attempt    *uint32 `json:"attempt"`
	}
	if err := json.Unmarshal(r.Raw, &stored); err != nil {
		return err
	}
	if err := json.Unmarshal(stored.Event, &names); err != nil {
		return err
	}
	column := func(i int) array.Builder { return t.rows.Field(i) }
	column(0).(*array.Uint64Builder).Append(r.Seq)
	column(1).(*array.TimestampBuilder).Append(arrow.Timestamp(r.Time.UnixNano()))
	if job := column(2).(*array.Uint64Builder); r.Job == 0 {
		job.AppendNull()
	} else {
		job.Append(r.Job)
	}
	for i, number := range []*uint32{names.Generation, names.Attempt} {
		if builder := column(3 + i).(*array.Uint32Builder); number == nil {
			builder.AppendNull()
		} else {
			builder.Append(*number)
		}
	}
	column(5).(*array.StringBuilder).Append(string(r.Kind))
	column(6).(*array.Int32Builder).Append(int32(r.Version))
	column(7).(*array.StringBuilder).Append(string(stored.Event))
	column(8).(*array.StringBuilder).Append(string(r.Prev))
	column(9).(*array.StringBuilder).Append(string(journal.DigestOf(r.Raw)))
	if t.batched++; t.batched < exportBatch {
		return nil
	}
	return t.encode()
}

// encode gives the rows so far to the encoder, and ends a row group that is full.
func (t *eventTable) encode() error {
	t.batched = 0
	batch := t.rows.NewRecordBatch()
	defer batch.Release()
	if err := t.encoder.Write(batch); err != nil {
		return err
	}
	if t.encoder.Rows() < exportGroup {
		return nil
	}
	return t.endGroup()
}

func (t *eventTable) endGroup() error {
	offset := t.out.bytes
	group, err := t.encoder.Finish(t.out)
	if err == nil && group.Rows > 0 {
		t.groups = append(t.groups, rowgroup.Placed{RowGroup: group, Offset: offset})
	}
	return err
}

func (t *eventTable) finish() error {
	if err := t.encode(); err != nil {
		return err
	}
	if err := t.endGroup(); err != nil {
		return err
	}
	footer, err := rowgroup.AppendFooterAt(nil, t.out.bytes, exportSchema, t.groups,
		[]rowgroup.KeyValue{{Key: "exported", Value: time.Now().UTC().Format(time.RFC3339)}}, "casparian-worker journal export")
	if err != nil {
		return err
	}
	_, err = t.out.Write(footer)
	return err
}
