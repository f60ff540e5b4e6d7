package digest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var i32, text = arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String

// kinds are columns of every sort, each with the JSON of five values.
var kinds = []struct {
	dataType arrow.DataType
	values   string
}{
	{arrow.Null, `[null, null, null, null, null]`},
	{arrow.FixedWidthTypes.Boolean, `[true, null, false, true, true]`},
	{arrow.PrimitiveTypes.Int8, `[1, null, -3, 4, 5]`},
	{arrow.PrimitiveTypes.Uint16, `[1, 2, 3, 4, 5]`},
	{i32, `[1, null, null, 4, 5]`},
	{arrow.PrimitiveTypes.Float64, `[1.5, null, -0.25, 4, 5]`},
	{&arrow.Decimal128Type{Precision: 20, Scale: 2}, `["1.50", null, "-3.25", "4.00", "5.00"]`},
	{&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, `["2024-01-01 00:00:00Z", null, "2024-01-03 00:00:00Z", "2024-01-04 00:00:00Z", "2024-01-05 00:00:00Z"]`},
	{&arrow.FixedSizeBinaryType{ByteWidth: 3}, `["YWJj", null, "ZGVm", "Z2hp", "amts"]`},
	{text, `["a", null, "", "größe", "e"]`},
	{arrow.BinaryTypes.LargeString, `["a", "bc", "", null, "e"]`},
	{arrow.BinaryTypes.StringView, `["a", null, "longer than the twelve bytes of a header", "d", "e"]`},
	{arrow.ListOf(i32), `[[1, 2], null, [], [3, null], [5]]`},
	{arrow.LargeListOf(text), `[["a"], null, [], ["b", null], ["c", "d"]]`},
	{arrow.FixedSizeListOf(2, i32), `[[1, 2], null, [3, 4], [5, null], [6, 7]]`},
	{arrow.ListViewOf(i32), `[[1, 2], null, [], [3, 4], [5]]`},
	{arrow.MapOf(text, i32), `[[{"key": "a", "value": 1}], null, [], [{"key": "b", "value": null}], [{"key": "c", "value": 3}]]`},
	{arrow.StructOf(arrow.Field{Name: "x", Type: i32, Nullable: true}, arrow.Field{Name: "y", Type: arrow.ListOf(text), Nullable: true}),
		`[{"x": 1, "y": ["a"]}, null, {"x": null, "y": null}, {"x": 4, "y": []}, {"x": 5, "y": ["b", "c"]}]`},
	{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: text}, `["a", null, "b", "a", "c"]`},
	{&arrow.DictionaryType{IndexType: i32, ValueType: arrow.PrimitiveTypes.Int64}, `[7, null, 9, 7, 8]`},
	{arrow.RunEndEncodedOf(i32, text), `["a", "a", null, "b", "b"]`},
}

func made(t testing.TB, dataType arrow.DataType, values string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, dataType, strings.NewReader(values))
	if err != nil {
		t.Fatalf("%s: %v", dataType, err)
	}
	return a
}

func batchOf(columns ...arrow.Array) arrow.RecordBatch {
	fields := make([]arrow.Field, len(columns))
	for i, column := range columns {
		fields[i] = arrow.Field{Name: fmt.Sprintf("c%d", i), Type: column.DataType(), Nullable: true}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(columns[0].Len()))
}

func sum(t testing.TB, batch arrow.RecordBatch) Sum {
	t.Helper()
	s, err := Batch("output", batch)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheLayoutDoesNotCount: the same values, however they lie in memory.
func TestTheLayoutDoesNotCount(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.dataType.String(), func(t *testing.T) {
			plain := made(t, kind.dataType, kind.values)
			want := sum(t, batchOf(plain))
			layouts := map[string]arrow.Array{"made again": made(t, kind.dataType, kind.values)}

			// A slice out of the middle of something longer.
			inner := strings.Trim(kind.values, "[]")
			if strings.HasPrefix(kind.values, "[[") || strings.HasSuffix(kind.values, "]]") {
				inner = kind.values[1 : len(kind.values)-1]
			}
			for before := 1; before <= 13; before += 4 {
				long := made(t, kind.dataType, "["+strings.Repeat(inner+", ", before)+inner+", "+inner+"]")
				from := int64(5 * before)
				layouts[fmt.Sprintf("values %d to %d of a longer one", from, from+5)] = array.NewSlice(long, from, from+5)
			}
			layouts["through IPC"] = throughIPC(t, batchOf(plain)).Column(0)
			if kind.dataType.ID() != arrow.LIST_VIEW { // arrow-go cannot write a slice of one
				layouts["a slice through IPC"] = throughIPC(t, batchOf(array.NewSlice(made(t, kind.dataType, "["+inner+", "+inner+"]"), 5, 10))).Column(0)
			}
			if _, text := plain.(array.StringLike); plain.NullN() > 0 && !text {
				layouts["garbage under the nulls"] = soiled(plain)
			}
			for name, layout := range layouts {
				if got := sum(t, batchOf(layout)); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		})
	}
}

func throughIPC(t testing.TB, batch arrow.RecordBatch) arrow.RecordBatch {
	t.Helper()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(batch.Schema()))
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Next() {
		t.Fatal(r.Err())
	}
	return r.RecordBatch()
}

// soiled writes over what lies under the nulls of an array of fixed width, or of
// its top level.
func soiled(a arrow.Array) arrow.Array {
	data := a.Data()
	width, fixed := data.DataType().(arrow.FixedWidthDataType)
	_, dictionary := data.DataType().(*arrow.DictionaryType)
	if !fixed || dictionary || len(data.Buffers()) < 2 || width.BitWidth() < 8 {
		return a
	}
	n := width.BitWidth() / 8
	values := bytes.Clone(data.Buffers()[1].Bytes())
	for i := range a.Len() {
		if a.IsNull(i) {
			for b := range n {
				values[i*n+b] = 0xA5
			}
		}
	}
	return array.MakeFromData(array.NewData(data.DataType(), a.Len(), []*memory.Buffer{data.Buffers()[0], memory.NewBufferBytes(values)}, nil, a.NullN(), 0))
}

// TestNullsThatCoverSomething: lists and text that lie under a null, fields under
// a null struct.
func TestNullsThatCoverSomething(t *testing.T) {
	bitmap := memory.NewBufferBytes([]byte{0b101})
	offsets := func(n ...int32) *memory.Buffer { return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(n)) }
	for name, pair := range map[string][2]arrow.Array{
		"text": {
			made(t, text, `["a", null, "c"]`),
			array.MakeFromData(array.NewData(text, 3, []*memory.Buffer{bitmap, offsets(0, 1, 4, 5), memory.NewBufferBytes([]byte("aXYZc"))}, nil, 1, 0)),
		},
		"list": {
			made(t, arrow.ListOf(i32), `[[1], null, [3, 4]]`),
			array.MakeFromData(array.NewData(arrow.ListOf(i32), 3, []*memory.Buffer{bitmap, offsets(0, 1, 3, 5)},
				[]arrow.ArrayData{made(t, i32, `[1, 77, null, 3, 4]`).Data()}, 1, 0)),
		},
		"struct": {
			made(t, arrow.StructOf(arrow.Field{Name: "x", Type: i32, Nullable: true}), `[{"x": 1}, null, {"x": 3}]`),
			array.MakeFromData(array.NewData(arrow.StructOf(arrow.Field{Name: "x", Type: i32, Nullable: true}), 3, []*memory.Buffer{bitmap},
				[]arrow.ArrayData{made(t, i32, `[1, 2, 3]`).Data()}, 1, 0)),
		},
		"a bitmap that says nothing": {
			made(t, i32, `[1, 2, 3]`),
			array.MakeFromData(array.NewData(i32, 3, []*memory.Buffer{memory.NewBufferBytes([]byte{0xFF}), made(t, i32, `[1, 2, 3]`).Data().Buffers()[1]}, nil, array.UnknownNullCount, 0)),
		},
		"a dictionary in another order": {
			dictionaryOf(t, `["a", "b", "c"]`, `[0, null, 2, 1]`),
			dictionaryOf(t, `["unused", "c", "a", "b"]`, `[2, null, 1, 3]`),
		},
		"a null as an entry": {
			dictionaryOf(t, `["a", "b"]`, `[0, null, 1]`),
			dictionaryOf(t, `["a", null, "b"]`, `[0, 1, 2]`),
		},
		"runs cut in another way": {
			runsOf(t, `[2, 5]`, `["a", "b"]`, 5),
			runsOf(t, `[1, 2, 3, 5]`, `["a", "a", "b", "b"]`, 5),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if a, b := sum(t, batchOf(pair[0])), sum(t, batchOf(pair[1])); a != b {
				t.Errorf("%s and %s", a, b)
			}
		})
	}
}

func dictionaryOf(t *testing.T, entries, indices string) arrow.Array {
	return array.NewDictionaryArray(&arrow.DictionaryType{IndexType: i32, ValueType: text}, made(t, i32, indices), made(t, text, entries))
}

func runsOf(t *testing.T, ends, values string, n int) arrow.Array {
	return array.NewRunEndEncodedArray(made(t, i32, ends), made(t, text, values), n, 0)
}

// TestWhateverDiffersShows: other data has another digest.
func TestWhateverDiffersShows(t *testing.T) {
	seen := map[Sum]string{}
	meet := func(what string, s Sum) {
		t.Helper()
		if other, met := seen[s]; met {
			t.Errorf("%s and %s have the same digest", what, other)
		}
		seen[s] = what
	}
	for _, kind := range kinds {
		plain := made(t, kind.dataType, kind.values)
		batch := batchOf(plain)
		meet(kind.dataType.String(), sum(t, batch))
		other, _ := Batch("other topic", batch)
		meet(kind.dataType.String()+" of another topic", other)
		renamed := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "renamed", Type: kind.dataType, Nullable: true}}, nil), []arrow.Array{plain}, 5)
		meet(kind.dataType.String()+" of another name", sum(t, renamed))
		// Each part of it is other data, and so is it without one of its values.
		for from := range 5 {
			for to := from + 1; to <= 5; to++ {
				if part := batchOf(array.NewSlice(plain, int64(from), int64(to))); !same(plain, from, to) {
					what := fmt.Sprintf("%s, values %d to %d", kind.dataType, from, to)
					s := sum(t, part)
					if other, met := seen[s]; met && !equalParts(plain, other, from, to) {
						t.Errorf("%s and %s have the same digest", what, other)
					}
					seen[s] = what
				}
			}
		}
	}
	for name, pair := range map[string][2]arrow.Array{
		"where a list ends":         {made(t, arrow.ListOf(i32), `[[1, 2], [3]]`), made(t, arrow.ListOf(i32), `[[1], [2, 3]]`)},
		"where a text ends":         {made(t, text, `["ab", "c"]`), made(t, text, `["a", "bc"]`)},
		"null and empty":            {made(t, text, `[null, "c"]`), made(t, text, `["", "c"]`)},
		"null and zero":             {made(t, i32, `[null, 1]`), made(t, i32, `[0, 1]`)},
		"which one is null":         {made(t, i32, `[null, 0, 1]`), made(t, i32, `[0, null, 1]`)},
		"a null list, an empty one": {made(t, arrow.ListOf(i32), `[null]`), made(t, arrow.ListOf(i32), `[[]]`)},
		"zero and minus zero":       {made(t, arrow.PrimitiveTypes.Float64, `[0]`), made(t, arrow.PrimitiveTypes.Float64, `[-0.0]`)},
		"a dictionary's entry":      {dictionaryOf(t, `["a", "b"]`, `[0, 1]`), dictionaryOf(t, `["a", "c"]`, `[0, 1]`)},
		"the length of a run":       {runsOf(t, `[2, 5]`, `["a", "b"]`, 5), runsOf(t, `[3, 5]`, `["a", "b"]`, 5)},
		"a wider type":              {made(t, i32, `[1]`), made(t, arrow.PrimitiveTypes.Int64, `[1]`)},
		"a bit":                     {made(t, arrow.FixedWidthTypes.Boolean, `[true, false]`), made(t, arrow.FixedWidthTypes.Boolean, `[true, true]`)},
	} {
		if sum(t, batchOf(pair[0])) == sum(t, batchOf(pair[1])) {
			t.Errorf("%s does not show", name)
		}
	}
}

func same(a arrow.Array, from, to int) bool { return from == 0 && to == a.Len() }

// equalParts tells whether the part that other names has the same values.
func equalParts(a arrow.Array, other string, from, to int) bool {
	var f, n int
	if _, err := fmt.Sscanf(other[strings.LastIndex(other, ",")+1:], " values %d to %d", &f, &n); err != nil {
		return false
	}
	return array.Equal(array.NewSlice(a, int64(from), int64(to)), array.NewSlice(a, int64(f), int64(n)))
}

func TestTheOrderOfBatchesCounts(t *testing.T) {
	a, b := sum(t, batchOf(made(t, i32, `[1]`))), sum(t, batchOf(made(t, i32, `[2]`)))
	var none Sum
	if none.Then(a).Then(b) == none.Then(b).Then(a) || none.Then(a) == none || none.Then(a).Then(a) == none.Then(a) {
		t.Error("the sequence does not show in its digest")
	}
}

// TestTheDigestIsStable: it is compared across processes and versions of the
// worker. Whoever changes it makes jobs under way start over.
func TestTheDigestIsStable(t *testing.T) {
	var all Sum
	for _, kind := range kinds {
		all = all.Then(sum(t, batchOf(made(t, kind.dataType, kind.values))))
	}
	if got, want := all.String(), "426534edb9a7f3d8"; got != want {
		t.Errorf("%s, and it was %s", got, want)
	}
}

// TestLongColumns: bitmaps and chunks that go over many words, cut at random.
func TestLongColumns(t *testing.T) {
	const seed = 5
	random := rand.New(rand.NewPCG(seed, 0))
	const rows = 40_000
	numbers, flags, words := array.NewInt64Builder(memory.DefaultAllocator), array.NewBooleanBuilder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	lists := array.NewListBuilder(memory.DefaultAllocator, i32)
	elements := lists.ValueBuilder().(*array.Int32Builder)
	for i := range rows {
		if random.IntN(10) == 0 {
			numbers.AppendNull()
			flags.AppendNull()
			words.AppendNull()
			lists.AppendNull()
			continue
		}
		numbers.Append(random.Int64())
		flags.Append(random.IntN(2) == 0)
		words.Append(strings.Repeat("x", random.IntN(30)))
		lists.Append(true)
		for range random.IntN(4) {
			elements.Append(int32(i))
		}
	}
	whole := batchOf(numbers.NewArray(), flags.NewArray(), words.NewArray(), lists.NewArray())
	for range 50 {
		from := random.Int64N(rows - 1)
		to := from + 1 + random.Int64N(rows-from-1)
		slice := whole.NewSlice(from, to)
		if a, b := sum(t, slice), sum(t, throughIPC(t, slice)); a != b {
			t.Fatalf("seed %d: rows %d to %d: %s as a slice and %s through IPC", seed, from, to, a, b)
		}
		if to-from > 1 && sum(t, slice) == sum(t, whole.NewSlice(from, to-1)) {
			t.Fatalf("seed %d: rows %d to %d: a row less does not show", seed, from, to)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	const rows = 64 << 10
	random := rand.New(rand.NewPCG(1, 2))
	columns := map[string]arrow.Array{}
	numbers, some := array.NewInt64Builder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator)
	words := array.NewStringBuilder(memory.DefaultAllocator)
	coded := array.NewDictionaryBuilder(memory.DefaultAllocator, &arrow.DictionaryType{IndexType: i32, ValueType: text}).(*array.BinaryDictionaryBuilder)
	for i := range rows {
		numbers.Append(random.Int64())
		if i%10 == 0 {
			some.AppendNull()
		} else {
			some.Append(random.Int64())
		}
		words.Append(fmt.Sprintf("word %d of many", random.IntN(100_000)))
		if err := coded.AppendString(fmt.Sprint(random.IntN(1000))); err != nil {
			b.Fatal(err)
		}
	}
	columns["numbers"], columns["numbers with nulls"], columns["text"], columns["dictionary"] = numbers.NewArray(), some.NewArray(), words.NewArray(), coded.NewArray()
	for name, column := range columns {
		b.Run(name, func(b *testing.B) {
			batch := batchOf(column)
			b.SetBytes(int64(column.Data().SizeInBytes()))
			for b.Loop() {
				if _, err := Batch("output", batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
