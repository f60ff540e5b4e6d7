package parquet

import (
	"context"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// run is a stretch of child elements, [start, end).
type run struct{ start, end int64 }

// convertList makes any kind of list one with 32 or 64 bit offsets, or a map.
// Elements that belong to no list (under a null, or between lists) are dropped:
// Arrow allows them, Parquet has no place for them.
func convertList(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	list, is := source.(array.ListLike)
	if !is {
		return nil, unreachable(source, to)
	}
	n := source.Len()
	offsets := make([]int64, n+1)
	var runs []run
	for i := range n {
		offsets[i+1] = offsets[i]
		if source.IsNull(i) {
			continue
		}
		start, end := list.ValueOffsets(i)
		if end < start || start < 0 || end > int64(list.ListValues().Len()) {
			return nil, &badValue{fmt.Sprintf("list %d lies outside of its elements", i)}
		}
		if end == start {
			continue
		}
		offsets[i+1] += end - start
		if last := len(runs) - 1; last >= 0 && runs[last].end == start {
			runs[last].end = end
		} else {
			runs = append(runs, run{start, end})
		}
	}
	var elementType arrow.DataType
	switch t := to.(type) {
	case *arrow.MapType:
		elementType = t.Elem()
	case arrow.ListLikeType:
		elementType = t.Elem()
	}
	elements, err := gather(list.ListValues(), runs, elementType)
	if err != nil {
		return nil, err
	}
	defer elements.Release()
	var positions *memory.Buffer
	if to.ID() == arrow.LARGE_LIST {
		positions = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(offsets))
	} else {
		if offsets[n] > math.MaxInt32 {
			return nil, &badValue{fmt.Sprintf("lists of %d elements together", offsets[n])}
		}
		narrow := make([]int32, n+1)
		for i, offset := range offsets {
			narrow[i] = int32(offset)
		}
		positions = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(narrow))
	}
	return assemble(to, n, source.NullN(), []*memory.Buffer{validity(source), positions}, []arrow.ArrayData{elements.Data()}), nil
}

// gather gives the elements of the runs, one behind the other, in a stored type.
func gather(elements arrow.Array, runs []run, to arrow.DataType) (arrow.Array, error) {
	parts := make([]arrow.Array, 0, len(runs))
	defer func() {
		for _, part := range parts {
			part.Release()
		}
	}()
	for _, r := range runs {
		slice := array.NewSlice(elements, r.start, r.end)
		part, err := convert(slice, to)
		slice.Release()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	switch len(parts) {
	case 0:
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, 0), nil
	case 1:
		parts[0].Retain()
		return parts[0], nil
	}
	return array.Concatenate(parts, memory.DefaultAllocator)
}

// convertStruct matches fields by name. The keys and values of a map are matched
// by position: their names differ from one writer to the next.
func convertStruct(source arrow.Array, to *arrow.StructType) (arrow.Array, error) {
	from, is := source.(*array.Struct)
	if !is {
		return nil, unreachable(source, to)
	}
	fromType := from.DataType().(*arrow.StructType)
	entries := to.NumFields() == 2 && to.Field(0).Name == "key" && !to.Field(0).Nullable
	children := make([]arrow.ArrayData, to.NumFields())
	for i, field := range to.Fields() {
		at := i
		if !entries {
			found, there := fromType.FieldIdx(field.Name)
			if !there {
				return nil, unreachable(source, to)
			}
			at = found
		}
		child, err := convertField(from.Field(at), field.Type, from)
		if err != nil {
			return nil, err
		}
		defer child.Release()
		children[i] = child.Data()
	}
	return assemble(to, from.Len(), from.NullN(), []*memory.Buffer{validity(from)}, children), nil
}

// convertField also makes null what lies under a null of the parent. Arrow says
// nothing about those values, and pqarrow takes them for the next ones that are
// there when a decimal or float16 field has no nulls of its own.
func convertField(field arrow.Array, to arrow.DataType, parent *array.Struct) (arrow.Array, error) {
	if parent.NullN() == 0 {
		return convert(field, to)
	}
	for {
		wrapped, is := field.(array.ExtensionArray)
		if !is {
			break
		}
		field = wrapped.Storage()
	}
	switch field.(type) {
	case *array.Struct, array.ListLike: // before, so that the nulls go down to the leaves
		hidden := hide(field, parent)
		defer hidden.Release()
		return convert(hidden, to)
	}
	child, err := convert(field, to)
	if err != nil || to.ID() == arrow.NULL {
		return child, err
	}
	defer child.Release()
	return hide(child, parent), nil
}

// hide gives the field with the nulls of its parent added to its own.
func hide(field arrow.Array, parent *array.Struct) arrow.Array {
	data, above := field.Data(), parent.Data()
	offset, length := data.Offset(), field.Len()
	bits := memory.NewResizableBuffer(memory.DefaultAllocator)
	defer bits.Release()
	bits.Resize(int(bitutil.BytesForBits(int64(offset + length))))
	if own := field.NullBitmapBytes(); field.NullN() > 0 && len(own) > 0 {
		bitutil.BitmapAnd(own, parent.NullBitmapBytes(), int64(offset), int64(above.Offset()), bits.Bytes(), int64(offset), int64(length))
	} else {
		bitutil.CopyBitmap(parent.NullBitmapBytes(), above.Offset(), length, bits.Bytes(), offset)
	}
	buffers := append([]*memory.Buffer{bits}, data.Buffers()[1:]...)
	nulls := length - bitutil.CountSetBits(bits.Bytes(), offset, length)
	hidden := array.NewData(field.DataType(), length, buffers, data.Children(), nulls, offset)
	defer hidden.Release()
	return array.MakeFromData(hidden)
}

// decodeDictionary gives the values that the indices stand for. A null may be in
// the indices or in the dictionary.
func decodeDictionary(source *array.Dictionary, to arrow.DataType) (arrow.Array, error) {
	values, err := convert(source.Dictionary(), to)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	indices := source.Indices()
	return take(values, indices)
}

// decodeRuns repeats each run's value.
func decodeRuns(source *array.RunEndEncoded, to arrow.DataType) (arrow.Array, error) {
	values, err := convert(source.Values(), to)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	indices := make([]int64, source.Len())
	for i := range indices {
		indices[i] = int64(source.GetPhysicalIndex(i))
	}
	data := array.NewData(arrow.PrimitiveTypes.Int64, len(indices),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(indices))}, nil, 0, 0)
	defer data.Release()
	positions := array.NewInt64Data(data)
	defer positions.Release()
	return take(values, positions)
}

func take(values, indices arrow.Array) (arrow.Array, error) {
	if values.DataType().ID() == arrow.NULL {
		return array.NewNull(indices.Len()), nil
	}
	taken, err := compute.TakeArrayOpts(context.Background(), values, indices, compute.TakeOptions{BoundsCheck: true})
	if err != nil {
		return nil, &badValue{fmt.Sprintf("an index leads outside of the dictionary: %v", err)}
	}
	return taken, nil
}

// clone copies an array of a stored type into memory of its own, and only the
// part that the array covers.
func clone(source arrow.Array) (arrow.Array, error) {
	if source.DataType().ID() == arrow.NULL {
		return array.NewNull(source.Len()), nil
	}
	return array.Concatenate([]arrow.Array{source}, memory.DefaultAllocator)
}
