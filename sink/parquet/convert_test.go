package parquet

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func fromJSON(t *testing.T, kind arrow.DataType, values string) arrow.Array {
	t.Helper()
	out, _, err := array.FromJSON(memory.DefaultAllocator, kind, strings.NewReader(values))
	if err != nil {
		t.Fatalf("%s of %s: %v", values, kind, err)
	}
	return out
}

func asJSON(t *testing.T, values arrow.Array) (out any) {
	t.Helper()
	text, err := values.MarshalJSON()
	must(t, err)
	must(t, json.Unmarshal(text, &out))
	return out
}

// TestConvertGivesTheSameValues: from each of the types that may stand in for one
// another to each other, whole and as a slice from the middle.
func TestConvertGivesTheSameValues(t *testing.T) {
	dictionary := func(index, values arrow.DataType) arrow.DataType {
		return &arrow.DictionaryType{IndexType: index, ValueType: values}
	}
	nullable := func(kind arrow.DataType) arrow.Field {
		return arrow.Field{Name: "entry", Type: kind, Nullable: true}
	}
	required := func(kind arrow.DataType) arrow.Field { return arrow.Field{Name: "item", Type: kind} }
	for name, c := range map[string]struct {
		values string
		types  []arrow.DataType
	}{
		"text": {`["a", null, "", "ü, longer than twelve bytes", "a", "a"]`, []arrow.DataType{text, largeText, views,
			dictionary(i8, text), dictionary(u64, text), dictionary(i32, text), arrow.RunEndEncodedOf(i16, text), arrow.RunEndEncodedOf(i32, largeText)}},
		"bytes": {`["YQ==", null, "", "/////////////////////w==", "YQ=="]`, []arrow.DataType{blob, largeBlob, arrow.BinaryTypes.BinaryView,
			dictionary(i16, blob), arrow.RunEndEncodedOf(i64, blob)}},
		"truth": {`[true, null, false, false, true, true, true, null, true]`, []arrow.DataType{arrow.FixedWidthTypes.Boolean,
			arrow.RunEndEncodedOf(i32, arrow.FixedWidthTypes.Boolean), arrow.RunEndEncodedOf(i16, arrow.FixedWidthTypes.Boolean)}},
		"integers": {`[1, -128, null, 127, 127, 0]`, []arrow.DataType{i8, i16, i32, i64, dictionary(i8, i64), dictionary(u32, i8), arrow.RunEndEncodedOf(i32, i16)}},
		"unsigned": {`[1, null, 255, 0]`, []arrow.DataType{u8, arrow.PrimitiveTypes.Uint16, u32, u64, dictionary(i8, u32)}},
		"floats":   {`[1.5, null, -0.25, 1024]`, []arrow.DataType{arrow.FixedWidthTypes.Float16, f32, f64, dictionary(i8, f32), arrow.RunEndEncodedOf(i32, f64)}},
		"decimals": {`["1.50", null, "-99.99", "0.01"]`, []arrow.DataType{&arrow.Decimal32Type{Precision: 4, Scale: 2}, decimal32,
			&arrow.Decimal64Type{Precision: 12, Scale: 2}, decimal(4, 2), decimal(38, 2), &arrow.Decimal256Type{Precision: 60, Scale: 2}, dictionary(i8, decimal(5, 2))}},
		"lists": {`[[1, 2], null, [], [null, -5], [6]]`, []arrow.DataType{arrow.ListOf(i64), arrow.ListOf(i32), arrow.LargeListOf(i8), arrow.ListViewOf(i64),
			arrow.LargeListViewOf(i16), arrow.ListOfField(nullable(i64)), arrow.ListViewOfField(nullable(i64))}},
		"lists of text": {`[["a", "b"], null, [], [null, "a"]]`, []arrow.DataType{arrow.ListOf(text), arrow.LargeListOf(views), arrow.ListOf(dictionary(i8, text)),
			arrow.ListViewOf(dictionary(i32, text))}},
		"pairs": {`[[1, 2], null, [3, null]]`, []arrow.DataType{pairs, arrow.FixedSizeListOf(2, i32), arrow.ListOf(i64), arrow.LargeListViewOf(i8),
			arrow.FixedSizeListOfField(2, nullable(i64))}},
		"pairs of pairs": {`[[["a", "b"], null], null, [[null, "c"], ["d", "e"]]]`, []arrow.DataType{arrow.FixedSizeListOf(2, arrow.FixedSizeListOf(2, text)),
			arrow.ListOf(arrow.ListOf(views)), arrow.FixedSizeListOf(2, arrow.ListOf(text))}},
		"no nulls inside": {`[[1, 2], null, [4]]`, []arrow.DataType{arrow.ListOfField(required(i64)), arrow.ListOf(i64), arrow.LargeListOfField(required(i32))}},
		"structs": {`[{"a": 1, "b": ["x"]}, null, {"a": null, "b": null}]`, []arrow.DataType{structOf("a", i64, "b", arrow.ListOf(text)),
			structOf("b", arrow.LargeListOf(text), "a", i32), structOf("a", arrow.RunEndEncodedOf(i32, i8), "b", arrow.ListViewOf(views)), structOf("a", dictionary(i8, i64), "b", arrow.ListOf(text))}},
		"maps": {`[[{"key": "k", "value": 1}, {"key": "l", "value": null}], null, []]`, []arrow.DataType{arrow.MapOf(text, i64), arrow.MapOf(largeText, i32)}},
	} {
		all := asJSON(t, fromJSON(t, c.types[0], c.values))
		for _, from := range c.types {
			source := fromJSON(t, from, c.values)
			for _, other := range c.types {
				to, err := declare(other, "x", 0)
				must(t, err)
				for cut := range source.Len() - 1 {
					end := max(cut+1, source.Len()-cut/2)
					slice := array.NewSlice(source, int64(cut), int64(end))
					got, err := convert(slice, to)
					if err != nil {
						t.Fatalf("%s: %s to %s: %v", name, from, to, err)
					}
					if !arrow.TypeEqual(got.DataType(), to) {
						t.Errorf("%s: %s to %s: a %s", name, from, to, got.DataType())
					}
					want := all.([]any)[cut:end]
					if values := asJSON(t, got); !reflect.DeepEqual(values, want) {
						t.Errorf("%s: %s to %s from %d: %v, want %v", name, from, to, cut, values, want)
					}
				}
			}
		}
	}
}

// TestNobodySeesWhatIsUnderANull: values that no row has may be anything at all.
func TestNobodySeesWhatIsUnderANull(t *testing.T) {
	second := []byte{0b101} // the middle one of three is null
	list := func(kind arrow.DataType, elements arrow.Array) arrow.Array {
		return array.MakeFromData(array.NewData(arrow.ListOf(kind), 3, []*memory.Buffer{memory.NewBufferBytes(second), memory.NewBufferBytes(int32s(0, 2, 4, 6))},
			[]arrow.ArrayData{elements.Data()}, 1, 0))
	}
	record := func(field arrow.Array) arrow.Array {
		return array.MakeFromData(array.NewData(structOf("a", field.DataType()), 3, []*memory.Buffer{memory.NewBufferBytes(second)}, []arrow.ArrayData{field.Data()}, 1, 0))
	}
	letters := raw(text, 1, 0, nil, int32s(0, 1), []byte("x"))
	for _, c := range []struct {
		name   string
		source arrow.Array
		to     arrow.DataType
		want   string
	}{
		{"numbers that do not fit, in lists", list(i64, raw(i64, 6, 0, nil, int64s(1, 2, 1<<40, 1<<50, 5, 6))), arrow.ListOf(i32), "[[1 2] <nil> [5 6]]"},
		{"numbers that do not fit, in other lists", list(i64, raw(i64, 6, 0, nil, int64s(1, 2, 1<<40, 1<<50, 5, 6))), arrow.LargeListViewOf(i8), "[[1 2] <nil> [5 6]]"},
		{"numbers that do not fit, in pairs", list(i64, raw(i64, 6, 0, nil, int64s(1, 2, 1<<40, 1<<50, 5, 6))), arrow.FixedSizeListOf(2, i8), "[[1 2] <nil> [5 6]]"},
		{"numbers that do not fit, in runs", list(runs, array.NewRunEndEncodedArray(raw(i32, 3, 0, nil, int32s(2, 4, 6)), raw(i64, 3, 0, nil, int64s(1, 1<<40, 5)), 6, 0)),
			arrow.ListOf(i8), "[[1 1] <nil> [5 5]]"},
		{"text that is none, in lists", list(text, raw(text, 6, 0, nil, int32s(0, 1, 2, 3, 4, 5, 6), []byte("ab\xff\xffef"))), arrow.ListOf(text), "[[a b] <nil> [e f]]"},
		{"text that is none, in structs", record(raw(text, 3, 0, nil, int32s(0, 1, 2, 3), []byte("a\xffc"))), structOf("a", text), "[map[a:a] <nil> map[a:c]]"},
		{"text that is none, in views", record(raw(text, 3, 0, nil, int32s(0, 1, 2, 3), []byte("a\xffc"))), structOf("a", views), "[map[a:a] <nil> map[a:c]]"},
		{"numbers that do not fit, in structs", record(raw(i64, 3, 0, nil, int64s(1, 1<<40, 3))), structOf("a", i8), "[map[a:1] <nil> map[a:3]]"},
		{"digits, in structs", record(raw(decimal(3, 0), 3, 0, nil, int64s(1, 0, 123456, 0, 3, 0))), structOf("a", decimal(3, 0)), "[map[a:1] <nil> map[a:3]]"},
		{"indices", record(array.NewDictionaryArray(words, raw(i8, 3, 0, nil, []byte{0, 99, 0}), letters)), structOf("a", text), "[map[a:x] <nil> map[a:x]]"},
		{"indices of another type", record(array.NewDictionaryArray(words, raw(i8, 3, 0, nil, []byte{0, 99, 0}), letters)),
			structOf("a", &arrow.DictionaryType{IndexType: i32, ValueType: text}), "[map[a:x] <nil> map[a:x]]"},
	} {
		got, err := convert(c.source, c.to)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		// What is still under the null may not be shown: the nulls of the parent are.
		if text := fmt.Sprint(asJSON(t, got)); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

// TestWhatDoesNotFitIsToldApart: a value too large for the output's type is the
// schema's fault, one too large for its own type is the value's.
func TestWhatDoesNotFitIsToldApart(t *testing.T) {
	many := int64s(123456, 0)
	for name, c := range map[string]struct {
		source arrow.Array
		to     arrow.DataType
		schema bool
	}{
		"an integer":                      {fromJSON(t, i64, `[300]`), i8, true},
		"a negative one":                  {fromJSON(t, i64, `[-129]`), i8, true},
		"an unsigned one":                 {fromJSON(t, u64, `[300]`), u8, true},
		"a float":                         {fromJSON(t, f64, `[1e300]`), f32, true},
		"an integer in a dictionary":      {fromJSON(t, &arrow.DictionaryType{IndexType: i8, ValueType: i64}, `[300]`), i8, true},
		"an integer in runs":              {fromJSON(t, runs, `[300]`), i8, true},
		"a list among pairs":              {fromJSON(t, arrow.ListOf(i64), `[[1, 2], [3]]`), pairs, true},
		"a value where none had a type":   {fromJSON(t, i64, `[1]`), arrow.Null, true},
		"a decimal for another width":     {fromJSON(t, decimal(38, 0), `["12345678901"]`), &arrow.Decimal32Type{Precision: 9}, true},
		"a decimal for another precision": {raw(decimal(6, 1), 1, 0, nil, many), decimal(5, 1), true},
		"digits beyond the type's own":    {raw(decimal(3, 1), 1, 0, nil, many), &arrow.Decimal256Type{Precision: 50, Scale: 1}, false},
		"digits that were never allowed":  {raw(decimal(3, 1), 1, 0, nil, many), decimal(3, 1), false},
		"more digits in 32 bits":          {raw(&arrow.Decimal32Type{Precision: 2}, 1, 0, nil, int32s(100)), &arrow.Decimal32Type{Precision: 2}, false},
		"more digits in 64 bits":          {raw(&arrow.Decimal64Type{Precision: 11}, 1, 0, nil, int64s(1<<40)), &arrow.Decimal64Type{Precision: 11}, false},
		"another type altogether":         {fromJSON(t, i64, `[1]`), text, false},
		"text as a number":                {fromJSON(t, text, `["1"]`), i64, false},
		"a list as a struct":              {fromJSON(t, arrow.ListOf(i64), `[[1]]`), structOf("a", i64), false},
		"a struct as a list":              {fromJSON(t, structOf("a", i64), `[{"a": 1}]`), arrow.ListOf(i64), false},
		"a struct of other fields":        {fromJSON(t, structOf("a", i64), `[{"a": 1}]`), structOf("b", i64), false},
		"a number as a decimal":           {fromJSON(t, i64, `[1]`), decimal(3, 1), false},
	} {
		var does *misfit
		var bad *badValue
		_, err := convert(c.source, c.to)
		if errors.As(err, &does) != c.schema || errors.As(err, &bad) == c.schema || err.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
