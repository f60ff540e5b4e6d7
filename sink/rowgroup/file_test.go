package rowgroup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// file writes batches as one Parquet file. A row group ends behind each batch
// whose place in cut is true.
func file(t testing.TB, schema *arrow.Schema, batches []arrow.RecordBatch, opts Options, cut func(i int) bool) []byte {
	t.Helper()
	e, err := New(schema, opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return fileOf(t, e, schema, batches, cut)
}

func fileOf(t testing.TB, e *Encoder, schema *arrow.Schema, batches []arrow.RecordBatch, cut func(i int) bool) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString(Magic)
	var groups []Placed
	for i, b := range batches {
		if err := e.Write(b); err != nil {
			t.Fatalf("Write batch %d: %v", i, err)
		}
		if i < len(batches)-1 && (cut == nil || !cut(i)) {
			continue
		}
		at := int64(out.Len())
		rows := e.Rows()
		g, err := e.Finish(&out)
		if err != nil {
			t.Fatalf("Finish: %v", err)
		}
		if g.Rows != rows || g.Bytes != int64(out.Len())-at {
			t.Fatalf("the row group says %d rows and %d bytes; it has %d and %d", g.Rows, g.Bytes, rows, int64(out.Len())-at)
		}
		// Every group goes through its stored form.
		kept, err := g.MarshalBinary()
		if err != nil {
			t.Fatalf("MarshalBinary: %v", err)
		}
		var back RowGroup
		if err := back.UnmarshalBinary(kept); err != nil {
			t.Fatalf("UnmarshalBinary: %v", err)
		}
		if g.Rows > 0 {
			groups = append(groups, Placed{RowGroup: back, Offset: at})
		}
	}
	all, err := AppendFooter(out.Bytes(), schema, groups, []KeyValue{{"casparian.job", "7"}}, "casparian-worker version 0.0.0 (build test)")
	if err != nil {
		t.Fatalf("AppendFooter: %v", err)
	}
	return all
}

// save writes the Parquet file and the same batches as an Arrow file.
func save(t testing.TB, dir, name string, parquet []byte, schema *arrow.Schema, batches []arrow.RecordBatch) {
	t.Helper()
	// No characters that some reader takes for a pattern.
	name = strings.NewReplacer("/", "-", "[", "(", "]", ")", "<", "(", ">", ")", "?", "", "*", "").Replace(name)
	if err := os.WriteFile(filepath.Join(dir, name+".parquet"), parquet, 0o600); err != nil {
		t.Fatal(err)
	}
	// One Arrow file per batch: dictionaries differ from batch to batch.
	for i, b := range batches {
		if b.NumRows() == 0 { // arrow-go (v18.8.0) fails on some empty arrays
			continue
		}
		var out bytes.Buffer
		w := ipc.NewWriter(&out, ipc.WithSchema(schema))
		if err := w.Write(viewsAtZero(b)); err != nil {
			t.Fatalf("write %s as Arrow: %v", name, err)
		}
		if err := w.Close(); err != nil {
			t.Fatalf("write %s as Arrow: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.%d.arrow", name, i)), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// viewsAtZero is the same batch, with the offset of each list-view array worked
// into its buffers: arrow-go's IPC writer (v18.8.0) fails on sliced ones.
func viewsAtZero(b arrow.RecordBatch) arrow.RecordBatch {
	var columns []arrow.Array
	for _, c := range b.Columns() {
		columns = append(columns, array.MakeFromData(viewsAtZeroIn(c.Data())))
	}
	return array.NewRecordBatch(b.Schema(), columns, b.NumRows())
}

func viewsAtZeroIn(d arrow.ArrayData) arrow.ArrayData {
	if d.DataType().ID() == arrow.RUN_END_ENCODED {
		return runsAtZero(d)
	}
	var children []arrow.ArrayData
	for _, c := range d.Children() {
		children = append(children, viewsAtZeroIn(c))
	}
	buffers, offset := d.Buffers(), d.Offset()
	width := map[arrow.Type]int{arrow.LIST_VIEW: 4, arrow.LARGE_LIST_VIEW: 8}[d.DataType().ID()]
	if width > 0 && d.Len() > 0 {
		moved := []*memory.Buffer{nil}
		if bitmap := validity(d); bitmap != nil {
			moved[0] = bytesBuffer(appendBits(nil, bitmap, offset, d.Len()))
		}
		for _, b := range buffers[1:] {
			moved = append(moved, bytesBuffer(b.Bytes()[offset*width:(offset+d.Len())*width]))
		}
		buffers, offset = moved, 0
	}
	nulls := 0
	if d.NullN() != 0 && len(buffers) > 0 && buffers[0] != nil {
		nulls = array.UnknownNullCount
	}
	if dict, ok := d.Dictionary().(*array.Data); ok && dict != nil {
		return array.NewDataWithDictionary(d.DataType(), d.Len(), buffers, nulls, offset, viewsAtZeroIn(dict).(*array.Data))
	}
	return array.NewData(d.DataType(), d.Len(), buffers, children, nulls, offset)
}

// runsAtZero does the same for a run-end encoded array.
func runsAtZero(d arrow.ArrayData) arrow.ArrayData {
	if d.Len() == 0 {
		b := array.NewBuilder(memory.DefaultAllocator, d.DataType())
		defer b.Release()
		return b.NewArray().Data()
	}
	runs, err := runEndsOf(d, "")
	if err != nil {
		panic(err)
	}
	first, _ := runs.find(d.Offset())
	last, _ := runs.find(d.Offset() + d.Len() - 1)
	var raw []byte
	for run := first; run <= last; run++ {
		end := min(runs.end(run)-d.Offset(), d.Len())
		for b := range runs.size {
			raw = append(raw, byte(end>>(8*b)))
		}
	}
	n := last - first + 1
	ends := array.NewData(d.Children()[0].DataType(), n, []*memory.Buffer{nil, bytesBuffer(raw)}, nil, 0, 0)
	values := array.NewSliceData(d.Children()[1], int64(first), int64(last+1))
	return array.NewData(d.DataType(), d.Len(), []*memory.Buffer{nil}, []arrow.ArrayData{ends, viewsAtZeroIn(values)}, 0, 0)
}
