package parquet

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// plainBytesOf is about how many bytes the rows [from, to) take once they are
// decoded into a stored type. It sees through dictionaries, runs and views: a
// small batch can stand for very many bytes.
func plainBytesOf(source arrow.Array, from, to int) int64 {
	if wrapped, is := source.(array.ExtensionArray); is {
		return plainBytesOf(wrapped.Storage(), from, to)
	}
	rows := int64(to - from)
	const validityBits, offsetBytes = 8, 4
	total := rows/validityBits + 1
	switch s := source.(type) {
	case *array.Dictionary:
		values := s.Dictionary()
		if fixed, is := values.DataType().(arrow.FixedWidthDataType); is {
			return total + rows*int64(fixed.Bytes())
		}
		for i := from; i < to; i++ {
			if s.IsValid(i) {
				if at := s.GetValueIndex(i); at >= 0 && at < values.Len() {
					total += plainBytesOf(values, at, at+1)
				}
			}
		}
		return total
	case *array.RunEndEncoded:
		for i := from; i < to; {
			at := s.GetPhysicalIndex(i)
			same := i + 1
			for same < to && s.GetPhysicalIndex(same) == at {
				same++
			}
			total += int64(same-i) * plainBytesOf(s.Values(), at, at+1)
			i = same
		}
		return total
	case array.ViewLike:
		for i := from; i < to; i++ {
			total += offsetBytes
			if s.IsValid(i) {
				total += int64(s.ValueHeader(i).Len())
			}
		}
		return total
	case array.BinaryLike:
		if from < to {
			total += s.ValueOffset64(to-1) + int64(s.ValueLen(to-1)) - s.ValueOffset64(from)
		}
		return total + rows*offsetBytes
	case *array.Struct:
		for i := range s.NumField() {
			total += plainBytesOf(s.Field(i), from, to)
		}
		return total
	case array.ListLike:
		elements := s.ListValues()
		var at, until int64 // neighbouring lists are measured together
		flush := func() {
			if at >= 0 && at < until && until <= int64(elements.Len()) {
				total += plainBytesOf(elements, int(at), int(until))
			}
		}
		for i := from; i < to; i++ {
			start, end := s.ValueOffsets(i)
			if s.IsNull(i) || end <= start {
				continue
			}
			if start != until {
				flush()
				at = start
			}
			until = end
		}
		flush()
		return total + rows*offsetBytes
	}
	if fixed, is := source.DataType().(arrow.FixedWidthDataType); is {
		return total + rows*int64(fixed.BitWidth())/8
	}
	return total
}
