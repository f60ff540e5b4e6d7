package parquet

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Dictionaries and runs, and the plain values that they stand for.

// toDictionary makes a dictionary of a declared type, whose indices have 32 bits.
// One of another type keeps its indices; plain values become a dictionary that says each of them once per row,
// which the encoder finds out for itself.
func toDictionary(source arrow.Array, to *arrow.DictionaryType) (arrow.Array, error) {
	if encoded, is := source.(*array.Dictionary); is {
		values, err := convert(encoded.Dictionary(), to.ValueType)
		if err != nil {
			return nil, err
		}
		defer values.Release()
		indices := make([]int32, source.Len())
		if err := eachIndex(encoded, func(row, index int) { indices[row] = int32(index) }); err != nil {
			return nil, err
		}
		return dictionary(to, source, indices, values), nil
	}
	values, err := convert(source, to.ValueType)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	indices := make([]int32, values.Len())
	for i := range indices {
		indices[i] = int32(i)
	}
	return dictionary(to, values, indices, values), nil
}

// dictionary has the nulls of the rows.
func dictionary(to *arrow.DictionaryType, rows arrow.Array, indices []int32, values arrow.Array) arrow.Array {
	bits := validity(rows)
	if bits != nil {
		defer bits.Release()
	}
	buffers := []*memory.Buffer{bits, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(indices))}
	data := array.NewDataWithDictionary(to, rows.Len(), buffers, rows.NullN(), 0, values.Data().(*array.Data))
	defer data.Release()
	return array.MakeFromData(data)
}

// toRuns makes each value a run of its own. The ends of declared runs have 32
// bits.
func toRuns(source arrow.Array, to *arrow.RunEndEncodedType) (arrow.Array, error) {
	values, err := convert(source, to.Encoded())
	if err != nil {
		return nil, err
	}
	defer values.Release()
	numbers := make([]int32, values.Len())
	for i := range numbers {
		numbers[i] = int32(i + 1)
	}
	ends := assemble(to.RunEnds(), len(numbers), 0, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(numbers))}, nil)
	defer ends.Release()
	return array.NewRunEndEncodedArrayWithType(to, ends, values, values.Len(), 0), nil
}

// decodeDictionary gives the values that the indices stand for. A null may be in
// the indices or in the dictionary.
func decodeDictionary(source *array.Dictionary, to arrow.DataType) (arrow.Array, error) {
	positions := make([]int, source.Len())
	for i := range positions {
		positions[i] = -1
	}
	if err := eachIndex(source, func(row, index int) { positions[row] = index }); err != nil {
		return nil, err
	}
	return take(source.Dictionary(), positions, to)
}

// decodeRuns repeats each run's value.
func decodeRuns(source *array.RunEndEncoded, to arrow.DataType) (arrow.Array, error) {
	values := source.LogicalValuesArray() // those of this slice
	defer values.Release()
	first := source.GetPhysicalOffset()
	positions := make([]int, source.Len())
	for i := range positions {
		positions[i] = source.GetPhysicalIndex(i) - first
	}
	return take(values, positions, to)
}

// take gives the values at the positions in another type; a negative position is
// a null.
func take(values arrow.Array, positions []int, to arrow.DataType) (arrow.Array, error) {
	plain, err := convert(values, plainType(to))
	if err != nil {
		return nil, err
	}
	defer plain.Release()
	for _, p := range positions {
		if p >= plain.Len() {
			return nil, &badValue{fmt.Sprintf("position %d leads behind %d values", p, plain.Len())}
		}
	}
	taken, err := takePlain(plain, positions)
	if err != nil {
		return nil, err
	}
	defer taken.Release()
	return convert(taken, to)
}

func takePlain(values arrow.Array, positions []int) (arrow.Array, error) {
	switch t := values.DataType().(type) {
	case *arrow.NullType:
		return array.NewNull(len(positions)), nil
	case *arrow.BooleanType:
		return takeBits(values.(*array.Boolean), positions), nil
	case arrow.NestedType:
		return takeNested(values, positions)
	case arrow.FixedWidthDataType:
		return takeFixed(values, positions, t.Bytes()), nil
	}
	if text, is := values.(array.BinaryLike); is {
		return takeBytes(text, positions)
	}
	return nil, unreachable(values, values.DataType())
}

// takenValidity gives the validity bits of what is taken, nil when all are valid.
func takenValidity(values arrow.Array, positions []int) (bits *memory.Buffer, nulls int) {
	out := make([]byte, bitutil.BytesForBits(int64(len(positions))))
	for i, p := range positions {
		if p >= 0 && values.IsValid(p) {
			bitutil.SetBit(out, i)
		} else {
			nulls++
		}
	}
	if nulls == 0 {
		return nil, 0
	}
	return memory.NewBufferBytes(out), nulls
}

func takeBits(values *array.Boolean, positions []int) arrow.Array {
	out := make([]byte, bitutil.BytesForBits(int64(len(positions))))
	for i, p := range positions {
		if p >= 0 && values.Value(p) {
			bitutil.SetBit(out, i)
		}
	}
	bits, nulls := takenValidity(values, positions)
	return assemble(values.DataType(), len(positions), nulls, []*memory.Buffer{bits, memory.NewBufferBytes(out)}, nil)
}

func takeFixed(values arrow.Array, positions []int, width int) arrow.Array {
	out := make([]byte, len(positions)*width)
	if from := values.Data().Buffers()[1]; from != nil {
		bytes := from.Bytes()[values.Data().Offset()*width:]
		for i, p := range positions {
			if p >= 0 {
				copy(out[i*width:(i+1)*width], bytes[p*width:])
			}
		}
	}
	bits, nulls := takenValidity(values, positions)
	return assemble(values.DataType(), len(positions), nulls, []*memory.Buffer{bits, memory.NewBufferBytes(out)}, nil)
}

func takeBytes(values array.BinaryLike, positions []int) (arrow.Array, error) {
	offsets := make([]int64, len(positions)+1)
	for i, p := range positions {
		offsets[i+1] = offsets[i]
		if p >= 0 && values.IsValid(p) {
			offsets[i+1] += int64(values.ValueLen(p))
		}
	}
	total := offsets[len(positions)]
	at := wide(offsets)
	if values.DataType().ID() == arrow.STRING || values.DataType().ID() == arrow.BINARY {
		if total > math.MaxInt32 {
			return nil, &badValue{"a batch's text of more than 2 GiB"}
		}
		at = narrow(offsets)
	}
	out := make([]byte, total)
	if from := values.Data().Buffers()[2]; from != nil {
		for i, p := range positions {
			if n := offsets[i+1] - offsets[i]; n > 0 {
				copy(out[offsets[i]:offsets[i+1]], from.Bytes()[values.ValueOffset64(p):])
			}
		}
	}
	bits, nulls := takenValidity(values, positions)
	return assemble(values.DataType(), len(positions), nulls, []*memory.Buffer{bits, at, memory.NewBufferBytes(out)}, nil), nil
}

// takeNested puts stretches of neighbours, and nulls, behind one another.
func takeNested(values arrow.Array, positions []int) (arrow.Array, error) {
	var parts []arrow.Array
	defer func() {
		for _, part := range parts {
			part.Release()
		}
	}()
	for i := 0; i < len(positions); {
		n := 1
		if positions[i] < 0 {
			for i+n < len(positions) && positions[i+n] < 0 {
				n++
			}
			parts = append(parts, array.MakeArrayOfNull(memory.DefaultAllocator, values.DataType(), n))
		} else {
			for i+n < len(positions) && positions[i+n] == positions[i]+n {
				n++
			}
			parts = append(parts, array.NewSlice(values, int64(positions[i]), int64(positions[i]+n)))
		}
		i += n
	}
	if len(parts) == 0 {
		return array.NewSlice(values, 0, 0), nil
	}
	taken, err := array.Concatenate(parts, memory.DefaultAllocator)
	if err != nil {
		return nil, &badValue{err.Error()}
	}
	return taken, nil
}
