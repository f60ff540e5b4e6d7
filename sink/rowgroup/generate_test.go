package rowgroup

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/decimal"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// generator makes arrays of any type from a seed: with null slots that cover
// values, lists that overlap or leave gaps, and slices with offsets.
type generator struct {
	*rand.Rand
	// repeats makes most values equal to one of a few.
	repeats bool
	nulls   nullPattern
	// noViews leaves list views out of random types: arrow-go's IPC writer
	// (v18.8.0) fails on slices of them, and makes some itself.
	noViews bool
}

type nullPattern int

const (
	noNulls nullPattern = iota
	someNulls
	manyNulls
	allNulls
	nullRuns
)

// nullPatterns ranges over the patterns with their names, in the same order each time:
// seeds that are counted along give the same tables in each run.
func nullPatterns(yield func(string, nullPattern) bool) {
	for pattern, name := range []string{"no nulls", "5 % nulls", "90 % nulls", "only nulls", "runs of nulls"} {
		if !yield(name, nullPattern(pattern)) {
			return
		}
	}
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
}

// flatTypes are all types of one column, by name.
func flatTypes() []arrow.DataType {
	return []arrow.DataType{
		arrow.Null, arrow.FixedWidthTypes.Boolean,
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
		arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64,
		arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64,
		arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView,
		arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary, arrow.BinaryTypes.BinaryView,
		&arrow.FixedSizeBinaryType{ByteWidth: 5}, &arrow.FixedSizeBinaryType{ByteWidth: 16},
		arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64,
		arrow.FixedWidthTypes.Time32s, arrow.FixedWidthTypes.Time32ms, arrow.FixedWidthTypes.Time64us, arrow.FixedWidthTypes.Time64ns,
		&arrow.TimestampType{Unit: arrow.Second}, &arrow.TimestampType{Unit: arrow.Millisecond}, &arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Nanosecond},
		&arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "Europe/Paris"}, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"},
		arrow.FixedWidthTypes.Duration_s, arrow.FixedWidthTypes.Duration_ns,
		arrow.FixedWidthTypes.MonthDayNanoInterval,
		&arrow.Decimal32Type{Precision: 7, Scale: 2}, &arrow.Decimal64Type{Precision: 8, Scale: 0}, &arrow.Decimal64Type{Precision: 17, Scale: 3},
		&arrow.Decimal128Type{Precision: 6, Scale: 2}, &arrow.Decimal128Type{Precision: 18, Scale: 9}, &arrow.Decimal128Type{Precision: 19, Scale: 0}, &arrow.Decimal128Type{Precision: 38, Scale: 10},
		&arrow.Decimal256Type{Precision: 9, Scale: 1}, &arrow.Decimal256Type{Precision: 15, Scale: 1}, &arrow.Decimal256Type{Precision: 60, Scale: 20},
		dictionaryOf(arrow.PrimitiveTypes.Int8, arrow.BinaryTypes.String), dictionaryOf(arrow.PrimitiveTypes.Uint16, arrow.BinaryTypes.LargeString),
		dictionaryOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.StringView),
		dictionaryOf(arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64), dictionaryOf(arrow.PrimitiveTypes.Int32, arrow.FixedWidthTypes.Boolean),
		dictionaryOf(arrow.PrimitiveTypes.Uint8, &arrow.TimestampType{Unit: arrow.Second}), dictionaryOf(arrow.PrimitiveTypes.Int16, &arrow.Decimal128Type{Precision: 30, Scale: 2}),
		dictionaryOf(arrow.PrimitiveTypes.Int16, &arrow.FixedSizeBinaryType{ByteWidth: 3}),
		arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64), arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String),
		arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int64, dictionaryOf(arrow.PrimitiveTypes.Int8, arrow.BinaryTypes.String)),
	}
}

func dictionaryOf(index, value arrow.DataType) arrow.DataType {
	return &arrow.DictionaryType{IndexType: index, ValueType: value}
}

// nestedTypes are the kinds of nesting, each once.
func nestedTypes() []arrow.DataType {
	i32, str := arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String
	point := arrow.StructOf(arrow.Field{Name: "x", Type: i32, Nullable: true}, arrow.Field{Name: "y", Type: str, Nullable: false})
	return []arrow.DataType{
		point,
		arrow.StructOf(arrow.Field{Name: "in", Type: point, Nullable: true}),
		arrow.ListOf(i32), arrow.ListOfNonNullable(str), arrow.LargeListOf(arrow.PrimitiveTypes.Float64),
		arrow.FixedSizeListOf(3, i32), arrow.ListViewOf(i32), arrow.LargeListViewOf(str),
		arrow.MapOf(str, i32), arrow.MapOf(i32, arrow.ListOf(str)),
		arrow.ListOf(arrow.ListOf(arrow.FixedWidthTypes.Boolean)),
		arrow.ListOf(point), arrow.ListOf(arrow.MapOf(str, point)),
		arrow.StructOf(arrow.Field{Name: "l", Type: arrow.ListOf(point), Nullable: true}, arrow.Field{Name: "n", Type: arrow.Null, Nullable: true}),
		arrow.FixedSizeListOf(2, arrow.FixedSizeListOf(2, arrow.ListOf(str))),
		arrow.ListOf(dictionaryOf(arrow.PrimitiveTypes.Int8, str)), arrow.ListOf(arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, str)),
		dictionaryOf(arrow.PrimitiveTypes.Int8, arrow.ListOf(i32)), arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, point),
		arrow.ListOf(arrow.Null), arrow.ListOf(&arrow.Decimal256Type{Precision: 40, Scale: 4}),
	}
}

// randomType makes a type of up to depth levels.
func (g *generator) randomType(depth int, flat []arrow.DataType) arrow.DataType {
	if depth <= 1 || g.IntN(4) == 0 {
		return flat[g.IntN(len(flat))]
	}
	element := func() arrow.Field {
		return arrow.Field{Name: "item", Type: g.randomType(depth-1, flat), Nullable: g.IntN(4) > 0}
	}
	nullable := func(f arrow.Field) arrow.Field {
		// pyarrow (26) cannot read a fixed-size list that is required inside of
		// something that is null, its own files included.
		id := unwrapped(f.Type).ID()
		f.Nullable = f.Nullable || id == arrow.NULL || id == arrow.FIXED_SIZE_LIST
		return f
	}
	switch g.IntN(7) {
	case 0:
		return arrow.ListOfField(nullable(element()))
	case 1:
		return arrow.LargeListOfField(nullable(element()))
	case 2:
		return arrow.FixedSizeListOfField(int32(1+g.IntN(3)), nullable(element()))
	case 3:
		if g.noViews {
			break
		}
		return arrow.ListViewOfField(nullable(element()))
	case 4:
		return arrow.MapOf(arrow.BinaryTypes.String, nullable(element()).Type)
	}
	var fields []arrow.Field
	for i := range 1 + g.IntN(3) {
		f := nullable(element())
		f.Name = fmt.Sprintf("f%d", i)
		fields = append(fields, f)
	}
	return arrow.StructOf(fields...)
}

// column makes an array of n rows, usually a slice of a longer one.
func (g *generator) column(f arrow.Field, n int) arrow.Array {
	before, after := g.IntN(20), g.IntN(20)
	if g.IntN(3) == 0 {
		before, after = 0, 0
	}
	whole := g.array(f.Type, before+n+after, f.Nullable)
	return array.NewSlice(whole, int64(before), int64(before+n))
}

// array makes an array of n values.
func (g *generator) array(dt arrow.DataType, n int, nullable bool) arrow.Array {
	data := g.valid(dt, n, nullable)
	switch dt.ID() {
	case arrow.NULL, arrow.RUN_END_ENCODED:
		return array.MakeFromData(data)
	}
	if !nullable || g.nulls == noNulls {
		return array.MakeFromData(data)
	}
	bitmap := make([]byte, bitutil.BytesForBits(int64(n))+9)
	run := false
	for i := range n {
		null := false
		switch g.nulls {
		case someNulls:
			null = g.IntN(20) == 0
		case manyNulls:
			null = g.IntN(10) > 0
		case allNulls:
			null = true
		case nullRuns:
			if g.IntN(100) == 0 {
				run = !run
			}
			null = run
		}
		bitutil.SetBitTo(bitmap, i, !null)
	}
	buffers := append([]*memory.Buffer{memory.NewBufferBytes(bitmap)}, data.Buffers()[1:]...)
	over := array.NewData(dt, n, buffers, data.Children(), array.UnknownNullCount, 0)
	if d, ok := data.Dictionary().(*array.Data); ok && d != nil {
		over = array.NewDataWithDictionary(dt, n, buffers, array.UnknownNullCount, 0, d)
	}
	return array.MakeFromData(over)
}

func bytesBuffer(b []byte) *memory.Buffer { return memory.NewBufferBytes(b) }

// valid makes the data of n values without nulls at this level.
func (g *generator) valid(dt arrow.DataType, n int, nullable bool) arrow.ArrayData {
	switch t := dt.(type) {
	case *arrow.NullType:
		return array.NewNull(n).Data()
	case *arrow.StructType:
		var children []arrow.ArrayData
		for _, f := range t.Fields() {
			children = append(children, g.column(f, n).Data())
		}
		return array.NewData(dt, n, []*memory.Buffer{nil}, children, 0, 0)
	case *arrow.MapType:
		offsets, total := g.offsets32(n)
		// Keys of one map differ: some readers keep the last of equal ones.
		kb := array.NewBuilder(memory.DefaultAllocator, t.KeyType())
		for i := range total {
			switch kb := kb.(type) {
			case *array.StringBuilder:
				kb.Append(fmt.Sprintf("%s%d", words[g.IntN(len(words))], i%10))
			case *array.Int32Builder:
				kb.Append(int32(i))
			}
		}
		items := g.column(t.ItemField(), total)
		entries := array.NewData(t.Elem(), total, []*memory.Buffer{nil}, []arrow.ArrayData{kb.NewArray().Data(), items.Data()}, 0, 0)
		return array.NewData(dt, n, []*memory.Buffer{nil, offsets}, []arrow.ArrayData{entries}, 0, 0)
	case *arrow.ListType:
		offsets, total := g.offsets32(n)
		return array.NewData(dt, n, []*memory.Buffer{nil, offsets}, []arrow.ArrayData{g.column(t.ElemField(), total).Data()}, 0, 0)
	case *arrow.LargeListType:
		offsets, total := g.offsets32(n)
		var wide []int64
		for _, o := range viewAs[int32](offsets.Bytes()) {
			wide = append(wide, int64(o))
		}
		return array.NewData(dt, n, []*memory.Buffer{nil, bytesBuffer(bytesOf(wide))}, []arrow.ArrayData{g.column(t.ElemField(), total).Data()}, 0, 0)
	case *arrow.FixedSizeListType:
		return array.NewData(dt, n, []*memory.Buffer{nil}, []arrow.ArrayData{g.column(t.ElemField(), n*int(t.Len())).Data()}, 0, 0)
	case *arrow.ListViewType:
		total := n + 5
		offsets, sizes := make([]int32, n), make([]int32, n)
		for i := range n {
			offsets[i] = int32(g.IntN(total))
			sizes[i] = int32(g.IntN(min(4, total-int(offsets[i]))))
		}
		return array.NewData(dt, n, []*memory.Buffer{nil, bytesBuffer(bytesOf(offsets)), bytesBuffer(bytesOf(sizes))}, []arrow.ArrayData{g.column(t.ElemField(), total).Data()}, 0, 0)
	case *arrow.LargeListViewType:
		total := n + 5
		offsets, sizes := make([]int64, n), make([]int64, n)
		for i := range n {
			offsets[i] = int64(g.IntN(total))
			sizes[i] = int64(g.IntN(min(4, total-int(offsets[i]))))
		}
		return array.NewData(dt, n, []*memory.Buffer{nil, bytesBuffer(bytesOf(offsets)), bytesBuffer(bytesOf(sizes))}, []arrow.ArrayData{g.column(t.ElemField(), total).Data()}, 0, 0)
	case *arrow.DictionaryType:
		k := 1 + g.IntN(100)
		values := g.array(t.ValueType, k, nullable)
		width := t.IndexType.(arrow.FixedWidthDataType).Bytes()
		index := make([]byte, n*width)
		for i := range n {
			x := uint64(g.IntN(k))
			for b := range width {
				index[i*width+b] = byte(x >> (8 * b))
			}
		}
		return array.NewDataWithDictionary(dt, n, []*memory.Buffer{nil, bytesBuffer(index)}, 0, 0, values.Data().(*array.Data))
	case *arrow.RunEndEncodedType:
		var ends []int64
		for at := 0; at < n; {
			at += 1 + g.IntN(9)
			ends = append(ends, int64(min(at, n)))
		}
		values := g.array(t.Encoded(), len(ends), nullable)
		width := t.RunEnds().(arrow.FixedWidthDataType).Bytes()
		raw := make([]byte, len(ends)*width)
		for i, x := range ends {
			for b := range width {
				raw[i*width+b] = byte(x >> (8 * b))
			}
		}
		run := array.NewData(t.RunEnds(), len(ends), []*memory.Buffer{nil, bytesBuffer(raw)}, nil, 0, 0)
		return array.NewData(dt, n, []*memory.Buffer{nil}, []arrow.ArrayData{run, values.Data()}, 0, 0)
	}
	return g.primitive(dt, n)
}

// offsets32 makes list offsets that do not begin at zero.
func (g *generator) offsets32(n int) (*memory.Buffer, int) {
	offsets := make([]int32, n+1)
	at := int32(g.IntN(3))
	for i := range offsets {
		offsets[i] = at
		if g.IntN(3) > 0 {
			at += int32(g.IntN(4))
		}
	}
	return bytesBuffer(bytesOf(offsets)), int(offsets[n]) + g.IntN(3)
}

var words = strings.Fields("alpha beta gamma déjà-vu ελληνικά 日本語 a an the of longer-than-twelve-bytes-for-sure x yy zzz   ")

func (g *generator) text() string {
	if g.repeats || g.IntN(4) == 0 {
		return words[g.IntN(len(words))]
	}
	switch g.IntN(40) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(words[g.IntN(len(words))], 20)
	}
	return fmt.Sprintf("%s-%d", words[g.IntN(len(words))], g.IntN(1e6))
}

func (g *generator) int(bits int) int64 {
	if g.repeats {
		return int64(g.IntN(9) - 3)
	}
	switch g.IntN(50) {
	case 0:
		return math.MinInt64 >> (64 - bits)
	case 1:
		return math.MaxInt64 >> (64 - bits)
	}
	return int64(g.Uint64()) >> (64 - bits)
}

func (g *generator) float() float64 {
	if g.repeats {
		return float64(g.IntN(5)) / 2
	}
	switch g.IntN(40) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1 - 2*g.IntN(2))
	case 2:
		return math.Copysign(0, -1)
	case 3:
		return 0
	}
	return g.NormFloat64() * 100
}

// digits is a random integer of up to that many decimal digits.
func (g *generator) digits(precision int32) *big.Int {
	n := int(1 + g.IntN(int(precision)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + g.IntN(10))
	}
	x, _ := new(big.Int).SetString(string(b), 10)
	if g.IntN(2) == 0 {
		x.Neg(x)
	}
	return x
}

// primitive makes an array of a type without children.
func (g *generator) primitive(dt arrow.DataType, n int) arrow.ArrayData {
	b := array.NewBuilder(memory.DefaultAllocator, dt)
	defer b.Release()
	const day = 24 * 60 * 60
	for range n {
		switch b := b.(type) {
		case *array.BooleanBuilder:
			b.Append(g.IntN(3) == 0)
		case *array.Int8Builder:
			b.Append(int8(g.int(8)))
		case *array.Int16Builder:
			b.Append(int16(g.int(16)))
		case *array.Int32Builder:
			b.Append(int32(g.int(32)))
		case *array.Int64Builder:
			b.Append(g.int(64))
		case *array.Uint8Builder:
			b.Append(uint8(g.int(8)))
		case *array.Uint16Builder:
			b.Append(uint16(g.int(16)))
		case *array.Uint32Builder:
			b.Append(uint32(g.int(32)))
		case *array.Uint64Builder:
			b.Append(uint64(g.int(64)))
		case *array.Float16Builder:
			b.Append(float16.New(float32(g.float())))
		case *array.Float32Builder:
			b.Append(float32(g.float()))
		case *array.Float64Builder:
			b.Append(g.float())
		case *array.StringBuilder:
			b.Append(g.text())
		case *array.LargeStringBuilder:
			b.Append(g.text())
		case *array.StringViewBuilder:
			b.Append(g.text())
		case *array.BinaryBuilder: // large_binary's too
			b.Append([]byte(g.text()))
		case *array.BinaryViewBuilder:
			b.Append([]byte(g.text()))
		case *array.FixedSizeBinaryBuilder:
			v := make([]byte, dt.(*arrow.FixedSizeBinaryType).ByteWidth)
			binary.LittleEndian.PutUint16(v, uint16(g.int(16)))
			b.Append(v)
		case *array.Date32Builder:
			b.Append(arrow.Date32(g.IntN(40000) - 10000))
		case *array.Date64Builder:
			b.Append(arrow.Date64(g.IntN(40000)-10000) * millisPerDay)
		case *array.Time32Builder:
			most := day
			if dt.(*arrow.Time32Type).Unit == arrow.Millisecond {
				most *= 1000
			}
			b.Append(arrow.Time32(g.IntN(most)))
		case *array.Time64Builder:
			most := day * 1e6
			if dt.(*arrow.Time64Type).Unit == arrow.Nanosecond {
				most *= 1000
			}
			b.Append(arrow.Time64(g.IntN(int(most))))
		case *array.TimestampBuilder:
			per := []int64{1, 1e3, 1e6, 1e9}[dt.(*arrow.TimestampType).Unit]
			b.Append(arrow.Timestamp((int64(g.IntN(4e9)) - 1e9) * per))
		case *array.DurationBuilder:
			b.Append(arrow.Duration(g.int(40)))
		case *array.MonthIntervalBuilder:
			b.Append(arrow.MonthInterval(g.IntN(1000)))
		case *array.DayTimeIntervalBuilder:
			b.Append(arrow.DayTimeInterval{Days: int32(g.IntN(1000)), Milliseconds: int32(g.IntN(1e6))})
		case *array.MonthDayNanoIntervalBuilder:
			b.Append(arrow.MonthDayNanoInterval{Months: int32(g.IntN(20)), Days: int32(g.IntN(20)), Nanoseconds: int64(g.IntN(1e6)) * 1e6})
		case *array.Decimal32Builder:
			b.Append(decimal.Decimal32(g.digits(dt.(*arrow.Decimal32Type).Precision).Int64()))
		case *array.Decimal64Builder:
			b.Append(decimal.Decimal64(g.digits(dt.(*arrow.Decimal64Type).Precision).Int64()))
		case *array.Decimal128Builder:
			b.Append(decimal128.FromBigInt(g.digits(dt.(*arrow.Decimal128Type).Precision)))
		case *array.Decimal256Builder:
			b.Append(decimal256.FromBigInt(g.digits(dt.(*arrow.Decimal256Type).Precision)))
		default:
			panic(fmt.Sprintf("no generator of %s", dt))
		}
	}
	return b.NewArray().Data()
}

// batch makes n rows of a schema.
func (g *generator) batch(schema *arrow.Schema, n int) arrow.RecordBatch {
	var columns []arrow.Array
	for _, f := range schema.Fields() {
		columns = append(columns, g.column(f, n))
	}
	return array.NewRecordBatch(schema, columns, int64(n))
}

// named makes a schema of nullable columns c0, c1, ...
func named(types ...arrow.DataType) *arrow.Schema {
	var fields []arrow.Field
	for i, t := range types {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%d", i), Type: t, Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}
