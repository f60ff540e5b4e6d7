package parquet

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/casparian-flow/casparian-worker/sink"
)

// TestUnsupportedTypes: refused by the column's name, before a row is written.
func TestUnsupportedTypes(t *testing.T) {
	union := arrow.DenseUnionOf([]arrow.Field{{Name: "a", Type: i64}}, []arrow.UnionTypeCode{0})
	deep := arrow.DataType(i64)
	for range maxNesting + 2 {
		deep = arrow.ListOf(deep)
	}
	for _, c := range []struct {
		name   string
		kind   arrow.DataType
		column string
	}{
		{"union", union, "x"},
		{"sparse union", arrow.SparseUnionOf([]arrow.Field{{Name: "a", Type: i64}}, []arrow.UnionTypeCode{0}), "x"},
		{"union in a list", arrow.ListOf(union), "x.element"},
		{"union deep down", structOf("s", arrow.MapOf(text, arrow.ListOf(union))), "x.s.value.element"},
		{"no fields", arrow.StructOf(), "x"},
		{"no fields in a list", arrow.ListOf(arrow.StructOf()), "x.element"},
		{"no bytes", &arrow.FixedSizeBinaryType{ByteWidth: 0}, "x"},
		{"negative scale", &arrow.Decimal128Type{Precision: 5, Scale: -2}, "x"},
		{"scale above precision", &arrow.Decimal128Type{Precision: 5, Scale: 6}, "x"},
		{"dictionary of unions", &arrow.DictionaryType{IndexType: i8, ValueType: union}, "x"},
		{"runs of unions", arrow.RunEndEncodedOf(i32, structOf("a", union)), "x.a"},
		{"two fields of one name", arrow.StructOf(arrow.Field{Name: "a", Type: i64}, arrow.Field{Name: "a", Type: text}), "x"},
		{"keys without a type", arrow.MapOf(arrow.Null, i64), "x"},
		{"nested without an end", deep, "x" + strings.Repeat(".element", maxNesting+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			w := open(t, driver, target("parquet://a.parquet"), nil)
			fields := []arrow.Field{{Name: "fine", Type: i64, Nullable: true}, {Name: "x", Type: c.kind, Nullable: true}}
			fine := batchOf(t, column{"fine", i64, `[1]`}).Column(0)
			null := array.MakeArrayOfNull(memory.DefaultAllocator, c.kind, 1)
			err := w.Write(t.Context(), array.NewRecordBatch(arrow.NewSchema(fields, nil), []arrow.Array{fine, null}, 1))
			var refused *sink.UnsupportedTypeError
			if !errors.As(err, &refused) || refused.Column != c.column {
				t.Fatalf("%v", err)
			}
			wantFiles(t, driver)
		})
	}
}

// raw makes an array of buffers as they are, sound or not.
func raw(kind arrow.DataType, rows, nulls int, buffers ...[]byte) arrow.Array {
	wrapped := make([]*memory.Buffer, len(buffers))
	for i, buffer := range buffers {
		if buffer != nil {
			wrapped[i] = memory.NewBufferBytes(buffer)
		}
	}
	return array.MakeFromData(array.NewData(kind, rows, wrapped, nil, nulls, 0))
}

func int32s(values ...int32) []byte { return arrow.Int32Traits.CastToBytes(values) }
func int64s(values ...int64) []byte { return arrow.Int64Traits.CastToBytes(values) }

// TestBadData: values that break the rules of their type end the job with an
// error that names the column; they never end the worker, and never get into a
// file that others then refuse.
func TestBadData(t *testing.T) {
	for _, c := range []struct {
		name   string
		make   func() arrow.Array
		reason string
	}{
		{"text that is not UTF-8", func() arrow.Array { return raw(text, 2, 0, nil, int32s(0, 1, 2), []byte("a\xff")) }, "not UTF-8"},
		{"text cut inside of a letter", func() arrow.Array { return raw(text, 2, 0, nil, int32s(0, 1, 2), []byte("ü")) }, "not UTF-8"},
		{"offsets beyond the bytes", func() arrow.Array { return raw(text, 2, 0, nil, int32s(0, 200, 2), []byte("ab")) }, "end at byte"},
		{"offsets that go back", func() arrow.Array { return raw(blob, 2, 0, nil, int32s(1, 0, 2), []byte("ab")) }, "begins at byte"},
		{"negative offsets", func() arrow.Array { return raw(blob, 2, 0, nil, int32s(0, -5, 2), []byte("ab")) }, "begins at byte"},
		{"seconds out of range", func() arrow.Array { return raw(seconds, 1, 0, nil, int64s(1<<62)) }, "out of the range"},
		{"a time of day after midnight", func() arrow.Array { return raw(arrow.FixedWidthTypes.Time32s, 1, 0, nil, int32s(90_000)) }, "out of the range"},
		{"a date out of range", func() arrow.Array { return raw(arrow.FixedWidthTypes.Date64, 1, 0, nil, int64s(1<<62)) }, "out of the range"},
		{"more digits than the type has", func() arrow.Array { return raw(decimal(3, 1), 1, 0, nil, int64s(123456, 0)) }, "more digits"},
		{"the smallest number there is", func() arrow.Array { return raw(decimal(38, 0), 1, 0, nil, int64s(0, -1<<63)) }, "more digits"},
		{"an index outside of the dictionary", func() arrow.Array {
			indices := raw(i8, 2, 0, nil, []byte{0, 9})
			return array.NewDictionaryArray(words, indices, raw(text, 1, 0, nil, int32s(0, 1), []byte("a")))
		}, "dictionary"},
		{"a list outside of its elements", func() arrow.Array {
			elements := raw(i64, 2, 0, nil, int64s(1, 2))
			return array.MakeFromData(array.NewData(arrow.ListOf(i64), 2, []*memory.Buffer{nil, memory.NewBufferBytes(int32s(0, 1, 50))},
				[]arrow.ArrayData{elements.Data()}, 0, 0))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			to := target("parquet://a.parquet")
			w := open(t, driver, to, nil)
			write(t, w, batchOf(t, column{"sound", i64, `[1, 2]`}, column{"x", c.make().DataType(), `[null, null]`}))
			token := flush(t, w)

			bad := c.make()
			fields := []arrow.Field{{Name: "sound", Type: i64}, {Name: "x", Type: bad.DataType(), Nullable: true}}
			sound := batchOf(t, column{"sound", i64, "[" + strings.TrimSuffix(strings.Repeat("3,", bad.Len()), ",") + "]"}).Column(0)
			err := w.Write(t.Context(), array.NewRecordBatch(arrow.NewSchema(fields, nil), []arrow.Array{sound, bad}, int64(bad.Len())))
			if err == nil {
				_, err = tryFlush(t, w)
			}
			var refused *sink.ValueError
			if !errors.As(err, &refused) || refused.Batch != 2 || !strings.Contains(refused.Reason, c.reason) {
				t.Fatalf("%v", err)
			}
			if refused.Column != "x" {
				t.Errorf("%v does not name the column", refused)
			}
			// What was durable before is so still.
			w = open(t, driver, to, token)
			rows := read(t, commit(t, driver, to, seal(t, w)))
			if !reflect.DeepEqual(rows.Columns["sound"], []any{1.0, 2.0}) {
				t.Errorf("%v", rows.Columns)
			}
		})
	}
}

// TestIntervalsThatParquetCannotHold: nothing is rounded, and nothing is written
// that readers take for another time.
func TestIntervalsThatParquetCannotHold(t *testing.T) {
	whole := arrow.FixedWidthTypes.MonthDayNanoInterval
	for name, bad := range map[string]arrow.Array{
		"a negative part":       raw(whole, 1, 0, nil, append(int32s(1, 0), int64s(-1_000_000)...)),
		"negative months":       raw(arrow.FixedWidthTypes.MonthInterval, 1, 0, nil, int32s(-3)),
		"negative days":         raw(arrow.FixedWidthTypes.DayTimeInterval, 1, 0, nil, int32s(-3, 0)),
		"part of a millisecond": raw(whole, 1, 0, nil, append(int32s(1, 0), int64s(1)...)),
	} {
		w := open(t, newDriver(t, Config{}), target("parquet://a.parquet"), nil)
		err := w.Write(t.Context(), array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "x", Type: bad.DataType()}}, nil), []arrow.Array{bad}, 1))
		var refused *sink.ValueError
		if !errors.As(err, &refused) || refused.Column != "x" || refused.Batch != 1 || !strings.Contains(refused.Reason, "interval") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestABatchIsOnlyBorrowed: what the caller does to the memory of a batch after
// Write is not seen in the file, neither by values nor by statistics.
func TestABatchIsOnlyBorrowed(t *testing.T) {
	for name, first := range map[string]arrow.DataType{"encoded at once": i64, "held back": i32} {
		t.Run(name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			to := target("parquet://a.parquet")
			w := open(t, driver, to, nil)
			numbers, letters := int64s(5, 6, 7), []byte("efg")
			if first == i32 {
				numbers = int32s(5, 6, 7)
			}
			lent := [][]byte{numbers, int32s(0, 1, 2, 3), letters}
			fields := []arrow.Field{{Name: "number", Type: first}, {Name: "letter", Type: text}, {Name: "blob", Type: blob}}
			arrays := []arrow.Array{raw(first, 3, 0, nil, lent[0]), raw(text, 3, 0, nil, lent[1], lent[2]), raw(blob, 3, 0, nil, lent[1], lent[2])}
			write(t, w, array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, 3))
			for _, buffer := range lent {
				for i := range buffer {
					buffer[i] = 0x7F
				}
			}
			path := commit(t, driver, to, seal(t, w))
			rows := read(t, path)
			if !reflect.DeepEqual(rows.Columns["number"], []any{5.0, 6.0, 7.0}) || !reflect.DeepEqual(rows.Columns["letter"], []any{"e", "f", "g"}) {
				t.Errorf("%v", rows.Columns)
			}
			if !reflect.DeepEqual(rows.Ranges["number"], []any{5.0, 7.0}) || !reflect.DeepEqual(rows.Ranges["letter"], []any{"e", "g"}) {
				t.Errorf("statistics %v", rows.Ranges)
			}
		})
	}
}

// TestEncodedColumnsAreOnlyBorrowed is the same for memory that batches share:
// dictionaries, runs and views.
func TestEncodedColumnsAreOnlyBorrowed(t *testing.T) {
	var scribble func(data arrow.ArrayData)
	scribble = func(data arrow.ArrayData) {
		for _, buffer := range data.Buffers() {
			if buffer != nil {
				for i := range buffer.Bytes() {
					buffer.Bytes()[i] = 0x7F
				}
			}
		}
		for _, child := range data.Children() {
			scribble(child)
		}
		if data.DataType().ID() == arrow.DICTIONARY {
			scribble(data.Dictionary())
		}
	}
	const values, long = `["a longer text than fits into a view", null, "b"]`, "[a longer text than fits into a view <nil> b]"
	for name, settled := range map[string]bool{"encoded at once": true, "held back": false} {
		t.Run(name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			to := target("parquet://a.parquet")
			w := open(t, driver, to, nil)
			columns := []column{{"view", views, values}, {"word", words, values}, {"run", arrow.RunEndEncodedOf(i32, text), values},
				{"views", arrow.ListOf(views), "[" + values + ", null, []]"}}
			if !settled {
				columns = append(columns, column{"n", i32, `[1, 2, 3]`})
			}
			batch := batchOf(t, columns...)
			write(t, w, batch)
			for _, lent := range batch.Columns() {
				scribble(lent.Data())
			}
			rows := read(t, commit(t, driver, to, seal(t, w)))
			for _, name := range []string{"view", "word", "run"} {
				if got := fmt.Sprint(rows.Columns[name]); got != long {
					t.Errorf("%s: %s", name, got)
				}
			}
			if got := fmt.Sprint(rows.Columns["views"]); got != "["+long+" <nil> []]" {
				t.Errorf("views: %s", got)
			}
		})
	}
}

// TestASmallBatchThatStandsForMuch: a dictionary or run is decoded in pieces.
func TestASmallBatchThatStandsForMuch(t *testing.T) {
	const rows, width = 3000, 100_000 // 300 MB of text in a batch of 400 kB
	driver := newDriver(t, Config{Compression: "zstd"})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	indices := raw(i8, rows, 0, nil, make([]byte, rows))
	values := raw(text, 1, 0, nil, int32s(0, width), []byte(strings.Repeat("x", width)))
	runs := array.NewRunEndEncodedArray(raw(i32, 1, 0, nil, int32s(rows)), values, rows, 0)
	fields := []arrow.Field{{Name: "d", Type: words, Nullable: true}, {Name: "r", Type: runs.DataType(), Nullable: true}}
	batch := array.NewRecordBatch(arrow.NewSchema(fields, nil), []arrow.Array{array.NewDictionaryArray(words, indices, values), runs}, rows)
	if n, size := w.(*writer).cut(batch.Columns()[:0], 0, rows); n != rows || size != 0 {
		t.Fatalf("no columns are cut into %d rows of %d bytes", n, size)
	}
	write(t, w, batch)
	token := seal(t, w)
	if groups := len(w.(*writer).assembler.groups); groups < 10 {
		t.Errorf("600 MB of text are in %d row groups", groups)
	}
	commit(t, driver, to, token)
}

func TestACancelledContextEndsAWrite(t *testing.T) {
	driver := newDriver(t, Config{RowGroupRows: 10})
	w := open(t, driver, target("parquet://a.parquet"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	write(t, w, ints(0, 5))
	cancel()
	for name, err := range map[string]error{
		"Write":      w.Write(ctx, ints(5, 6)),
		"Checkpoint": second(w.Checkpoint(ctx)),
		"Seal":       second(w.Seal(ctx)),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := driver.Open(ctx, target("parquet://b.parquet"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	// Nothing was written by them, so the job may go on.
	write(t, w, ints(5, 6))
	wantNumbers(t, commit(t, driver, target("parquet://a.parquet"), seal(t, w)), 6)
}

func second[T any](_ T, err error) error { return err }

func TestAWriterIsClosedOnce(t *testing.T) {
	driver := newDriver(t, Config{})
	w := open(t, driver, target("parquet://a.parquet"), nil)
	write(t, w, ints(0, 3))
	token := seal(t, w)
	must(t, w.Close())
	if again, err := w.Seal(t.Context()); err != nil || string(again) != string(token) {
		t.Errorf("Seal after Close: %s, %v", again, err)
	}
	if err := w.Write(t.Context(), ints(0, 1)); err == nil {
		t.Error("written after Seal and Close")
	}
	if stats := w.Stats(); stats.Rows != 3 || stats.Bytes <= 0 {
		t.Errorf("stats %+v", stats)
	}
	unsealed := open(t, driver, target("parquet://b.parquet"), nil)
	must(t, unsealed.Close())
	if err := unsealed.Write(t.Context(), ints(0, 1)); err == nil {
		t.Error("written after Close")
	}
}
