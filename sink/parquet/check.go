package parquet

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
)

const (
	dayMillis  = 24 * 60 * 60 * 1000
	daySeconds = 24 * 60 * 60
)

// check proves that values are what their type allows, before any of them is
// held back or encoded: a *badValue. What no row sees, under a null or between
// lists, is not looked at. The encoder checks the rest.
func check(source arrow.Array) error {
	switch s := source.(type) {
	case array.ExtensionArray:
		return check(s.Storage())
	case *array.Dictionary:
		return checkDictionary(s)
	case *array.RunEndEncoded:
		values := s.LogicalValuesArray()
		defer values.Release()
		return check(values)
	case array.ListLike:
		return checkLists(s)
	case *array.Struct:
		return checkStruct(s)
	case *array.StringView:
		return checkEachText(s)
	case array.BinaryLike:
		return checkPlain(s)
	}
	switch t := source.DataType().(type) {
	case *arrow.Date64Type:
		return checkEach(source, func(v int64) bool { return v/dayMillis <= math.MaxInt32 && v/dayMillis > math.MinInt32 })
	case *arrow.Time32Type:
		if t.Unit == arrow.Second {
			return checkEach(source, func(v int32) bool { return v >= 0 && v <= daySeconds })
		}
	case *arrow.TimestampType:
		if t.Unit == arrow.Second { // Parquet counts milliseconds
			return checkEach(source, func(v int64) bool { return v <= math.MaxInt64/1000 && v >= math.MinInt64/1000 })
		}
	case *arrow.MonthIntervalType:
		return checkInterval(source, func(v arrow.MonthInterval) bool { return v >= 0 })
	case *arrow.DayTimeIntervalType:
		return checkInterval(source, func(v arrow.DayTimeInterval) bool { return v.Days >= 0 && v.Milliseconds >= 0 })
	case *arrow.MonthDayNanoIntervalType:
		return checkInterval(source, func(v arrow.MonthDayNanoInterval) bool { return v.Months >= 0 && v.Days >= 0 && v.Nanoseconds >= 0 })
	case arrow.DecimalType:
		return checkDecimal(source, t)
	}
	return nil
}

// checkInterval: Parquet's INTERVAL is three unsigned numbers. duckdb (2.0) takes
// minus one millisecond for 49 days, others the whole for something else.
func checkInterval[T arrow.FixedWidthType](source arrow.Array, positive func(T) bool) error {
	for i, v := range arrow.GetValues[T](source.Data(), 1) {
		if !positive(v) && source.IsValid(i) {
			return &badValue{fmt.Sprintf("the interval %v has a negative part, which Parquet cannot hold (store a duration)", v)}
		}
	}
	return nil
}

// unchecked tells whether check would look at nothing in a leaf of this type, so
// that lists need not be followed down to it.
func unchecked(dataType arrow.DataType) bool {
	switch t := dataType.(type) {
	case *arrow.Time32Type:
		return t.Unit != arrow.Second
	case *arrow.TimestampType:
		return t.Unit != arrow.Second
	case *arrow.NullType, *arrow.BooleanType, *arrow.FixedSizeBinaryType, *arrow.Date32Type, *arrow.Time64Type, *arrow.DurationType:
		return true
	}
	return numberRank[dataType.ID()] != number{}
}

func checkEach[T arrow.FixedWidthType](source arrow.Array, allowed func(T) bool) error {
	for i, v := range arrow.GetValues[T](source.Data(), 1) {
		if !allowed(v) && source.IsValid(i) {
			return &badValue{fmt.Sprintf("%v is out of the range of %s", v, source.DataType())}
		}
	}
	return nil
}

func tooManyDigits(text string, dataType arrow.DataType) error {
	return &badValue{fmt.Sprintf("%s has more digits than %s allows", text, dataType)}
}

// checkDecimal: the encoder cuts a number to the bytes that its precision needs,
// which may hold more digits than that.
func checkDecimal(source arrow.Array, t arrow.DecimalType) error {
	precision, scale := t.GetPrecision(), t.GetScale()
	switch t.ID() {
	case arrow.DECIMAL32:
		return checkDigits(source, func(v int32) bool { return fits128(decimal128.FromI64(int64(v)), precision) },
			func(v int32) string { return decimal128.FromI64(int64(v)).ToString(scale) })
	case arrow.DECIMAL64:
		return checkDigits(source, func(v int64) bool { return fits128(decimal128.FromI64(v), precision) },
			func(v int64) string { return decimal128.FromI64(v).ToString(scale) })
	case arrow.DECIMAL128:
		return checkDigits(source, func(v decimal128.Num) bool { return fits128(v, precision) },
			func(v decimal128.Num) string { return v.ToString(scale) })
	}
	return checkDigits(source, func(v decimal256.Num) bool { return fits256(v, precision) },
		func(v decimal256.Num) string { return v.ToString(scale) })
}

func checkDigits[T arrow.FixedWidthType](source arrow.Array, fits func(T) bool, text func(T) string) error {
	for i, v := range arrow.GetValues[T](source.Data(), 1) {
		if !fits(v) && source.IsValid(i) {
			return tooManyDigits(text(v), source.DataType())
		}
	}
	return nil
}

func checkDictionary(source *array.Dictionary) error {
	if err := check(source.Dictionary()); err != nil {
		return err
	}
	return eachIndex(source, func(int, int) {})
}

// eachIndex gives row and index of each row that is not null, as long as they
// lead into the dictionary.
func eachIndex(source *array.Dictionary, visit func(row, index int)) error {
	values := source.Dictionary().Len()
	for i := range source.Len() {
		if source.IsNull(i) {
			continue
		}
		at := source.GetValueIndex(i)
		if at < 0 || at >= values {
			return &badValue{fmt.Sprintf("index %d leads outside of the dictionary of %d values", at, values)}
		}
		visit(i, at)
	}
	return nil
}

func checkLists(list array.ListLike) error {
	_, runs, err := listRuns(list)
	if err != nil || unchecked(list.ListValues().DataType()) {
		return err
	}
	for _, r := range runs {
		elements := array.NewSlice(list.ListValues(), r.start, r.end)
		err := check(elements)
		elements.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func checkStruct(source *array.Struct) error {
	for i := range source.NumField() {
		field := hide(source.Field(i), source)
		err := check(field)
		field.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPlain proves that each value ends where the next begins, inside of the bytes
// (an encoder in the middle of a page could only panic), and that text is UTF-8: one
// broken string makes other readers refuse the file.
func checkPlain(plain array.BinaryLike) error {
	if plain.Len() == 0 {
		return nil
	}
	var bytes []byte
	if values := plain.Data().Buffers()[2]; values != nil {
		bytes = values.Bytes()
	}
	var whole bool
	var err error
	switch plain.(type) {
	case *array.String, *array.Binary:
		whole, err = checkValues(arrow.GetOffsets[int32](plain.Data(), 1), bytes, isText(plain.DataType()))
	default:
		whole, err = checkValues(arrow.GetOffsets[int64](plain.Data(), 1), bytes, isText(plain.DataType()))
	}
	if err != nil || whole {
		return err
	}
	return checkEachText(plain)
}

// checkValues looks at all values at once; offsets has one more than there are
// values. An error tells that they are not one behind the other, inside of bytes.
// whole tells that nothing is wrong; without it some text is not UTF-8, which may
// still be under a null. Valid bytes, cut at the beginnings of runes, are valid values.
func checkValues[T int32 | int64](offsets []T, bytes []byte, text bool) (whole bool, err error) {
	falls := offsets[0]
	for i, offset := range offsets[1:] {
		falls |= offset | (offset - offsets[i])
	}
	last := len(offsets) - 1
	if falls < 0 {
		if err := descending(offsets[:last]); err != nil {
			return false, err
		}
	}
	first, end := int64(offsets[0]), int64(offsets[last])
	if falls < 0 || end > int64(len(bytes)) {
		return false, &badValue{fmt.Sprintf("its values end at byte %d of %d", end, len(bytes))}
	}
	bytes = bytes[:end]
	if !text || ascii(bytes[first:]) {
		return true, nil
	}
	if !utf8.Valid(bytes[first:]) {
		return false, nil
	}
	for _, at := range offsets[1:last] {
		if int64(at) < end && !utf8.RuneStart(bytes[at]) {
			return false, nil
		}
	}
	return true, nil
}

// descending says which value begins before the one in front of it, or before the
// bytes.
func descending[T int32 | int64](offsets []T) error {
	before := T(0)
	for i, at := range offsets {
		if at < before {
			return &badValue{fmt.Sprintf("value %d begins at byte %d, before the one in front of it", i, at)}
		}
		before = at
	}
	return nil
}

// ascii tells whether no byte is above 127: most text is of this kind, and needs no
// closer look.
func ascii(bytes []byte) bool {
	const high = 0x8080808080808080
	for ; len(bytes) >= 32; bytes = bytes[32:] {
		if (binary.NativeEndian.Uint64(bytes)|binary.NativeEndian.Uint64(bytes[8:])|
			binary.NativeEndian.Uint64(bytes[16:])|binary.NativeEndian.Uint64(bytes[24:]))&high != 0 {
			return false
		}
	}
	for _, b := range bytes {
		if b > 127 {
			return false
		}
	}
	return true
}

func checkEachText(source arrow.Array) error {
	text, is := source.(array.StringLike)
	if !is {
		return &badValue{fmt.Sprintf("%s is not text", source.DataType())}
	}
	for i := range source.Len() {
		if source.IsValid(i) && !utf8.ValidString(text.Value(i)) {
			return &badValue{fmt.Sprintf("row %d of it is not UTF-8 text (store bytes as binary)", i)}
		}
	}
	return nil
}
