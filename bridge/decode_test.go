package bridge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// decodeBytes decodes a stream and renders each column, which reads every value.
func decodeBytes(stream []byte) (cells []string, err error) {
	pool := &framePool{keep: 1}
	frame, err := pool.read(bytes.NewReader(stream), len(stream))
	if err != nil {
		return nil, err
	}
	err = decodeStream(frame, func(batch arrow.RecordBatch) error {
		defer batch.Release()
		for i, column := range batch.Columns() {
			cells = append(cells, fmt.Sprintf("%s=%v", strings.Clone(batch.ColumnName(i)), column))
		}
		return nil
	})
	return cells, err
}

// What pandas, pyarrow and polars produce arrives with its type and its values.
func TestTypesArrive(t *testing.T) {
	t.Parallel()
	tests := []struct{ value, typ, cell string }{
		{"pa.array([-1, None], pa.int8())", "int8", "[-1 (null)]"},
		{"pa.array([1, None], pa.int16())", "int16", "[1 (null)]"},
		{"pa.array([1, None], pa.int32())", "int32", "[1 (null)]"},
		{"pa.array([-2**63, None], pa.int64())", "int64", "[-9223372036854775808 (null)]"},
		{"pa.array([1, None], pa.uint8())", "uint8", "[1 (null)]"},
		{"pa.array([1, None], pa.uint16())", "uint16", "[1 (null)]"},
		{"pa.array([1, None], pa.uint32())", "uint32", "[1 (null)]"},
		{"pa.array([2**64-1, None], pa.uint64())", "uint64", "[18446744073709551615 (null)]"},
		{"pa.array([1.5, None], pa.float16())", "float16", "[1.5 (null)]"},
		{"pa.array([1.5, float('nan')], pa.float32())", "float32", "[1.5 NaN]"},
		{"pa.array([float('-inf'), None], pa.float64())", "float64", "[-Inf (null)]"},
		{"pa.array([True, None])", "bool", "[true (null)]"},
		{"pa.array([None, None])", "null", "[(null) (null)]"},
		{"pa.array(['ä', None])", "utf8", `["ä" (null)]`},
		{"pa.array(['ä', None], pa.large_string())", "large_utf8", `["ä" (null)]`},
		{"pa.array([b'\\x00', None])", "binary", `["\x00" (null)]`},
		{"pa.array([b'ab', None], pa.binary(2))", "fixed_size_binary[2]", `["ab" (null)]`},
		{"pa.array([1, None], pa.date32())", "date32", "[1970-01-02 (null)]"},
		{"pa.array([1, None], pa.time64('us'))", "time64[us]", "[1 (null)]"},
		{"pa.array([1, None], pa.timestamp('ns', 'Europe/Berlin'))", "timestamp[ns, tz=Europe/Berlin]", "[1 (null)]"},
		{"pa.array([1, None], pa.timestamp('s'))", "timestamp[s]", "[1 (null)]"},
		{"pa.array([1, None], pa.duration('ms'))", "duration[ms]", "[1 (null)]"},
		{"pa.array([__import__('decimal').Decimal('1.23'), None])", "decimal(3, 2)", "[1.23 (null)]"},
		{"pa.array(['a', None]).dictionary_encode()", "dictionary<values=utf8, indices=int32, ordered=false>", "{ dictionary: [\"a\"]\n  indices: [0 (null)] }"},
		{"pa.array([[1, None], None])", "list<item: int64, nullable>", "[[1 (null)] (null)]"},
		{"pa.array([[1], [2]], pa.list_(pa.int8(), 1))", "fixed_size_list<item: int8, nullable>[1]", "[[1] [2]]"},
		{"pa.array([[1, 2], None], pa.list_view(pa.int8()))", "list_view<item: int8, nullable>", "[[1 2] (null)]"},
		{"pa.array([{'x': 1}, None])", "struct<x: int64 nullable>", "{[1 (null)]}"},
		{"pa.array([[('k', 1)], None], pa.map_(pa.string(), pa.int8()))", "map<utf8, int8, items_nullable>", `[{["k"] [1]} (null)]`},
		{"pa.RunEndEncodedArray.from_arrays([2], [7])", "run_end_encoded<run_ends: int64, values: int64>", "[{2 -> 7}]"},
		{"pd.Series([1, None], dtype='Int64')", "int64", "[1 (null)]"},
		{"pd.Series(['x', None], dtype='str')", "large_utf8", `["x" (null)]`},
		{"pd.Series(['x', None], dtype='category')", "dictionary<values=large_utf8, indices=int8, ordered=false>", "{ dictionary: [\"x\"]\n  indices: [0 (null)] }"},
		{"pd.Series(pd.to_datetime(['2020-01-01', None]))", "timestamp[us]", "[1577836800000000 (null)]"},
		{"pd.Series(pd.to_datetime(['2020-01-01', None]), ).dt.tz_localize('UTC')", "timestamp[us, tz=UTC]", "[1577836800000000 (null)]"},
		{"pd.Series([[1, 2], None])", "list<item: int64, nullable>", "[[1 2] (null)]"},
	}
	var source strings.Builder
	source.WriteString("import pandas as pd, pyarrow as pa, polars as pl\nclass Handler:\n    def consume(self, event):\n")
	for _, test := range tests {
		fmt.Fprintf(&source, "        v = %s\n        yield v.to_frame('v') if isinstance(v, pd.Series) else pa.table({'v': v})\n", test.value)
	}
	source.WriteString("        yield pl.DataFrame({'v': ['x', None]}, schema={'v': pl.Categorical})\n        yield pl.DataFrame({'v': [[1], None]})\n")
	o := runPlugin(t, source.String()).mustSucceed(t)
	if len(o.cells) != len(tests)+2 {
		t.Fatalf("%d of %d batches came", len(o.cells), len(tests)+2)
	}
	for i, test := range tests {
		if got := o.schemas[i].Field(0).Type.String(); got != test.typ {
			t.Errorf("%s: type %s, want %s", test.value, got, test.typ)
		}
		if got := strings.TrimPrefix(o.cells[i], "v="); got != test.cell {
			t.Errorf("%s: %s, want %s", test.value, got, test.cell)
		}
	}
	for i, want := range []string{"dictionary<values=large_utf8, indices=uint32, ordered=false>", "large_list<item: int64, nullable>"} {
		if got := o.schemas[len(tests)+i].Field(0).Type.String(); got != want {
			t.Errorf("polars: type %s, want %s", got, want)
		}
	}
}

// rich makes a stream with a column of every layout that has something to lie
// about.
func rich(t testing.TB) []byte {
	t.Helper()
	mem := memory.DefaultAllocator
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	fields := []arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true, Metadata: arrow.NewMetadata([]string{"k"}, []string{"v"})},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "b", Type: arrow.BinaryTypes.LargeBinary, Nullable: true},
		{Name: "v", Type: arrow.BinaryTypes.StringView, Nullable: true},
		{Name: "d", Type: dictionary, Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true})), Nullable: true},
		{Name: "w", Type: arrow.ListViewOf(arrow.PrimitiveTypes.Int16), Nullable: true},
		{Name: "f", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Uint8), Nullable: true},
		{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.FixedWidthTypes.Boolean), Nullable: true},
		{Name: "u", Type: arrow.DenseUnionOf([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, {Name: "b", Type: arrow.BinaryTypes.String, Nullable: true}}, []arrow.UnionTypeCode{5, 9})},
		{Name: "r", Type: arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float64)},
		{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
		{Name: "c", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true},
		{Name: "n", Type: arrow.Null, Nullable: true},
	}
	schema := arrow.NewSchema(fields, nil)
	const rows = `[
	 {"i":1,"s":"abc","b":"YWI=","v":"a view that is longer than twelve","d":"x","l":[{"x":1},{"x":null}],"w":[1,2],"f":[1,2],"m":[{"key":"k","value":true}],"u":[5,3],"r":1.5,"t":"2020-01-01T00:00:00Z","c":"1.25","n":null},
	 {"i":null,"s":null,"b":null,"v":null,"d":null,"l":null,"w":null,"f":null,"m":null,"u":[9,"text"],"r":1.5,"t":null,"c":null,"n":null},
	 {"i":3,"s":"","b":"","v":"short","d":"y","l":[],"w":[],"f":[3,4],"m":[],"u":[5,null],"r":2.5,"t":"1970-01-01T00:00:00Z","c":"-0.01","n":null}]`
	batch, _, err := array.RecordFromJSON(mem, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Any byte of a stream may be wrong. The host either refuses it or hands out a
// batch whose every value can be read.
func TestABatchThatIsHandedOutCanBeRead(t *testing.T) {
	t.Parallel()
	whole := rich(t)
	cells, err := decodeBytes(whole)
	if err != nil || len(cells) != 14 {
		t.Fatalf("%d columns, %v", len(cells), err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 4_000 {
		bad := bytes.Clone(whole)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(bad))
			switch random.IntN(3) {
			case 0:
				bad[at] ^= 1 << random.IntN(8)
			case 1:
				bad[at] = []byte{0, 1, 0x7F, 0x80, 0xFF}[random.IntN(5)]
			case 2:
				at = at / 4 * 4
				if at+4 <= len(bad) {
					binary.LittleEndian.PutUint32(bad[at:], []uint32{0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF}[random.IntN(5)])
				}
			}
		}
		if _, err := decodeBytes(bad); err != nil {
			refused++
		}
	}
	if refused < 400 {
		t.Errorf("only %d of 4000 damaged streams were refused", refused)
	}
	for cut := range len(whole) {
		if _, err := decodeBytes(whole[:cut]); err == nil {
			t.Errorf("a stream cut at byte %d of %d was taken", cut, len(whole))
		}
	}
}

// Arrays whose buffers do not hold what they promise, one lie each.
func TestArraysThatLie(t *testing.T) {
	t.Parallel()
	i32 := func(values ...int32) *memory.Buffer {
		return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(values))
	}
	i64 := func(values ...int64) *memory.Buffer {
		return memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(values))
	}
	raw := func(values ...byte) *memory.Buffer { return memory.NewBufferBytes(values) }
	data := func(typ arrow.DataType, length, nulls int, buffers []*memory.Buffer, children ...arrow.ArrayData) *array.Data {
		return array.NewData(typ, length, buffers, children, nulls, 0)
	}
	buffers := func(b ...*memory.Buffer) []*memory.Buffer { return b }
	int32s := func(values ...int32) arrow.ArrayData {
		return data(arrow.PrimitiveTypes.Int32, len(values), 0, buffers(nil, i32(values...)))
	}
	dictionary := func(typ arrow.DataType, index *memory.Buffer, length, nulls int, validity *memory.Buffer) *array.Data {
		d := data(&arrow.DictionaryType{IndexType: typ, ValueType: arrow.PrimitiveTypes.Int32}, length, nulls, buffers(validity, index))
		d.SetDictionary(int32s(1, 2))
		return d
	}
	view := func(size, buffer, offset int32) *memory.Buffer { return i32(size, 0, buffer, offset) }
	union := func(code byte, offset int32) *array.Data {
		return data(arrow.DenseUnionOf([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int32}}, []arrow.UnionTypeCode{3}), 1, 0,
			buffers(nil, raw(code), i32(offset)), int32s(7))
	}
	runs := func(length int, ends ...int32) *array.Data {
		return data(arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int32), length, 0, buffers(nil), int32s(ends...), int32s(7, 8))
	}
	tests := []struct {
		name string
		data arrow.ArrayData
		good bool
	}{
		{"integers", int32s(1, 2), true},
		{"a buffer too short", data(arrow.PrimitiveTypes.Int32, 3, 0, buffers(nil, i32(1, 2))), false},
		{"no buffer at all", data(arrow.PrimitiveTypes.Int32, 1, 0, buffers(nil, nil)), false},
		{"an endless array", data(arrow.Null, maxRows+1, 0, nil), false},
		{"nulls", data(arrow.PrimitiveTypes.Int32, 2, 1, buffers(raw(0b01), i32(1, 2))), true},
		{"nulls without bits", data(arrow.PrimitiveTypes.Int32, 2, 1, buffers(nil, i32(1, 2))), false},
		{"fewer nulls than announced", data(arrow.PrimitiveTypes.Int32, 2, 1, buffers(raw(0b11), i32(1, 2))), false},
		{"too few bits", data(arrow.PrimitiveTypes.Int32, 9, 9, buffers(raw(0), i32(make([]int32, 9)...))), false},
		{"strings", data(arrow.BinaryTypes.String, 2, 0, buffers(nil, i32(0, 1, 3), raw('a', 'b', 'c'))), true},
		{"offsets that go back", data(arrow.BinaryTypes.String, 2, 0, buffers(nil, i32(0, 3, 1), raw('a', 'b', 'c'))), false},
		{"offsets below zero", data(arrow.BinaryTypes.String, 2, 0, buffers(nil, i32(-1, 0, 1), raw('a'))), false},
		{"offsets behind the end", data(arrow.BinaryTypes.String, 1, 0, buffers(nil, i32(0, 4), raw('a', 'b', 'c'))), false},
		{"offsets missing", data(arrow.BinaryTypes.String, 2, 0, buffers(nil, i32(0, 1), raw('a'))), false},
		{"large offsets behind the end", data(arrow.BinaryTypes.LargeString, 1, 0, buffers(nil, i64(0, 1<<40), raw('a'))), false},
		{"a list longer than its child", data(arrow.ListOf(arrow.PrimitiveTypes.Int32), 1, 0, buffers(nil, i32(0, 3)), int32s(1, 2)), false},
		{"a large list that goes back", data(arrow.LargeListOf(arrow.PrimitiveTypes.Int32), 2, 0, buffers(nil, i64(0, 2, 1)), int32s(1, 2)), false},
		{"a fixed list without enough values", data(arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int32), 2, 0, buffers(nil), int32s(1, 2, 3)), false},
		{"a struct longer than its field", data(arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32}), 3, 0, buffers(nil), int32s(1, 2)), false},
		{"a child that lies", data(arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32}), 1, 0, buffers(nil), data(arrow.PrimitiveTypes.Int32, 2, 0, buffers(nil, i32(1)))), false},
		{"dictionary indices", dictionary(arrow.PrimitiveTypes.Int8, raw(0, 1), 2, 0, nil), true},
		{"an index behind the dictionary", dictionary(arrow.PrimitiveTypes.Int8, raw(0, 2), 2, 0, nil), false},
		{"a negative index", dictionary(arrow.PrimitiveTypes.Int8, raw(0xFF), 1, 0, nil), false},
		{"a wild index under a null", dictionary(arrow.PrimitiveTypes.Int8, raw(0xFF), 1, 1, raw(0)), true},
		{"an index of 64 bits", dictionary(arrow.PrimitiveTypes.Uint64, i64(-1), 1, 0, nil), false},
		{"a view inside", data(arrow.BinaryTypes.StringView, 1, 0, buffers(nil, view(12, 9, 9))), true},
		{"a view of a buffer that is not", data(arrow.BinaryTypes.StringView, 1, 0, buffers(nil, view(13, 0, 0))), false},
		{"a view behind its buffer", data(arrow.BinaryTypes.StringView, 1, 0, buffers(nil, view(13, 0, 1), raw(make([]byte, 13)...))), false},
		{"a view of negative size", data(arrow.BinaryTypes.StringView, 1, 0, buffers(nil, view(-1, 0, 0))), false},
		{"a list view behind its child", data(arrow.ListViewOf(arrow.PrimitiveTypes.Int32), 1, 0, buffers(nil, i32(1), i32(2)), int32s(1, 2)), false},
		{"a union", union(3, 0), true},
		{"a union of an unknown type", union(4, 0), false},
		{"a union behind its child", union(3, 1), false},
		{"runs", runs(5, 2, 5), true},
		{"runs that end too early", runs(5, 2, 4), false},
		{"runs that go back", runs(2, 2, 2), false},
		{"more runs than values", runs(3, 1, 2, 3), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := checkArray(test.data, 0); (err == nil) != test.good {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Fields may share a child table, and so unfold into far more than the bytes
// they take. The walk is bounded by the fields that it visits.
func TestASchemaThatUnfoldsIsRefused(t *testing.T) {
	t.Parallel()
	deep := arrow.DataType(arrow.PrimitiveTypes.Int8)
	for range maxNesting + 2 {
		deep = arrow.ListOf(deep)
	}
	for name, fields := range map[string][]arrow.Field{
		"too deep": {{Name: "d", Type: deep}},
		"too wide": slices.Repeat([]arrow.Field{{Name: "", Type: arrow.Null}}, maxFields+1),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := ipc.NewWriter(&out, ipc.WithSchema(arrow.NewSchema(fields, nil)))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := decodeBytes(out.Bytes()); err == nil || !strings.Contains(err.Error(), "fields") {
				t.Errorf("got %v", err)
			}
		})
	}
}
