package parquet

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// misfit: a value that the stored type cannot hold, though another value of the
// same type could. The writer makes it a SchemaError.
type misfit struct{ reason string }

func (e *misfit) Error() string { return e.reason }

// badValue: a value that breaks the rules of its own type. The writer makes it
// a ValueError.
type badValue struct{ reason string }

func (e *badValue) Error() string { return e.reason }

const day = 24 * 60 * 60 * 1000 // milliseconds

// convert gives the array in a stored type, value by value the same. It is the
// caller's to release; it may share memory with the source. The two types must
// have been unified before; a value that does not fit is a *misfit.
func convert(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if wrapped, is := source.(array.ExtensionArray); is {
		return convert(wrapped.Storage(), to)
	}
	switch s := source.(type) {
	case *array.Dictionary:
		return decodeDictionary(s, to)
	case *array.RunEndEncoded:
		return decodeRuns(s, to)
	case *array.Null:
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, s.Len()), nil
	}
	switch to.ID() {
	case arrow.NULL:
		if source.NullN() < source.Len() {
			return nil, &misfit{"the column had no type while its first rows were written, and has values now"}
		}
		return array.NewNull(source.Len()), nil
	case arrow.LIST, arrow.LARGE_LIST, arrow.MAP:
		return convertList(source, to)
	case arrow.STRUCT:
		return convertStruct(source, to.(*arrow.StructType))
	case arrow.STRING, arrow.LARGE_STRING, arrow.BINARY, arrow.LARGE_BINARY:
		return convertBytes(source, to)
	case arrow.DECIMAL128, arrow.DECIMAL256:
		return convertDecimal(source, to.(arrow.DecimalType))
	}
	switch from := source.DataType().(type) {
	case *arrow.DurationType:
		return share(source, to), nil
	case *arrow.Date64Type:
		return mapValues(source, to, func(v int64) (int32, bool) {
			days := v / day
			if v%day < 0 {
				days-- // a time before 1970 belongs to the day that it is in
			}
			return int32(days), int64(int32(days)) == days
		})
	case *arrow.Time32Type:
		if from.Unit == arrow.Second {
			return mapValues(source, to, func(v int32) (int32, bool) { return v * 1000, v >= 0 && v <= day/1000 })
		}
	case *arrow.TimestampType:
		if from.Unit == arrow.Second {
			return mapValues(source, to, func(v int64) (int64, bool) {
				return v * 1000, v <= math.MaxInt64/1000 && v >= math.MinInt64/1000
			})
		}
	}
	if arrow.TypeEqual(source.DataType(), to) {
		source.Retain()
		return source, nil
	}
	return convertNumber(source, to)
}

// share gives the same memory under another type of the same layout.
func share(source arrow.Array, to arrow.DataType) arrow.Array {
	from := source.Data()
	data := array.NewData(to, from.Len(), from.Buffers(), from.Children(), source.NullN(), from.Offset())
	defer data.Release()
	return array.MakeFromData(data)
}

// validity gives the validity bits of an array from bit 0 on, nil when all are
// valid. The caller releases it.
func validity(source arrow.Array) *memory.Buffer {
	bits := source.NullBitmapBytes()
	if source.NullN() == 0 || len(bits) == 0 {
		return nil
	}
	out := memory.NewResizableBuffer(memory.DefaultAllocator)
	out.Resize(int(bitutil.BytesForBits(int64(source.Len()))))
	bitutil.CopyBitmap(bits, source.Data().Offset(), source.Len(), out.Bytes(), 0)
	return out
}

// assemble makes an array of buffers (validity first) and children, and gives
// the buffers up to it.
func assemble(to arrow.DataType, length, nulls int, buffers []*memory.Buffer, children []arrow.ArrayData) arrow.Array {
	data := array.NewData(to, length, buffers, children, nulls, 0)
	for _, buffer := range buffers {
		if buffer != nil {
			buffer.Release()
		}
	}
	defer data.Release()
	return array.MakeFromData(data)
}

// mapValues makes a new fixed-width array. A value for which change says false
// is out of range; nulls are not asked.
func mapValues[F, T arrow.FixedWidthType](source arrow.Array, to arrow.DataType, change func(F) (T, bool)) (arrow.Array, error) {
	return mapOr(source, to, change, func(v F) error {
		return &badValue{fmt.Sprintf("%v is out of the range of %s", v, to)}
	})
}

func mapOr[F, T arrow.FixedWidthType](source arrow.Array, to arrow.DataType, change func(F) (T, bool), fail func(F) error) (arrow.Array, error) {
	in := arrow.GetValues[F](source.Data(), 1)
	out := make([]T, source.Len())
	for i, v := range in {
		changed, fits := change(v)
		if !fits && source.IsValid(i) {
			return nil, fail(v)
		}
		out[i] = changed
	}
	values := memory.NewBufferBytes(arrow.GetBytes(out))
	return assemble(to, source.Len(), source.NullN(), []*memory.Buffer{validity(source), values}, nil), nil
}

// convertNumber widens, or narrows where every value fits.
func convertNumber(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	switch source.DataType().ID() {
	case arrow.INT8:
		return fromInteger[int8](source, to)
	case arrow.INT16:
		return fromInteger[int16](source, to)
	case arrow.INT32:
		return fromInteger[int32](source, to)
	case arrow.INT64:
		return fromInteger[int64](source, to)
	case arrow.UINT8:
		return fromInteger[uint8](source, to)
	case arrow.UINT16:
		return fromInteger[uint16](source, to)
	case arrow.UINT32:
		return fromInteger[uint32](source, to)
	case arrow.UINT64:
		return fromInteger[uint64](source, to)
	case arrow.FLOAT16:
		return fromFloat(source, to, func(v float16.Num) float64 { return float64(v.Float32()) })
	case arrow.FLOAT32:
		return fromFloat(source, to, func(v float32) float64 { return float64(v) })
	case arrow.FLOAT64:
		return fromFloat(source, to, func(v float64) float64 { return v })
	}
	return nil, unreachable(source, to)
}

// unreachable: the two types were never unified. It is a mistake in this
// package, told instead of written.
func unreachable(source arrow.Array, to arrow.DataType) error {
	return &badValue{fmt.Sprintf("%s cannot be stored as %s", source.DataType(), to)}
}

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

func fromInteger[F integer](source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	switch to.ID() {
	case arrow.INT8:
		return integerTo[F, int8](source, to)
	case arrow.INT16:
		return integerTo[F, int16](source, to)
	case arrow.INT32:
		return integerTo[F, int32](source, to)
	case arrow.INT64:
		return integerTo[F, int64](source, to)
	case arrow.UINT8:
		return integerTo[F, uint8](source, to)
	case arrow.UINT16:
		return integerTo[F, uint16](source, to)
	case arrow.UINT32:
		return integerTo[F, uint32](source, to)
	case arrow.UINT64:
		return integerTo[F, uint64](source, to)
	}
	return nil, unreachable(source, to)
}

func integerTo[F, T integer](source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	return mapOr(source, to, func(v F) (T, bool) { t := T(v); return t, F(t) == v && (t < 0) == (v < 0) },
		func(v F) error { return &misfit{fmt.Sprintf("%d does not fit", v)} })
}

func fromFloat[F float16.Num | float32 | float64](source arrow.Array, to arrow.DataType, read func(F) float64) (arrow.Array, error) {
	fail := func(v F) error { return &misfit{fmt.Sprintf("%v cannot be stored without loss", read(v))} }
	same := func(v F, back float64) bool { return back == read(v) || math.IsNaN(read(v)) }
	switch to.ID() {
	case arrow.FLOAT16:
		return mapOr(source, to, func(v F) (float16.Num, bool) {
			narrow := float16.New(float32(read(v)))
			return narrow, same(v, float64(narrow.Float32()))
		}, fail)
	case arrow.FLOAT32:
		return mapOr(source, to, func(v F) (float32, bool) {
			narrow := float32(read(v))
			return narrow, same(v, float64(narrow))
		}, fail)
	case arrow.FLOAT64:
		return mapOr(source, to, func(v F) (float64, bool) { return read(v), true }, fail)
	}
	return nil, unreachable(source, to)
}

// convertDecimal also checks each value against its precision: the encoder cuts
// a number to the bytes that its precision needs.
func convertDecimal(source arrow.Array, to arrow.DecimalType) (arrow.Array, error) {
	from, is := source.DataType().(arrow.DecimalType)
	if !is {
		return nil, unreachable(source, to)
	}
	fail := func(text string) error {
		if from.GetPrecision() > to.GetPrecision() {
			return &misfit{text + " does not fit"}
		}
		return &badValue{fmt.Sprintf("%s has more digits than %s allows", text, from)}
	}
	narrow := func(v decimal128.Num) (decimal128.Num, bool) { return v, fits128(v, to.GetPrecision()) }
	if to.ID() == arrow.DECIMAL256 {
		wide := func(v decimal256.Num) (decimal256.Num, bool) { return v, fits256(v, to.GetPrecision()) }
		if from.ID() == arrow.DECIMAL256 {
			return mapOr(source, to, wide, func(v decimal256.Num) error { return fail(v.ToString(from.GetScale())) })
		}
		plain, err := convertDecimal(source, &arrow.Decimal128Type{Precision: from.GetPrecision(), Scale: from.GetScale()})
		if err != nil {
			return nil, err
		}
		defer plain.Release()
		return mapOr(plain, to, func(v decimal128.Num) (decimal256.Num, bool) { return decimal256.FromDecimal128(v), true },
			func(v decimal128.Num) error { return fail(v.ToString(from.GetScale())) })
	}
	switch from.ID() {
	case arrow.DECIMAL32:
		return mapOr(source, to, func(v int32) (decimal128.Num, bool) { return narrow(decimal128.FromI64(int64(v))) },
			func(v int32) error { return fail(decimal128.FromI64(int64(v)).ToString(from.GetScale())) })
	case arrow.DECIMAL64:
		return mapOr(source, to, func(v int64) (decimal128.Num, bool) { return narrow(decimal128.FromI64(v)) },
			func(v int64) error { return fail(decimal128.FromI64(v).ToString(from.GetScale())) })
	case arrow.DECIMAL128:
		return mapOr(source, to, narrow, func(v decimal128.Num) error { return fail(v.ToString(from.GetScale())) })
	}
	// A wide decimal into a narrow file: only values with few enough digits.
	return mapOr(source, to, func(v decimal256.Num) (decimal128.Num, bool) {
		if !fits256(v, to.GetPrecision()) {
			return decimal128.Num{}, false
		}
		words := v.Array()
		return decimal128.New(int64(words[1]), words[0]), true
	}, func(v decimal256.Num) error { return fail(v.ToString(from.GetScale())) })
}

// The smallest number of two's complement has no counterpart above zero, so it
// is asked for before the absolute value is taken.
func fits128(v decimal128.Num, precision int32) bool {
	return !(v.Sign() < 0 && v.Negate() == v) && v.FitsInPrecision(precision)
}

func fits256(v decimal256.Num, precision int32) bool {
	return !(v.Sign() < 0 && v.Negate() == v) && v.FitsInPrecision(precision)
}

// convertBytes changes between 32 and 64 bit offsets and from views, and proves
// that text is UTF-8: one broken string makes other readers refuse the file.
func convertBytes(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if plain, is := source.(array.BinaryLike); is {
		if err := checkOffsets(plain); err != nil {
			return nil, err
		}
	}
	if to.ID() == arrow.STRING || to.ID() == arrow.LARGE_STRING {
		if err := checkText(source); err != nil {
			return nil, err
		}
	}
	if arrow.TypeEqual(source.DataType(), to) {
		source.Retain()
		return source, nil
	}
	if view, is := source.(array.ViewLike); is {
		return plainBytes(view, to)
	}
	text, is := source.(array.BinaryLike)
	if !is {
		return nil, unreachable(source, to)
	}
	values := source.Data().Buffers()[2]
	if values != nil {
		values.Retain()
	}
	n := source.Len()
	var offsets *memory.Buffer
	if to.ID() == arrow.LARGE_STRING || to.ID() == arrow.LARGE_BINARY {
		wide := make([]int64, n+1)
		for i := range n {
			wide[i] = text.ValueOffset64(i)
		}
		wide[n] = end(text)
		offsets = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(wide))
	} else {
		base := int64(0)
		if n > 0 {
			base = text.ValueOffset64(0)
		}
		if end(text)-base > math.MaxInt32 {
			return nil, &badValue{"a batch's text of more than 2 GiB"}
		}
		narrow := make([]int32, n+1)
		for i := range n {
			narrow[i] = int32(text.ValueOffset64(i) - base)
		}
		narrow[n] = int32(end(text) - base)
		offsets = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(narrow))
		if values != nil {
			whole := values
			values = memory.SliceBuffer(whole, int(base), int(end(text)-base))
			whole.Release()
		}
	}
	return assemble(to, n, source.NullN(), []*memory.Buffer{validity(source), offsets, values}, nil), nil
}

// checkOffsets proves that each value ends where the next begins, inside of the
// bytes: an encoder in the middle of a page could only panic.
func checkOffsets(plain array.BinaryLike) error {
	if plain.Len() == 0 {
		return nil
	}
	limit := int64(0)
	if values := plain.Data().Buffers()[2]; values != nil {
		limit = int64(values.Len())
	}
	before := int64(0)
	for i := range plain.Len() {
		at := plain.ValueOffset64(i)
		if at < before {
			return &badValue{fmt.Sprintf("value %d begins at byte %d, before the one in front of it", i, at)}
		}
		before = at
	}
	if last := end(plain); last < before || last > limit {
		return &badValue{fmt.Sprintf("its values end at byte %d of %d", last, limit)}
	}
	return nil
}

// end is the offset behind the last value.
func end(text array.BinaryLike) int64 {
	if text.Len() == 0 {
		return 0
	}
	return text.ValueOffset64(text.Len()-1) + int64(text.ValueLen(text.Len()-1))
}

func plainBytes(view array.ViewLike, to arrow.DataType) (arrow.Array, error) {
	builder := array.NewBuilder(memory.DefaultAllocator, to)
	defer builder.Release()
	builder.Reserve(view.Len())
	add, is := builder.(interface{ Append([]byte) })
	if !is {
		addText := builder.(interface{ Append(string) })
		text, isText := view.(*array.StringView)
		if !isText {
			return nil, unreachable(view, to)
		}
		for i := range text.Len() {
			if text.IsNull(i) {
				builder.AppendNull()
			} else {
				addText.Append(text.Value(i))
			}
		}
		return builder.NewArray(), nil
	}
	bytes, isBytes := view.(*array.BinaryView)
	if !isBytes {
		return nil, unreachable(view, to)
	}
	for i := range bytes.Len() {
		if bytes.IsNull(i) {
			builder.AppendNull()
		} else {
			add.Append(bytes.Value(i))
		}
	}
	return builder.NewArray(), nil
}

// checkText looks at all values at once where it can: valid bytes, cut at the
// beginnings of runes, are valid values.
func checkText(source arrow.Array) error {
	text, is := source.(array.StringLike)
	if !is {
		return &badValue{fmt.Sprintf("%s is not text", source.DataType())}
	}
	if plain, is := source.(array.BinaryLike); is && source.Len() > 0 && source.Data().Buffers()[2] != nil {
		bytes := source.Data().Buffers()[2].Bytes()
		first, last := plain.ValueOffset64(0), end(plain)
		if utf8.Valid(bytes[first:last]) {
			cut := false
			for i := 1; i < source.Len(); i++ {
				if at := plain.ValueOffset64(i); at < last && !utf8.RuneStart(bytes[at]) {
					cut = true
					break
				}
			}
			if !cut {
				return nil
			}
		}
	}
	for i := range source.Len() {
		if source.IsValid(i) && !utf8.ValidString(text.Value(i)) {
			return &badValue{fmt.Sprintf("row %d of it is not UTF-8 text (store bytes as binary)", i)}
		}
	}
	return nil
}
