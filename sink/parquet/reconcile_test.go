package parquet

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/casparian-flow/casparian-worker/sink"
)

var (
	i8, i16, i32, i64 = arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64
	u8, u32, u64      = arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64
	f32, f64          = arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	text, largeText   = arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString
	blob, largeBlob   = arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary
	words             = &arrow.DictionaryType{IndexType: i8, ValueType: text}
	views             = arrow.BinaryTypes.StringView
	decimal32         = &arrow.Decimal32Type{Precision: 5, Scale: 2}
	runs              = arrow.RunEndEncodedOf(i32, i64)
	pairs             = arrow.FixedSizeListOf(2, i64)
	seconds           = &arrow.TimestampType{Unit: arrow.Second}
	micros            = &arrow.TimestampType{Unit: arrow.Microsecond}
	microsUTC         = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
)

func decimal(precision, scale int32) arrow.DataType {
	return &arrow.Decimal128Type{Precision: precision, Scale: scale}
}

// TestUnify: the table of docs/sinks.md, "When batches differ".
func TestUnify(t *testing.T) {
	for _, c := range []struct {
		have, got, want arrow.DataType // want nil: refused
	}{
		{arrow.Null, i32, i32},
		{i32, arrow.Null, i32},
		{arrow.Null, arrow.ListOf(text), arrow.ListOf(text)},
		{i8, i64, i64}, {i64, i8, i64}, {i32, i16, i32}, {u8, u32, u32}, {u64, u8, u64},
		{i32, u32, nil}, {u8, i64, nil}, {i64, f64, nil}, {f64, i64, nil}, {i64, text, nil}, {arrow.FixedWidthTypes.Boolean, i8, nil},
		{f32, f64, f64}, {f64, f32, f64}, {arrow.FixedWidthTypes.Float16, f32, f32},
		{text, largeText, text}, {largeText, text, largeText}, {blob, largeBlob, blob}, {text, blob, nil},
		{words, text, words}, {text, words, text}, {words, words, words},
		{words, &arrow.DictionaryType{IndexType: i32, ValueType: largeText}, words},
		{words, i64, nil},
		{decimal(5, 2), decimal(9, 2), decimal(9, 2)}, {decimal(9, 2), decimal(5, 2), decimal(9, 2)}, {decimal(5, 2), decimal(5, 3), nil},
		{decimal(5, 2), &arrow.Decimal256Type{Precision: 50, Scale: 2}, &arrow.Decimal256Type{Precision: 50, Scale: 2}},
		{decimal32, decimal(9, 2), decimal(9, 2)}, {decimal32, &arrow.Decimal64Type{Precision: 12, Scale: 2}, &arrow.Decimal64Type{Precision: 12, Scale: 2}},
		{views, text, views}, {largeText, views, largeText}, {views, arrow.BinaryTypes.BinaryView, nil},
		{runs, i64, runs}, {i64, runs, i64}, {runs, arrow.RunEndEncodedOf(i16, i32), runs}, {runs, text, nil},
		{words, arrow.RunEndEncodedOf(i32, text), words}, {runs, &arrow.DictionaryType{IndexType: i8, ValueType: i64}, runs},
		{arrow.ListViewOf(i32), arrow.ListOf(i64), arrow.ListViewOf(i64)}, {arrow.LargeListOf(i64), arrow.ListViewOf(i64), arrow.LargeListOf(i64)},
		{arrow.FixedWidthTypes.MonthInterval, arrow.FixedWidthTypes.DayTimeInterval, nil},
		{micros, microsUTC, nil}, {micros, seconds, nil}, {arrow.FixedWidthTypes.Date32, micros, nil},
		{arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64, nil},
		{arrow.ListOf(arrow.Null), arrow.ListOf(i64), arrow.ListOf(i64)},
		{arrow.ListOf(i32), arrow.LargeListOf(i64), arrow.ListOf(i64)},
		{arrow.FixedSizeListOf(2, i64), arrow.FixedSizeListOf(2, i64), arrow.FixedSizeListOf(2, i64)},
		{arrow.FixedSizeListOf(2, i64), arrow.FixedSizeListOf(3, i64), arrow.ListOf(i64)},
		{arrow.ListOf(i64), i64, nil}, {arrow.ListOf(i64), arrow.MapOf(text, i64), nil},
		{arrow.MapOf(text, i32), arrow.MapOf(text, i64), arrow.MapOf(text, i64)},
		{structOf("a", i32, "b", text), structOf("b", text, "a", i64), structOf("a", i64, "b", text)},
		{structOf("a", i32), structOf("a", i32, "b", text), nil},
		{structOf("a", i32, "b", text), structOf("a", i32), nil},
		{structOf("a", i32), structOf("c", i32), nil},
	} {
		declaredHave, err := declare(c.have, "x", 0)
		must(t, err)
		declaredGot, err := declare(c.got, "x", 0)
		must(t, err)
		unified, ok := unify(declaredHave, declaredGot)
		if c.want == nil {
			if ok {
				t.Errorf("%s and %s: %s, want refused", c.have, c.got, unified)
			}
			continue
		}
		want, err := declare(c.want, "x", 0)
		must(t, err)
		if !ok || !arrow.TypeEqual(unified, want) {
			t.Errorf("%s and %s: %v, want %s", c.have, c.got, unified, want)
		}
	}
}

func structOf(fields ...any) arrow.DataType {
	var out []arrow.Field
	for i := 0; i < len(fields); i += 2 {
		out = append(out, arrow.Field{Name: fields[i].(string), Type: fields[i+1].(arrow.DataType), Nullable: true})
	}
	return arrow.StructOf(out...)
}

// TestBatchesThatDiffer: what one batch after the other gives, while the first
// row group is open, and after it was written.
func TestBatchesThatDiffer(t *testing.T) {
	type step struct {
		kind   arrow.DataType
		values string
	}
	for _, c := range []struct {
		name    string
		first   step
		second  step
		want    string // values, as pyarrow prints them
		type1   string // type while the first row group is open
		type2   string // type when rows are written already; empty: refused
		reason2 string // part of the refusal
	}{
		{"the same", step{i64, `[1]`}, step{i64, `[2]`}, "[1 2]", "int64", "int64", ""},
		{"nothing, then a number", step{arrow.Null, `[null]`}, step{i64, `[2]`}, "[<nil> 2]", "int64", "", "no type"},
		{"nothing, then nulls", step{arrow.Null, `[null]`}, step{i64, `[null]`}, "[<nil> <nil>]", "int64", "null", ""},
		{"a number, then nothing", step{i64, `[1]`}, step{arrow.Null, `[null]`}, "[1 <nil>]", "int64", "int64", ""},
		{"wider, and it fits", step{i32, `[1]`}, step{i64, `[2]`}, "[1 2]", "int64", "int32", ""},
		{"wider, and it does not fit", step{i32, `[1]`}, step{i64, `[3000000000]`}, "[1 3e+09]", "int64", "", "3000000000"},
		{"narrower", step{i64, `[-1]`}, step{i8, `[2]`}, "[-1 2]", "int64", "int64", ""},
		{"unsigned", step{u8, `[1]`}, step{u32, `[300]`}, "[1 300]", "uint32", "", "300"},
		{"floats", step{f32, `[0.5]`}, step{f64, `[0.25]`}, "[0.5 0.25]", "double", "float", ""},
		{"floats that lose digits", step{f32, `[0.5]`}, step{f64, `[0.1]`}, "[0.5 0.1]", "double", "", "0.1"},
		{"text of both sizes", step{text, `["a"]`}, step{largeText, `["b"]`}, "[a b]", "string", "string", ""},
		{"large text first", step{largeText, `["a"]`}, step{text, `["b"]`}, "[a b]", "large_string", "large_string", ""},
		{"views", step{text, `["a"]`}, step{arrow.BinaryTypes.StringView, `["b"]`}, "[a b]", "string", "string", ""},
		{"a dictionary, then text", step{words, `["a"]`}, step{text, `["b"]`}, "[a b]",
			"dictionary<values=string, indices=int32, ordered=0>", "dictionary<values=string, indices=int32, ordered=0>", ""},
		{"text, then a dictionary", step{text, `["a"]`}, step{words, `["b", null]`}, "[a b <nil>]", "string", "string", ""},
		{"two dictionaries", step{words, `["a", "b"]`}, step{words, `["c", "a"]`}, "[a b c a]",
			"dictionary<values=string, indices=int32, ordered=0>", "dictionary<values=string, indices=int32, ordered=0>", ""},
		{"decimals", step{decimal(4, 2), `["1.50"]`}, step{decimal(6, 2), `["2.25"]`}, "[1.50 2.25]", "decimal128(6, 2)", "decimal128(4, 2)", ""},
		{"decimals with more digits", step{decimal(4, 2), `["1.50"]`}, step{decimal(6, 2), `["1234.25"]`}, "[1.50 1234.25]", "decimal128(6, 2)", "", "1234.25"},
		{"empty lists first", step{arrow.ListOf(arrow.Null), `[[]]`}, step{arrow.ListOf(i64), `[[1]]`}, "[[] [1]]", "list<element: int64>", "", "no type"},
		{"text, then views", step{views, `["a", "longer than twelve bytes"]`}, step{text, `["b", null]`}, "[a longer than twelve bytes b <nil>]", "string_view", "string_view", ""},
		{"narrow decimals", step{decimal32, `["1.50"]`}, step{decimal(9, 2), `["2.25"]`}, "[1.50 2.25]", "decimal128(9, 2)", "decimal32(5, 2)", ""},
		{"narrow decimals with more digits", step{decimal32, `["1.50"]`}, step{decimal(9, 2), `["-1234567.25"]`}, "[1.50 -1234567.25]", "decimal128(9, 2)", "", "1234567.25"},
		{"runs, then numbers", step{runs, `[1, 1]`}, step{i64, `[2, null]`}, "[1 1 2 <nil>]", "int64", "int64", ""},
		{"numbers, then runs", step{i64, `[1]`}, step{runs, `[2, 2, null, 3]`}, "[1 2 2 <nil> 3]", "int64", "int64", ""},
		{"a dictionary, then runs", step{words, `["a"]`}, step{arrow.RunEndEncodedOf(i16, text), `["b", "b", null]`}, "[a b b <nil>]",
			"dictionary<values=string, indices=int32, ordered=0>", "dictionary<values=string, indices=int32, ordered=0>", ""},
		{"runs of text, then a dictionary", step{arrow.RunEndEncodedOf(i32, text), `["a", "a"]`}, step{words, `["b", null]`}, "[a a b <nil>]", "string", "string", ""},
		{"lists, then views", step{arrow.ListOf(i64), `[[1], [], null]`}, step{arrow.ListViewOf(i64), `[[2, 3], null]`}, "[[1] [] <nil> [2 3] <nil>]",
			"list<element: int64>", "list<element: int64>", ""},
		{"views, then lists", step{arrow.LargeListViewOf(i64), `[[1]]`}, step{arrow.ListOf(i64), `[[2, 3], null, []]`}, "[[1] [2 3] <nil> []]",
			"large_list<element: int64>", "large_list<element: int64>", ""},
		{"pairs, then lists that are pairs", step{pairs, `[[1, 2], null]`}, step{arrow.ListOf(i64), `[[3, null], null]`}, "[[1 2] <nil> [3 <nil>] <nil>]",
			"list<element: int64>", "fixed_size_list<element: int64>[2]", ""},
		{"pairs, then other lists", step{pairs, `[[1, 2]]`}, step{arrow.FixedSizeListOf(1, i64), `[[3]]`}, "[[1 2] [3]]", "list<element: int64>", "", "lists of 2"},
		{"fields in another order", step{structOf("a", i32, "b", text), `[{"a":1,"b":"x"}]`}, step{structOf("b", text, "a", i64), `[{"b":"y","a":2}]`},
			"[map[a:1 b:x] map[a:2 b:y]]", "struct<a: int64, b: string>", "struct<a: int32, b: string>", ""},
	} {
		for _, flushed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/flushed=%v", c.name, flushed), func(t *testing.T) {
				driver := newDriver(t, Config{})
				to := target("parquet://a.parquet")
				w := open(t, driver, to, nil)
				write(t, w, batchOf(t, column{"x", c.first.kind, c.first.values}))
				want := c.type1
				if flushed {
					token := flush(t, w)
					must(t, w.Close())
					w = open(t, driver, to, token) // the schema survives a resume
					want = c.type2
				}
				err := w.Write(t.Context(), batchOf(t, column{"x", c.second.kind, c.second.values}))
				if want == "" {
					var refused *sink.SchemaError
					if !errors.As(err, &refused) || refused.Column != "x" || !strings.Contains(refused.Error(), c.reason2) {
						t.Fatalf("the second batch: %v", err)
					}
					if _, again := w.Seal(t.Context()); !errors.Is(again, err) {
						t.Fatalf("sealed after a refusal: %v", again)
					}
					return
				}
				must(t, err)
				rows := read(t, commit(t, driver, to, seal(t, w)))
				if got := fmt.Sprint(rows.Columns["x"]); got != c.want {
					t.Errorf("values %s, want %s", got, c.want)
				}
				if rows.Types["x"] != want {
					t.Errorf("type %s, want %s", rows.Types["x"], want)
				}
			})
		}
	}
}

// TestEncodedListsAndPlainOnes: a dictionary, or runs, of nested values beside the
// values themselves, whichever comes first, held back or not.
func TestEncodedListsAndPlainOnes(t *testing.T) {
	elements := batchOf(t, column{"x", arrow.ListOf(i32), `[[1], [2, null], null]`}).Column(0)
	kind := &arrow.DictionaryType{IndexType: i8, ValueType: elements.DataType()}
	one := map[string]arrow.Array{
		"dictionary": array.NewDictionaryArray(kind, raw(i8, 4, 1, []byte{0b1011}, []byte{1, 0, 9, 2}), elements),
		"runs":       array.NewRunEndEncodedArray(raw(i32, 3, 0, nil, int32s(1, 2, 4)), array.NewSlice(elements, 0, 3), 4, 0),
	}
	plain := batchOf(t, column{"x", arrow.ListOf(i64), `[[7], null, [], [8, 9]]`})
	for name, encoded := range one {
		batch := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "x", Type: encoded.DataType(), Nullable: true}}, nil), []arrow.Array{encoded}, 4)
		want := map[string]string{"dictionary": "[2 <nil>] [1] <nil> <nil>", "runs": "[1] [2 <nil>] <nil> <nil>"}[name]
		for _, flushed := range []bool{false, true} {
			for _, encodedFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/flushed=%v/first=%v", name, flushed, encodedFirst), func(t *testing.T) {
					driver := newDriver(t, Config{})
					to := target("parquet://a.parquet")
					w := open(t, driver, to, nil)
					first, second, all := batch, plain, "["+want+" [7] <nil> [] [8 9]]"
					if !encodedFirst {
						first, second, all = plain, batch, "[[7] <nil> [] [8 9] "+want+"]"
					}
					write(t, w, first)
					if flushed {
						flush(t, w)
					}
					write(t, w, second)
					rows := read(t, commit(t, driver, to, seal(t, w)))
					if got := fmt.Sprint(rows.Columns["x"]); got != all {
						t.Errorf("values %s, want %s", got, all)
					}
				})
			}
		}
	}
}

func TestColumnsInAnotherOrder(t *testing.T) {
	driver := newDriver(t, Config{})
	rows := read(t, publish(t, driver, target("parquet://a.parquet"),
		batchOf(t, column{"a", i64, `[1]`}, column{"b", text, `["x"]`}),
		batchOf(t, column{"b", text, `["y"]`}, column{"a", i64, `[2]`})))
	if !reflect.DeepEqual(rows.Columns["a"], []any{1.0, 2.0}) || !reflect.DeepEqual(rows.Columns["b"], []any{"x", "y"}) {
		t.Errorf("%v", rows.Columns)
	}
	if got := strings.Join(rows.Names, " "); got != "a b _job_id _file_version_id" {
		t.Errorf("columns %s", got)
	}
}

func TestEmptyBatchesSayNothing(t *testing.T) {
	driver := newDriver(t, Config{})
	rows := read(t, publish(t, driver, target("parquet://a.parquet"),
		batchOf(t, column{"wrong", text, `[]`}),
		batchOf(t, column{"a", i64, `[1]`}),
		batchOf(t, column{"a", text, `[]`}, column{"more", text, `[]`})))
	if !reflect.DeepEqual(rows.Columns["a"], []any{1.0}) {
		t.Errorf("%v", rows.Columns)
	}
}

func TestRefusedBatches(t *testing.T) {
	for _, c := range []struct {
		name    string
		first   []column
		second  []column
		refused sink.SchemaError // Reason: part of it
	}{
		{"another type", []column{{"a", i64, `[1]`}}, []column{{"a", text, `["x"]`}},
			sink.SchemaError{Column: "a", Have: "int64", Got: "utf8", Batch: 2}},
		{"a new column", []column{{"a", i64, `[1]`}}, []column{{"a", i64, `[1]`}, {"b", text, `["x"]`}},
			sink.SchemaError{Column: "b", Got: "utf8", Batch: 2}},
		{"a missing column", []column{{"a", i64, `[1]`}, {"b", text, `["x"]`}}, []column{{"a", i64, `[1]`}},
			sink.SchemaError{Column: "b", Have: "utf8", Batch: 2}},
		{"another zone", []column{{"at", micros, `[1]`}}, []column{{"at", microsUTC, `[1]`}},
			sink.SchemaError{Column: "at", Have: "timestamp[us]", Got: "timestamp[us, tz=UTC]", Batch: 2}},
		{"two of one name", []column{{"a", i64, `[1]`}, {"a", i64, `[2]`}}, nil,
			sink.SchemaError{Column: "a", Have: "int64", Got: "int64", Batch: 1, Reason: "two columns"}},
		{"deep in a struct", []column{{"s", structOf("t", structOf("u", i64)), `[{"t":{"u":1}}]`}}, []column{{"s", structOf("t", structOf("u", text)), `[{"t":{"u":"x"}}]`}},
			sink.SchemaError{Column: "s", Have: "struct<t: struct<u: int64 nullable> nullable>", Got: "struct<t: struct<u: utf8 nullable> nullable>", Batch: 2, Reason: "s.t.u is utf8 and was int64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			w := open(t, driver, target("parquet://a.parquet"), nil)
			err := w.Write(t.Context(), batchOf(t, c.first...))
			if c.second != nil {
				must(t, err)
				err = w.Write(t.Context(), batchOf(t, c.second...))
			}
			var got *sink.SchemaError
			if !errors.As(err, &got) {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(got.Reason, c.refused.Reason) {
				t.Errorf("reason %q", got.Reason)
			}
			c.refused.Reason = got.Reason
			if *got != c.refused {
				t.Errorf("%+v, want %+v", *got, c.refused)
			}
			if !strings.Contains(got.Error(), "plugin") {
				t.Errorf("%q does not say what to do", got)
			}
		})
	}
}

// TestHoldingBackIsBounded: rows are held only until the first row group is
// full, however long a column stays without a type.
func TestHoldingBackIsBounded(t *testing.T) {
	driver := newDriver(t, Config{RowGroupRows: 100})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	for range 25 {
		write(t, w, batchOf(t, column{"x", arrow.Null, "[" + strings.Repeat("null,", 9) + "null]"}))
		if held := len(w.(*writer).held); held > 10 {
			t.Fatalf("%d batches are held back", held)
		}
	}
	rows := read(t, commit(t, driver, to, seal(t, w)))
	if !reflect.DeepEqual(rows.Groups, []int64{100, 100, 50}) || rows.Types["x"] != "null" {
		t.Errorf("row groups %v, type %s", rows.Groups, rows.Types["x"])
	}
}
