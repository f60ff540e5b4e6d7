package parquet

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
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

// convert gives the array in another type, value by value the same, once it is
// known that its values are what their type allows. It is the caller's to
// release; it may share memory with the source. The two types must have been
// unified before; a value that does not fit is a *misfit.
func convert(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if data, same := relabel(source.Data(), to); same {
		defer data.Release()
		as := array.MakeFromData(data)
		if err := check(as); err != nil {
			as.Release()
			return nil, err
		}
		return as, nil
	}
	if wrapped, is := source.(array.ExtensionArray); is {
		return convert(wrapped.Storage(), to)
	}
	if _, is := source.(*array.Null); is {
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, source.Len()), nil
	}
	switch t := to.(type) {
	case *arrow.DictionaryType:
		return toDictionary(source, t)
	case *arrow.RunEndEncodedType:
		return toRuns(source, t)
	}
	switch s := source.(type) {
	case *array.Dictionary:
		return decodeDictionary(s, to)
	case *array.RunEndEncoded:
		return decodeRuns(s, to)
	}
	switch to.ID() {
	case arrow.NULL:
		if source.NullN() < source.Len() {
			return nil, &misfit{"the column had no type while its first rows were written, and has values now"}
		}
		return array.NewNull(source.Len()), nil
	case arrow.LIST, arrow.LARGE_LIST, arrow.LIST_VIEW, arrow.LARGE_LIST_VIEW, arrow.FIXED_SIZE_LIST, arrow.MAP:
		return convertList(source, to)
	case arrow.STRUCT:
		return convertStruct(source, to.(*arrow.StructType))
	}
	switch t := to.(type) {
	case arrow.DecimalType:
		return convertDecimal(source, t)
	}
	if isText(to) || isBytes(to) {
		return convertBytes(source, to)
	}
	return convertNumber(source, to)
}

// relabel gives the same memory under another type, where the two differ only in
// what is written beside the values: extension types, names inside of lists and
// maps, whether nulls are allowed, whether a dictionary is ordered. The caller
// releases it.
func relabel(data arrow.ArrayData, to arrow.DataType) (arrow.ArrayData, bool) {
	from := data.DataType()
	if arrow.TypeEqual(from, to) {
		data.Retain()
		return data, true
	}
	for {
		extension, is := from.(arrow.ExtensionType)
		if !is {
			break
		}
		from = extension.StorageType()
	}
	if from.ID() != to.ID() {
		return nil, false
	}
	var fields []arrow.Field
	switch t := to.(type) {
	case *arrow.StructType:
		f := from.(*arrow.StructType)
		if f.NumFields() != t.NumFields() {
			return nil, false
		}
		for i, field := range t.Fields() {
			if f.Field(i).Name != field.Name {
				return nil, false
			}
		}
		fields = t.Fields()
	case *arrow.MapType:
		return relabelMap(data, t)
	case *arrow.FixedSizeListType:
		if from.(*arrow.FixedSizeListType).Len() != t.Len() {
			return nil, false
		}
		fields = t.Fields()
	case *arrow.DictionaryType:
		if !arrow.TypeEqual(from.(*arrow.DictionaryType).IndexType, t.IndexType) {
			return nil, false
		}
		values, same := relabel(data.Dictionary(), t.ValueType)
		if !same {
			return nil, false
		}
		defer values.Release()
		return array.NewDataWithDictionary(to, data.Len(), data.Buffers(), data.NullN(), data.Offset(), values.(*array.Data)), true
	case arrow.ListLikeType:
		fields = []arrow.Field{t.ElemField()}
	default:
		if !arrow.TypeEqual(from, to) {
			return nil, false
		}
		return array.NewData(to, data.Len(), data.Buffers(), data.Children(), data.NullN(), data.Offset()), true
	}
	return relabelChildren(data, to, fields)
}

func relabelChildren(data arrow.ArrayData, to arrow.DataType, fields []arrow.Field) (arrow.ArrayData, bool) {
	if len(data.Children()) != len(fields) {
		return nil, false
	}
	children := make([]arrow.ArrayData, 0, len(fields))
	defer func() {
		for _, child := range children {
			child.Release()
		}
	}()
	for i, field := range fields {
		child, same := relabel(data.Children()[i], field.Type)
		if !same {
			return nil, false
		}
		children = append(children, child)
	}
	return array.NewData(to, data.Len(), data.Buffers(), children, data.NullN(), data.Offset()), true
}

// relabelMap takes key and value by their places: their names differ from one
// writer to the next.
func relabelMap(data arrow.ArrayData, to *arrow.MapType) (arrow.ArrayData, bool) {
	if len(data.Children()) != 1 {
		return nil, false
	}
	entries, same := relabelChildren(data.Children()[0], to.Elem(), []arrow.Field{to.KeyField(), to.ItemField()})
	if !same {
		return nil, false
	}
	defer entries.Release()
	return array.NewData(to, data.Len(), data.Buffers(), []arrow.ArrayData{entries}, data.NullN(), data.Offset()), true
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

// mapOr makes a new fixed-width array. Where change says false the value is one
// for fail; nulls are not asked.
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
