package rowgroup

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// readBack reads a file with arrow-go's own Parquet reader.
func readBack(t testing.TB, data []byte) arrow.Table {
	t.Helper()
	r, err := parquetfile.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("open the file: %v", err)
	}
	fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatalf("read the schema: %v", err)
	}
	table, err := fr.ReadTable(context.Background())
	if err != nil {
		t.Fatalf("read the table: %v", err)
	}
	return table
}

// text is a value in a form in which what was written equals what is read:
// dictionaries and runs are their values.
func text(a arrow.Array, i int) string {
	switch x := a.(type) {
	case *array.Dictionary:
		if x.IsNull(i) {
			return "null"
		}
		return text(x.Dictionary(), x.GetValueIndex(i))
	case *array.RunEndEncoded:
		return text(x.Values(), x.GetPhysicalIndex(i))
	}
	if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
		return "null"
	}
	switch x := a.(type) {
	case *array.Struct:
		var parts []string
		for k := range x.NumField() {
			parts = append(parts, text(x.Field(k), i))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case array.ListLike:
		var parts []string
		from, to := x.ValueOffsets(i)
		for k := from; k < to; k++ {
			parts = append(parts, text(x.ListValues(), int(k)))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *array.Date64:
		return x.Value(i).ToTime().UTC().Format("2006-01-02")
	case *array.Time32:
		return fmt.Sprint(x.Value(i).ToTime(x.DataType().(*arrow.Time32Type).Unit).UnixNano())
	case *array.Timestamp:
		return fmt.Sprint(x.Value(i).ToTime(x.DataType().(*arrow.TimestampType).Unit).UnixNano())
	case *array.Decimal32:
		return x.Value(i).ToString(x.DataType().(arrow.DecimalType).GetScale())
	case *array.Decimal64:
		return x.Value(i).ToString(x.DataType().(arrow.DecimalType).GetScale())
	case *array.Decimal128:
		return x.Value(i).ToString(x.DataType().(arrow.DecimalType).GetScale())
	case *array.Decimal256:
		return x.Value(i).ToString(x.DataType().(arrow.DecimalType).GetScale())
	}
	return a.ValueStr(i)
}

// compareBack compares a file with the batches that it was made of.
func compareBack(t testing.TB, data []byte, batches []arrow.RecordBatch) {
	t.Helper()
	table := readBack(t, data)
	defer table.Release()
	for c := range int(table.NumCols()) {
		var got []string
		for _, chunk := range table.Column(c).Data().Chunks() {
			for i := range chunk.Len() {
				got = append(got, text(chunk, i))
			}
		}
		row := 0
		for _, b := range batches {
			col := b.Column(c)
			for i := range col.Len() {
				want := text(col, i)
				if row >= len(got) {
					t.Fatalf("column %d %s has %d rows only", c, col.DataType(), len(got))
				}
				if got[row] != want {
					t.Fatalf("column %d %s, row %d: %.80q, not %.80q", c, col.DataType(), row, got[row], want)
				}
				row++
			}
		}
		if row != len(got) {
			t.Fatalf("column %d has %d rows, not %d", c, len(got), row)
		}
	}
}

// arrowGoReads are the types of the matrix that arrow-go's reader (v18.8.0)
// reads back: it has no views' and intervals' Parquet form.
func arrowGoReads() []arrow.DataType {
	var types []arrow.DataType
	for _, dt := range flatTypes() {
		s := dt.String()
		if strings.Contains(s, "view") || strings.Contains(s, "interval") || strings.Contains(s, "duration") {
			continue
		}
		types = append(types, dt)
	}
	return types
}

var codecs = []Options{{Compression: Snappy}, {Compression: None}, {Compression: Zstd}, {Compression: Gzip}, {Compression: LZ4Raw}, {Compression: Snappy, Compat: true}, {Compression: Snappy, Level: 2}, {Compression: LZ4Raw, Level: 3}, {Compression: Zstd, Level: 9}}

func TestEveryTypeComesBackAtPageEdges(t *testing.T) {
	const page = 64
	schema := named(arrowGoReads()...)
	k := 0
	for _, n := range []int{0, 1, page - 1, page, page + 1, 5*page + 3} {
		for name, pattern := range nullPatterns {
			for _, repeats := range []bool{false, true} {
				opts := codecs[k%len(codecs)]
				k++
				opts.PageRows = page
				t.Run(fmt.Sprintf("%d rows, %s, repeats %v, %s", n, name, repeats, opts.Compression), func(t *testing.T) {
					g := newGenerator(uint64(k))
					g.nulls, g.repeats = pattern, repeats
					batches := []arrow.RecordBatch{g.batch(schema, n)}
					compareBack(t, inGroups(t, schema, batches, opts), batches)
				})
			}
		}
	}
}

// inGroups writes a file with a row group per three batches.
func inGroups(t *testing.T, schema *arrow.Schema, batches []arrow.RecordBatch, opts Options) []byte {
	return file(t, schema, batches, opts, func(i int) bool { return i%3 == 2 })
}

// One encoder writes many groups of batches of all sizes, with every codec.
func TestSmallAndLargeBatchesOfEveryCodec(t *testing.T) {
	types := append(arrowGoReads(), arrow.StructOf(arrow.Field{Name: "l", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}))
	schema := named(types...)
	for k, opts := range codecs {
		t.Run(fmt.Sprintf("%s level %d compat %v", opts.Compression, opts.Level, opts.Compat), func(t *testing.T) {
			opts.PageRows = 200
			g := newGenerator(uint64(100 + k))
			g.nulls, g.repeats = nullPattern(k%5), k%2 == 0
			var batches []arrow.RecordBatch
			for _, n := range []int{1, 3, 700, 2, 50, 199, 1, 200, 201, 0, 90, 300} {
				batches = append(batches, g.batch(schema, n))
			}
			compareBack(t, inGroups(t, schema, batches, opts), batches)
		})
	}
}

func TestRandomNestedTablesComeBack(t *testing.T) {
	// What arrow-go's reader handles inside of groups.
	leaves := []arrow.DataType{arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String, arrow.FixedWidthTypes.Boolean, arrow.BinaryTypes.Binary, arrow.FixedWidthTypes.Date32, &arrow.Decimal128Type{Precision: 30, Scale: 3}}
	for seed := range uint64(60) {
		g := newGenerator(seed)
		g.nulls = nullPattern(seed % 5)
		var types []arrow.DataType
		for range 1 + g.IntN(3) {
			types = append(types, onlyVariableLists(g.randomType(6, leaves)))
		}
		schema := named(types...)
		var batches []arrow.RecordBatch
		for range 1 + g.IntN(4) {
			batches = append(batches, g.batch(schema, g.IntN(150)))
		}
		opts := codecs[seed%uint64(len(codecs))]
		opts.PageRows = 1 + g.IntN(100)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compareBack(t, inGroups(t, schema, batches, opts), batches) })
	}
}

// onlyVariableLists replaces fixed-size lists and views, which arrow-go's
// reader does not restore when they hold nulls.
func onlyVariableLists(dt arrow.DataType) arrow.DataType {
	under := func(f arrow.Field) arrow.Field {
		f.Type = onlyVariableLists(f.Type)
		return f
	}
	switch t := dt.(type) {
	case *arrow.FixedSizeListType:
		return arrow.ListOfField(under(t.ElemField()))
	case *arrow.ListViewType:
		return arrow.ListOfField(under(t.ElemField()))
	case *arrow.ListType:
		return arrow.ListOfField(under(t.ElemField()))
	case *arrow.LargeListType:
		return arrow.LargeListOfField(under(t.ElemField()))
	case *arrow.MapType:
		return arrow.MapOf(t.KeyType(), onlyVariableLists(t.ItemType()))
	case *arrow.StructType:
		var fields []arrow.Field
		for _, f := range t.Fields() {
			fields = append(fields, under(f))
		}
		return arrow.StructOf(fields...)
	}
	return dt
}

// The same seed gives the same bytes, whatever the number of workers.
func TestFilesDoNotDependOnWorkers(t *testing.T) {
	schema := named(append(flatTypes(), nestedTypes()...)...)
	var first []byte
	for _, workers := range []int{1, 2, 7} {
		g := newGenerator(11)
		g.nulls = someNulls
		batches := []arrow.RecordBatch{g.batch(schema, 1000), g.batch(schema, 1000)}
		data := inGroups(t, schema, batches, Options{Workers: workers, PageRows: 300})
		if first == nil {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Errorf("%d workers give another file than one", workers)
		}
	}
}
