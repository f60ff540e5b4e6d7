package parquet

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// convertBytes changes between 32 and 64 bit offsets and views.
func convertBytes(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if isText(source.DataType()) != isText(to) || isBytes(source.DataType()) != isBytes(to) {
		return nil, unreachable(source, to)
	}
	if err := check(source); err != nil {
		return nil, err
	}
	if _, view := source.(array.ViewLike); view || to.ID() == arrow.STRING_VIEW || to.ID() == arrow.BINARY_VIEW {
		return copyBytes(source, to)
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

// end is the offset behind the last value.
func end(text array.BinaryLike) int64 {
	if text.Len() == 0 {
		return 0
	}
	return text.ValueOffset64(text.Len()-1) + int64(text.ValueLen(text.Len()-1))
}

// copyBytes copies value by value, from or to a view.
func copyBytes(source arrow.Array, to arrow.DataType) (arrow.Array, error) {
	builder := array.NewBuilder(memory.DefaultAllocator, to)
	defer builder.Release()
	builder.Reserve(source.Len())
	var add func(i int)
	if text, is := source.(array.StringLike); is {
		into := builder.(interface{ Append(string) })
		add = func(i int) { into.Append(text.Value(i)) }
	} else {
		from, into := source.(interface{ Value(int) []byte }), builder.(interface{ Append([]byte) })
		add = func(i int) { into.Append(from.Value(i)) }
	}
	for i := range source.Len() {
		if source.IsNull(i) {
			builder.AppendNull()
		} else {
			add(i)
		}
	}
	return builder.NewArray(), nil
}
