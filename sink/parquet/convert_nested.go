package parquet

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// run is a stretch of child elements, [start, end).
type run struct{ start, end int64 }

// listRuns gives where each list ends when the elements of all follow one
// another, n+1 offsets from 0, and which elements those are. Elements that belong
// to no list (under a null, or between lists) are in no run: Arrow allows them,
// Parquet has no place for them.
func listRuns(list array.ListLike) (offsets []int64, runs []run, err error) {
	n, elements := list.Len(), int64(list.ListValues().Len())
	offsets = make([]int64, n+1)
	for i := range n {
		offsets[i+1] = offsets[i]
		if list.IsNull(i) {
			continue
		}
		start, end := list.ValueOffsets(i)
		if end < start || start < 0 || end > elements {
			return nil, nil, &badValue{fmt.Sprintf("list %d lies outside of its elements", i)}
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
	return offsets, runs, nil
}

// convertList makes any kind of list another one, or a map.
func convertList(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	list, is := source.(array.ListLike)
	if !is {
		return nil, unreachable(source, to)
	}
	offsets, runs, err := listRuns(list)
	if err != nil {
		return nil, err
	}
	if fixed, is := to.(*arrow.FixedSizeListType); is {
		return convertFixedLists(list, offsets, runs, fixed)
	}
	elements, err := gather(list.ListValues(), runs, to.(arrow.ListLikeType).Elem())
	if err != nil {
		return nil, err
	}
	defer elements.Release()
	n := source.Len()
	var positions []*memory.Buffer
	switch to.ID() {
	case arrow.LARGE_LIST:
		positions = []*memory.Buffer{wide(offsets)}
	case arrow.LARGE_LIST_VIEW:
		positions = []*memory.Buffer{wide(offsets[:n]), wide(sizes(offsets))}
	default:
		if offsets[n] > math.MaxInt32 {
			return nil, &badValue{fmt.Sprintf("lists of %d elements together", offsets[n])}
		}
		positions = []*memory.Buffer{narrow(offsets)}
		if to.ID() == arrow.LIST_VIEW {
			positions = []*memory.Buffer{narrow(offsets[:n]), narrow(sizes(offsets))}
		}
	}
	return assemble(to, n, source.NullN(), append([]*memory.Buffer{validity(source)}, positions...), []arrow.ArrayData{elements.Data()}), nil
}

func sizes(offsets []int64) []int64 {
	sizes := make([]int64, len(offsets)-1)
	for i := range sizes {
		sizes[i] = offsets[i+1] - offsets[i]
	}
	return sizes
}

func wide(values []int64) *memory.Buffer {
	return memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(values))
}

func narrow(values []int64) *memory.Buffer {
	out := make([]int32, len(values))
	for i, v := range values {
		out[i] = int32(v)
	}
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(out))
}

// convertFixedLists makes lists of one size, when they are of that size.
func convertFixedLists(list array.ListLike, offsets []int64, runs []run, to *arrow.FixedSizeListType) (arrow.Array, error) {
	// A null takes the room of a list, so elements are picked one by one.
	size := int(to.Len())
	positions := make([]int, 0, list.Len()*size)
	for i := range list.Len() {
		null := list.IsNull(i)
		if n := int(offsets[i+1] - offsets[i]); !null && n != size {
			return nil, &misfit{fmt.Sprintf("a list of %d elements among lists of %d", n, size)}
		}
		for k := range size {
			if null {
				positions = append(positions, -1)
			} else {
				positions = append(positions, int(offsets[i])+k)
			}
		}
	}
	together, err := gather(list.ListValues(), runs, plainType(to.Elem()))
	if err != nil {
		return nil, err
	}
	defer together.Release()
	elements, err := take(together, positions, to.Elem())
	if err != nil {
		return nil, err
	}
	defer elements.Release()
	return assemble(to, list.Len(), list.NullN(), []*memory.Buffer{validity(list)}, []arrow.ArrayData{elements.Data()}), nil
}

// gather gives the elements of the runs, one behind the other, in another type.
func gather(elements arrow.Array, runs []run, to arrow.DataType) (arrow.Array, error) {
	parts := make([]arrow.Array, len(runs))
	for i, r := range runs {
		parts[i] = array.NewSlice(elements, r.start, r.end)
		defer parts[i].Release()
	}
	switch len(parts) {
	case 0:
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, 0), nil
	case 1:
		return convert(parts[0], to)
	}
	together, err := array.Concatenate(parts, memory.DefaultAllocator)
	if err != nil {
		return nil, &badValue{err.Error()}
	}
	defer together.Release()
	return convert(together, to)
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
		hidden := hide(from.Field(at), from)
		child, err := convert(hidden, field.Type)
		hidden.Release()
		if err != nil {
			return nil, err
		}
		defer child.Release()
		children[i] = child.Data()
	}
	return assemble(to, from.Len(), from.NullN(), []*memory.Buffer{validity(from)}, children), nil
}

// hide gives a field with the nulls of its parent added to its own: Arrow says
// nothing about the values under them. Runs have no place for nulls of their own;
// what is under them is looked at.
func hide(field arrow.Array, parent *array.Struct) arrow.Array {
	id := field.DataType().ID()
	if parent.NullN() == 0 || id == arrow.NULL || id == arrow.RUN_END_ENCODED {
		field.Retain()
		return field
	}
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
	if dictionary := data.Dictionary(); id == arrow.DICTIONARY {
		hidden.SetDictionary(dictionary)
	}
	return array.MakeFromData(hidden)
}

// clone copies an array of a plain type into memory of its own, and only the
// part that the array covers.
func clone(source arrow.Array) (arrow.Array, error) {
	if source.DataType().ID() == arrow.NULL {
		return array.NewNull(source.Len()), nil
	}
	return array.Concatenate([]arrow.Array{source}, memory.DefaultAllocator)
}
