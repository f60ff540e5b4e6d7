package parquet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// Batches are taken in pieces of at most so many rows and, when a row is small
// enough, so many plain bytes: however large a batch is, little of it is decoded
// at once.
const (
	pieceRows  = 64 << 10
	pieceBytes = 8 << 20
)

var errSealed = errors.New("the output is sealed")

// writer stages one output. The way of a batch:
//
//	accept   its schema against the output's            schema.go
//	cut      into pieces, row groups among them         here
//	convert  to the output's types, lineage added       convert.go
//	hold     while a later batch may widen a type       here
//	encode   into the open row group                    encoder.go
//	place    the finished row group in the file         assembler.go
//
// The first error is final: it is returned by every later call. What was durable
// before it stays so, and its token stays good.
type writer struct {
	driver  *Driver
	target  sink.Target
	loc     location
	staging string

	schema    fileSchema
	settled   *arrow.Schema // with the lineage columns, set when the types are settled
	assembler assembler
	encoder   *encoder // made with the first rows that are encoded
	held      []arrow.RecordBatch
	lineage   lineage

	batches int64 // taken, for messages
	column  string
	rows    int64 // taken, those before a resume included
	open    struct{ rows, bytes int64 }

	failed error
	sealed bool
	token  sink.Token // of Seal
	closed bool
}

func newWriter(d *Driver, target sink.Target, loc location, staging string) *writer {
	w := &writer{driver: d, target: target, loc: loc, staging: staging}
	w.lineage = newLineage(int64(target.JobID), target.FileVersionID)
	w.assembler = assembler{
		path:      filepath.Join(d.config.Root, staging),
		create:    func() (*disk.File, error) { return d.create(staging) },
		syncNames: func() error { return d.syncNames(filepath.Dir(staging)) },
		createdBy: d.createdBy,
	}
	return w
}

func (w *writer) resume(file *disk.File, token flushed) error {
	message, err := w.assembler.resume(file, token)
	if err != nil {
		return err
	}
	schema, err := unmarshalSchema(message)
	if err != nil {
		return &sink.DamageError{Path: w.assembler.path, Reason: err.Error()}
	}
	w.schema = *schema
	w.settled = schema.declared()
	w.rows = token.Rows
	return nil
}

// Write takes one batch. A batch without rows is passed over, its schema too: an
// empty frame often has no true types.
func (w *writer) Write(ctx context.Context, batch arrow.RecordBatch) error {
	return w.guarded(ctx, func() error {
		w.batches++
		if batch.NumRows() == 0 {
			return nil
		}
		return w.take(ctx, batch)
	})
}

// guarded runs one call: it keeps the first error and turns a panic, which bad
// data can set off deep inside of arrow-go, into an error.
func (w *writer) guarded(ctx context.Context, call func() error) (err error) {
	if w.failed != nil {
		return w.failed
	}
	if w.closed {
		return errors.New("the writer is closed")
	}
	if w.sealed {
		return errSealed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = &sink.ValueError{Column: w.column, Batch: w.batches, Reason: fmt.Sprintf("it does not hold together: %v", cause)}
		}
		if err != nil {
			w.failed = err
			w.release()
		}
	}()
	return call()
}

func (w *writer) take(ctx context.Context, batch arrow.RecordBatch) error {
	pick, err := w.schema.accept(batch.Schema(), w.batches)
	if err != nil {
		return err
	}
	columns := make([]arrow.Array, len(pick))
	for i, from := range pick {
		columns[i] = batch.Column(from)
	}
	for at, rows := 0, int(batch.NumRows()); at < rows; {
		room := w.loc.encoding.rowGroupRows - w.open.rows
		n, size := w.cut(columns, at, int(min(int64(rows-at), pieceRows, room)))
		if err := w.piece(columns, at, at+n); err != nil {
			return err
		}
		at += n
		w.rows += int64(n)
		w.open.rows += int64(n)
		w.open.bytes += size
		if w.open.rows >= w.loc.encoding.rowGroupRows || w.open.bytes >= w.loc.encoding.rowGroupBytes {
			if err := w.closeGroup(); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut says how many rows from at on make a piece, at most n, and their plain size.
// Small row groups are made of small pieces, so that they end where they should.
func (w *writer) cut(columns []arrow.Array, at, n int) (rows int, size int64) {
	most := min(pieceBytes, w.loc.encoding.rowGroupBytes/4)
	for {
		size = 0
		for i, column := range columns {
			w.column = w.schema.columns[i].Name
			size += plainBytesOf(column, at, at+n)
		}
		w.column = ""
		if n == 1 || size <= most {
			return n, size
		}
		n = max(1, n/2)
	}
}

// piece holds or encodes the rows [from, to) of the picked columns.
func (w *writer) piece(columns []arrow.Array, from, to int) error {
	hold := w.schema.mayWiden()
	if !hold {
		if err := w.settle(); err != nil {
			return err
		}
	}
	if hold {
		converted, err := w.convert(columns, from, to, w.schema.plain(), true)
		if err != nil {
			return err
		}
		w.held = append(w.held, converted)
		return nil
	}
	converted, err := w.convert(columns, from, to, w.settled, false)
	if err != nil {
		return err
	}
	defer converted.Release()
	return w.encode(converted)
}

// convert gives the rows as a batch of the schema, with lineage. A batch to be
// held is in memory of its own: what the caller lent goes back to it.
func (w *writer) convert(columns []arrow.Array, from, to int, schema *arrow.Schema, own bool) (arrow.RecordBatch, error) {
	out := make([]arrow.Array, 0, len(columns)+2)
	defer func() {
		for _, column := range out {
			column.Release()
		}
	}()
	for i, column := range columns {
		w.column = w.schema.columns[i].Name
		slice := array.NewSlice(column, int64(from), int64(to))
		converted, err := convert(slice, schema.Field(i).Type)
		slice.Release()
		if err != nil {
			return nil, w.blameIn(err, column.DataType(), i)
		}
		if own {
			copied, err := clone(converted)
			converted.Release()
			if err != nil {
				return nil, w.blame(&badValue{err.Error()})
			}
			converted = copied
		}
		out = append(out, converted)
	}
	w.column = ""
	out = append(out, w.lineage.columns(to-from)...)
	return array.NewRecordBatch(schema, out, int64(to-from)), nil
}

// blame names the column and batch that an error is about.
func (w *writer) blame(err error) error {
	var bad *badValue
	if errors.As(err, &bad) {
		return &sink.ValueError{Column: w.column, Batch: w.batches, Reason: bad.reason}
	}
	return fmt.Errorf("batch %d, column %q: %w", w.batches, w.column, err)
}

func (w *writer) blameIn(err error, got arrow.DataType, column int) error {
	var does *misfit
	if errors.As(err, &does) {
		return &sink.SchemaError{Column: w.column, Have: w.schema.columns[column].Type.String(), Got: got.String(),
			Batch: w.batches, Reason: does.reason}
	}
	return w.blame(err)
}

// settle fixes the types and encodes what was held back with narrower ones.
func (w *writer) settle() error {
	if w.settled != nil {
		return nil
	}
	w.schema.settled = true
	w.settled = w.schema.declared()
	held := w.held
	w.held = nil
	defer func() {
		for _, batch := range held {
			if batch != nil {
				batch.Release()
			}
		}
	}()
	for i, batch := range held {
		columns := batch.Columns()[:len(w.schema.columns)]
		final, err := w.convert(columns, 0, int(batch.NumRows()), w.settled, false)
		if err != nil {
			return err
		}
		err = w.encode(final)
		final.Release()
		if err != nil {
			return err
		}
		batch.Release()
		held[i] = nil
	}
	return nil
}

func (w *writer) encode(batch arrow.RecordBatch) error {
	if w.encoder == nil {
		var err error
		if w.encoder, err = newEncoder(w.settled, w.loc.encoding); err != nil {
			return w.encodeError(err)
		}
	}
	if err := w.encoder.groups.Write(batch); err != nil {
		return w.encodeError(err)
	}
	return nil
}

// encodeError tells what is wrong with a batch or its schema by the sink's own
// types.
func (w *writer) encodeError(err error) error {
	if told := driverError(err, w.batches); told != nil {
		return told
	}
	return fmt.Errorf("encode batch %d for %s: %w", w.batches, w.assembler.path, err)
}

// closeGroup ends the open row group, if there is one.
func (w *writer) closeGroup() error {
	if w.open.rows == 0 {
		return nil
	}
	if err := w.settle(); err != nil {
		return err
	}
	out, err := w.assembler.begin()
	if err != nil {
		return err
	}
	group, err := w.encoder.finish(out)
	if err != nil {
		return w.encodeError(err)
	}
	if group.Rows != w.open.rows {
		return fmt.Errorf("encode %s: a row group of %d rows was to have %d", w.assembler.path, group.Rows, w.open.rows)
	}
	w.assembler.place(group)
	w.open.rows, w.open.bytes = 0, 0
	return nil
}

// Checkpoint covers the row groups that are complete: see [sink.Writer]. The open
// one goes on.
func (w *writer) Checkpoint(ctx context.Context) (checkpoint *sink.Checkpoint, err error) {
	err = w.guarded(ctx, func() error {
		if w.assembler.unsynced != nil || w.assembler.checkpointed == len(w.assembler.groups) {
			return w.assembler.unsynced
		}
		token, err := w.assembler.checkpoint(func() ([]byte, error) { return marshalSchema(w.schema.declared()) },
			flushed{Staging: filepath.ToSlash(w.staging), Encoding: w.loc.encoding.fingerprint()})
		if err != nil {
			return err
		}
		checkpoint = &sink.Checkpoint{Stats: sink.Stats{Rows: token.Rows, Bytes: token.End}, Sync: w.assembler.sync}
		checkpoint.Token, err = token.marshal()
		return err
	})
	return checkpoint, err
}

// Cut ends the open row group early: see [sink.Writer]. While a later batch may widen a
// type it stays open.
func (w *writer) Cut(ctx context.Context) error {
	return w.guarded(ctx, func() error {
		if w.settled == nil {
			return nil
		}
		return w.closeGroup()
	})
}

// Seal completes the file: see [sink.Writer]. Sealing twice gives the same token.
func (w *writer) Seal(ctx context.Context) (sink.Token, error) {
	if w.sealed {
		return w.token, nil
	}
	err := w.guarded(ctx, func() error {
		if w.rows == 0 {
			w.sealed = true
			return nil
		}
		if err := w.closeGroup(); err != nil {
			return err
		}
		w.encoder = nil // the footer of many columns is large, too
		sealed, err := w.assembler.seal(w.settled, w.entries())
		if err != nil {
			return err
		}
		sealed.Staging, sealed.Final = filepath.ToSlash(w.staging), filepath.ToSlash(w.loc.final)
		w.token, err = sealed.marshal()
		w.sealed = err == nil
		w.release()
		return err
	})
	return w.token, err
}

// Keys of the file's metadata.
const (
	keyJobID         = "casparian.job_id"
	keyGeneration    = "casparian.generation"
	keyAttempt       = "casparian.attempt"
	keyTopic         = "casparian.topic"
	keyPlugin        = "casparian.plugin"
	keyFileVersion   = "casparian.file_version_id"
	keyWorkerVersion = "casparian.worker_version"
)

// entries is the file's own metadata. ARROW:schema comes with the footer.
func (w *writer) entries() []rowgroup.KeyValue {
	return []rowgroup.KeyValue{
		{Key: keyJobID, Value: strconv.FormatUint(w.target.JobID, 10)},
		{Key: keyGeneration, Value: strconv.FormatUint(uint64(w.target.Generation), 10)},
		{Key: keyAttempt, Value: strconv.FormatUint(uint64(w.target.Attempt), 10)},
		{Key: keyTopic, Value: w.target.Topic},
		{Key: keyPlugin, Value: w.target.Plugin},
		{Key: keyFileVersion, Value: strconv.FormatInt(w.target.FileVersionID, 10)},
		{Key: keyWorkerVersion, Value: w.driver.config.WorkerVersion},
	}
}

// Stats counts rows taken, and bytes placed in the file; those of the open row
// group are not in it yet. After a resume both include what was there.
func (w *writer) Stats() sink.Stats {
	return sink.Stats{Rows: w.rows, Bytes: w.assembler.end}
}

// Close lets go of the file and of what is held back; the staged file stays.
func (w *writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.release()
	w.lineage.release()
	if w.assembler.file == nil {
		return nil
	}
	if err := w.assembler.file.Close(); err != nil {
		return fmt.Errorf("close staged file %s: %w", w.assembler.path, err)
	}
	return nil
}

// release lets go of the rows that no row group has yet, and of the memory that
// encodes them.
func (w *writer) release() {
	for _, batch := range w.held {
		batch.Release()
	}
	w.held, w.encoder = nil, nil
}
