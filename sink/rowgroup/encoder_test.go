package rowgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestTypesWithoutAParquetFormAreRefusedByName(t *testing.T) {
	union := arrow.DenseUnionOf([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int32}}, []arrow.UnionTypeCode{0})
	deep := arrow.DataType(arrow.PrimitiveTypes.Int32)
	for range 80 {
		deep = arrow.ListOf(deep)
	}
	for name, c := range map[string]struct {
		dt     arrow.DataType
		column string
	}{
		"union":                     {union, "c0"},
		"union in a list":           {arrow.ListOf(arrow.StructOf(arrow.Field{Name: "u", Type: union})), "c0.list.element.u"},
		"union in a dictionary":     {dictionaryOf(arrow.PrimitiveTypes.Int8, union), "c0"},
		"struct without fields":     {arrow.StructOf(), "c0"},
		"bytes of width zero":       {&arrow.FixedSizeBinaryType{ByteWidth: 0}, "c0"},
		"decimal of negative scale": {&arrow.Decimal128Type{Precision: 5, Scale: -2}, "c0"},
		"nested too deep":           {deep, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(named(c.dt), Options{})
			var refused *UnsupportedTypeError
			if !errors.As(err, &refused) {
				t.Fatalf("New gives %v", err)
			}
			if c.column != "" && refused.Column != c.column {
				t.Errorf("the error names %q, not %q", refused.Column, c.column)
			}
		})
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int32, arrow.ListOf(arrow.BinaryTypes.String), arrow.FixedWidthTypes.Boolean)
	for name, opts := range map[string]Options{
		"level of snappy":              {Level: 7},
		"level without codec":          {Compression: None, Level: 1},
		"unknown codec":                {Compression: 9},
		"negative page":                {PageRows: -1},
		"bloom filter of no column":    {BloomColumns: []string{"c9"}},
		"bloom filter of booleans":     {BloomColumns: []string{"c2"}},
		"sorted by no column":          {SortedBy: []string{"x"}},
		"sorted by what is in a list":  {SortedBy: []string{"c1.list.element"}},
		"bloom filter of a whole list": {BloomColumns: []string{"c1"}},
	} {
		_, err := New(schema, opts)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		var bloom *BloomError
		if named := errors.As(err, &bloom); named != (opts.BloomColumns != nil) || named && bloom.Column != opts.BloomColumns[0] {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(arrow.NewSchema(nil, nil), Options{}); err == nil {
		t.Error("a schema without columns: no error")
	}
	for c := Snappy; c <= LZ4Raw; c++ {
		if back, err := ParseCompression(c.String()); err != nil || back != c {
			t.Errorf("%s is read as %s, %v", c, back, err)
		}
	}
}

func int32s(v ...int32) arrow.Array {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(v, nil)
	return b.NewArray()
}

func TestBatchesThatDoNotFitAreRefused(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int32)
	e, err := New(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]*arrow.Schema{
		"another type": named(arrow.PrimitiveTypes.Int64),
		"more columns": named(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int32),
		"another name": arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true}}, nil),
	} {
		var bad *BatchError
		if err := e.Write(newGenerator(1).batch(other, 3)); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nothing of them was taken, and the encoder goes on.
	if err := e.Write(array.NewRecordBatch(schema, []arrow.Array{int32s(1, 2)}, 2)); err != nil || e.Rows() != 2 {
		t.Errorf("%d rows, %v", e.Rows(), err)
	}
}

func TestValuesWithoutAnExactFormAreRefused(t *testing.T) {
	month := array.NewMonthDayNanoIntervalBuilder(memory.DefaultAllocator)
	month.Append(arrow.MonthDayNanoInterval{Nanoseconds: 1500})
	long := array.NewMonthDayNanoIntervalBuilder(memory.DefaultAllocator)
	long.Append(arrow.MonthDayNanoInterval{Nanoseconds: math.MaxInt64 / 1000000 * 1000000})
	seconds := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Second})
	seconds.Append(math.MaxInt64 / 10)
	time := array.NewTime32Builder(memory.DefaultAllocator, &arrow.Time32Type{Unit: arrow.Second})
	time.Append(math.MaxInt32)
	date := array.NewDate64Builder(memory.DefaultAllocator)
	date.Append(math.MaxInt64)
	// A decimal of more digits than its type says.
	wide := func(dt arrow.DataType, words ...uint64) arrow.Array {
		return array.MakeFromData(array.NewData(dt, 1, []*memory.Buffer{nil, bytesBuffer(bytesOf(words))}, nil, 0, 0))
	}
	for name, a := range map[string]arrow.Array{
		"part of a millisecond":      month.NewArray(),
		"months of milliseconds":     long.NewArray(),
		"seconds overflow":           seconds.NewArray(),
		"time overflows":             time.NewArray(),
		"a date too far":             date.NewArray(),
		"decimal of 9 digits":        wide(&arrow.Decimal128Type{Precision: 9}, 1<<40, 0),
		"decimal of 18 digits":       wide(&arrow.Decimal128Type{Precision: 18}, 1, 1),
		"decimal of 20 digits":       wide(&arrow.Decimal128Type{Precision: 20}, 0, 1<<60),
		"wide decimal of 40 digits":  wide(&arrow.Decimal256Type{Precision: 40}, 0, 0, 0, 1<<50),
		"wide decimal of few digits": wide(&arrow.Decimal256Type{Precision: 5}, 0, 0, 1, 0),
	} {
		t.Run(name, func(t *testing.T) {
			schema := named(a.DataType())
			e, err := New(schema, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var bad *ValueError
			if err := e.Write(array.NewRecordBatch(schema, []arrow.Array{a}, int64(a.Len()))); !errors.As(err, &bad) || bad.Column != "c0" {
				t.Fatalf("Write gives %v", err)
			}
			if err := e.Write(newGenerator(1).batch(schema, 1)); err == nil {
				t.Error("the encoder takes more after an error")
			}
			e.Discard()
			if _, err := e.Finish(io.Discard); err != nil {
				t.Errorf("after Discard: %v", err)
			}
		})
	}
}

func TestNullsInRequiredColumnsAreRefused(t *testing.T) {
	i32 := arrow.PrimitiveTypes.Int32
	for name, dt := range map[string]arrow.DataType{
		"flat":       i32,
		"dictionary": dictionaryOf(arrow.PrimitiveTypes.Int8, i32),
		"list":       arrow.ListOf(i32),
		"struct":     arrow.StructOf(arrow.Field{Name: "x", Type: i32, Nullable: true}),
	} {
		g := newGenerator(2)
		g.nulls = manyNulls
		schema := arrow.NewSchema([]arrow.Field{{Name: "must", Type: dt}}, nil)
		column := g.array(dt, 50, true)
		e, err := New(schema, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var null *NullError
		if err := e.Write(array.NewRecordBatch(schema, []arrow.Array{column}, 50)); !errors.As(err, &null) || null.Column != "must" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a worker adds to every row costs next to nothing.
func TestConstantColumnsCostNextToNothing(t *testing.T) {
	const rows = 200_000
	b := array.NewRecordBuilder(memory.DefaultAllocator, named(
		arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64, arrow.FixedWidthTypes.Boolean,
		&arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.FixedSizeBinaryType{ByteWidth: 16}, arrow.PrimitiveTypes.Int32))
	defer b.Release()
	for range rows {
		b.Field(0).(*array.StringBuilder).Append("import-of-orders/2024-05-01/part-1.csv")
		b.Field(1).(*array.Int64Builder).Append(1 << 40)
		b.Field(2).(*array.Float64Builder).Append(2.5)
		b.Field(3).(*array.BooleanBuilder).Append(true)
		b.Field(4).(*array.TimestampBuilder).Append(1.7e15)
		b.Field(5).(*array.FixedSizeBinaryBuilder).Append(bytes.Repeat([]byte{7}, 16))
		b.Field(6).(*array.Int32Builder).AppendNull()
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	e, err := New(batch.Schema(), Options{Compression: None})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(batch); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	g, err := e.Finish(&out)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(300 * len(e.columns)); g.Bytes > limit {
		t.Errorf("%d constant columns of %d rows take %d bytes, more than %d", len(e.columns), rows, g.Bytes, limit)
	}
}

// Batches may be overwritten as soon as Write has returned.
func TestNothingOfABatchIsKept(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String, arrow.ListOf(arrow.PrimitiveTypes.Int32), arrow.BinaryTypes.StringView)
	g := newGenerator(9)
	want := g.batch(schema, 400)
	e, err := New(schema, Options{PageRows: 150})
	if err != nil {
		t.Fatal(err)
	}
	// The same values in memory that is wiped after each call.
	for row := int64(0); row < 400; row += 40 {
		part := want.NewSlice(row, row+40)
		copied := make([]arrow.Array, part.NumCols())
		var buffers []*memory.Buffer
		for i, c := range part.Columns() {
			d, own := ownCopy(c.Data())
			copied[i] = array.MakeFromData(d)
			buffers = append(buffers, own...)
		}
		if err := e.Write(array.NewRecordBatch(schema, copied, 40)); err != nil {
			t.Fatal(err)
		}
		for _, b := range buffers {
			clear(b.Bytes())
		}
	}
	var out bytes.Buffer
	out.WriteString(Magic)
	group, err := e.Finish(&out)
	if err != nil {
		t.Fatal(err)
	}
	all, err := AppendFooter(out.Bytes(), schema, []Placed{{group, 4}}, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	compareBack(t, all, []arrow.RecordBatch{want})
}

// Once warm, encoding allocates next to nothing.
func TestSteadyEncodingHardlyAllocates(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String, dictionaryOf(arrow.PrimitiveTypes.Int8, arrow.BinaryTypes.String), arrow.ListOf(arrow.PrimitiveTypes.Int32))
	g := newGenerator(1)
	g.nulls = someNulls
	batch := g.batch(schema, 20_000)
	e, err := New(schema, Options{Workers: 1, PageRows: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	group := func() {
		for range 10 {
			if err := e.Write(batch); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := e.Finish(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	group()
	// A million values: some allocations per page and column are allowed.
	if n := testing.AllocsPerRun(3, group); n > 1000 {
		t.Errorf("a row group of 200,000 rows makes %.0f allocations", n)
	}
}

// A table of many columns takes no more memory than a narrow one.
func TestWideTablesStaySmall(t *testing.T) {
	const columns, rows = 500, 20_000
	types := make([]arrow.DataType, columns)
	for i := range types {
		types[i] = []arrow.DataType{arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64}[i%2]
	}
	schema := named(types...)
	g := newGenerator(1)
	g.repeats = true
	one := g.batch(named(types[:2]...), 1000)
	shared := make([]arrow.Array, columns)
	for i := range shared {
		shared[i] = one.Column(i % 2)
	}
	batch := array.NewRecordBatch(schema, shared, 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	e, err := New(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range rows / 1000 {
		if err := e.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; held > 120 {
		t.Errorf("%d columns hold %d MiB", columns, held)
	}
	if _, err := e.Finish(io.Discard); err != nil {
		t.Fatal(err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestAFailedWriteIsReported(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String)
	for _, after := range []int{0, 100, 3000} {
		e, err := New(schema, Options{BloomColumns: []string{"c0"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Write(newGenerator(1).batch(schema, 500)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Finish(&failing{after}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

func TestFootersThatDoNotFitAreRefused(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64)
	e, err := New(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(newGenerator(1).batch(schema, 5)); err != nil {
		t.Fatal(err)
	}
	g, err := e.Finish(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for name, groups := range map[string][]Placed{
		"inside of the magic": {{g, 0}},
		"overlapping":         {{g, 4}, {g, 5}},
	} {
		if _, err := AppendFooter(nil, schema, groups, nil, ""); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := AppendFooter(nil, named(arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int64), []Placed{{g, 4}}, nil, ""); err == nil {
		t.Error("a schema of more columns: no error")
	}
}

// Sorting is recorded where the data shows it, and only there.
func TestSortingIsRecordedWhereItHolds(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.PrimitiveTypes.Int32, Nullable: true}}, nil)
	for name, c := range map[string]struct {
		batches [][]int32
		want    string
	}{
		"rising":             {[][]int32{{1, 2, 2}, {3, 4}}, "[{0 false false}]"},
		"falling":            {[][]int32{{9, 8}, {8, 1}}, "[{0 true false}]"},
		"broken at the seam": {[][]int32{{1, 2, 3}, {2, 4}}, "[]"},
		"broken inside":      {[][]int32{{1, 3, 2}}, "[]"},
	} {
		e, err := New(schema, Options{SortedBy: []string{"v"}, PageRows: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range c.batches {
			if err := e.Write(array.NewRecordBatch(schema, []arrow.Array{int32s(v...)}, int64(len(v)))); err != nil {
				t.Fatal(err)
			}
		}
		g, err := e.Finish(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(g.Sorting()); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// The shipped program stays small: neither arrow/compute nor arrow-go's Parquet
// comes in with this package.
func TestImportsStaySmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path := strings.TrimSpace(line)
		if strings.Contains(path, "arrow-go/v18/parquet") || strings.Contains(path, "arrow/compute") || strings.Contains(path, "grpc") {
			t.Errorf("%s is imported", path)
		}
	}
}
