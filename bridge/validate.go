package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// checkArray makes sure that nobody who reads the array can be led out of its
// buffers: buffer sizes fit lengths, offsets ascend and end inside the data,
// dictionary indices exist, null counts are true. It costs one pass over
// offsets, indices and validity bits, and none over values.
func checkArray(data arrow.ArrayData, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("nested more than %d levels deep", maxNesting)
	}
	length := data.Len()
	if length < 0 || length > maxRows || data.Offset() != 0 {
		return fmt.Errorf("an array of %d values at offset %d", length, data.Offset())
	}
	if err := checkNulls(data); err != nil {
		return err
	}
	if length > 0 {
		if err := checkLayout(data); err != nil {
			return fmt.Errorf("%s: %w", data.DataType(), err)
		}
	}
	for _, child := range data.Children() {
		if err := checkArray(child, depth+1); err != nil {
			return err
		}
	}
	if _, isDictionary := data.DataType().(*arrow.DictionaryType); isDictionary {
		dictionary := data.Dictionary()
		if dictionary == nil {
			return fmt.Errorf("%s: without its dictionary", data.DataType())
		}
		return checkArray(dictionary, depth+1)
	}
	return nil
}

// bytesOf gives buffer i of the array, nil when there is none.
func bytesOf(data arrow.ArrayData, i int) []byte {
	buffers := data.Buffers()
	if i >= len(buffers) || buffers[i] == nil {
		return nil
	}
	return buffers[i].Bytes()
}

func hasValidity(kind arrow.Type) bool {
	switch kind {
	case arrow.NULL, arrow.SPARSE_UNION, arrow.DENSE_UNION, arrow.RUN_END_ENCODED:
		return false
	}
	return true
}

func storageType(t arrow.DataType) arrow.DataType {
	for {
		extension, is := t.(arrow.ExtensionType)
		if !is {
			return t
		}
		t = extension.StorageType()
	}
}

// checkNulls compares the null count with the validity bits: encoders size their
// output by the count.
func checkNulls(data arrow.ArrayData) error {
	if !hasValidity(storageType(data.DataType()).ID()) {
		return nil
	}
	validity := bytesOf(data, 0)
	if len(validity) == 0 {
		if data.NullN() != 0 {
			return fmt.Errorf("%s: %d nulls without validity bits", data.DataType(), data.NullN())
		}
		return nil
	}
	if int64(len(validity)) < bitutil.BytesForBits(int64(data.Len())) {
		return fmt.Errorf("%s: %d bytes of validity for %d values", data.DataType(), len(validity), data.Len())
	}
	if nulls := data.Len() - bitutil.CountSetBits(validity, 0, data.Len()); nulls != data.NullN() {
		return fmt.Errorf("%s: %d nulls are announced, %d are there", data.DataType(), data.NullN(), nulls)
	}
	return nil
}

// checkLayout checks the buffers of an array that has values.
func checkLayout(data arrow.ArrayData) error {
	length := int64(data.Len())
	switch t := storageType(data.DataType()).(type) {
	case *arrow.NullType:
		return nil
	case *arrow.BooleanType:
		return room(bytesOf(data, 1), bitutil.BytesForBits(length))
	case *arrow.DictionaryType:
		return checkIndices(data, t)
	case *arrow.StringType, *arrow.BinaryType:
		return checkOffsets32(bytesOf(data, 1), length, int64(len(bytesOf(data, 2))))
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		return checkOffsets64(bytesOf(data, 1), length, int64(len(bytesOf(data, 2))))
	case *arrow.ListType, *arrow.MapType:
		return checkOffsets32(bytesOf(data, 1), length, childLength(data, 0))
	case *arrow.LargeListType:
		return checkOffsets64(bytesOf(data, 1), length, childLength(data, 0))
	case *arrow.FixedSizeListType:
		if t.Len() < 0 || childLength(data, 0) < length*int64(t.Len()) {
			return fmt.Errorf("%d lists of %d need more than %d values", length, t.Len(), childLength(data, 0))
		}
		return nil
	case *arrow.StructType:
		for i := range data.Children() {
			if childLength(data, i) < length {
				return fmt.Errorf("field %d has %d values of %d", i, childLength(data, i), length)
			}
		}
		return nil
	case arrow.BinaryViewDataType:
		return checkViews(data)
	case *arrow.ListViewType:
		return checkListViews(data, 4)
	case *arrow.LargeListViewType:
		return checkListViews(data, 8)
	case *arrow.RunEndEncodedType:
		return checkRunEnds(data, t)
	case arrow.UnionType:
		return checkUnion(data, t)
	case arrow.FixedWidthDataType:
		if t.BitWidth() < 0 || t.BitWidth()%8 != 0 {
			return fmt.Errorf("values of %d bits", t.BitWidth())
		}
		return room(bytesOf(data, 1), length*int64(t.BitWidth()/8))
	}
	return errors.New("the type is not known here")
}

func childLength(data arrow.ArrayData, i int) int64 {
	if i >= len(data.Children()) {
		return -1
	}
	return int64(data.Children()[i].Len())
}

func room(buf []byte, need int64) error {
	if int64(len(buf)) < need {
		return fmt.Errorf("a buffer of %d bytes, %d are needed", len(buf), need)
	}
	return nil
}

func checkOffsets32(buf []byte, length, limit int64) error {
	if err := room(buf, 4*(length+1)); err != nil {
		return err
	}
	offsets := arrow.Int32Traits.CastFromBytes(buf[:4*(length+1)])
	last := offsets[0]
	bad := last < 0
	for _, offset := range offsets[1:] {
		bad = bad || offset < last
		last = offset
	}
	if bad || int64(last) > limit {
		return fmt.Errorf("offsets lead out of the %d values that are there", limit)
	}
	return nil
}

func checkOffsets64(buf []byte, length, limit int64) error {
	if err := room(buf, 8*(length+1)); err != nil {
		return err
	}
	offsets := arrow.Int64Traits.CastFromBytes(buf[:8*(length+1)])
	last := offsets[0]
	bad := last < 0
	for _, offset := range offsets[1:] {
		bad = bad || offset < last
		last = offset
	}
	if bad || last > limit {
		return fmt.Errorf("offsets lead out of the %d values that are there", limit)
	}
	return nil
}

// checkIndices: what an index says under a null does not matter.
func checkIndices(data arrow.ArrayData, t *arrow.DictionaryType) error {
	width, isFixed := t.IndexType.(arrow.FixedWidthDataType)
	if !isFixed {
		return fmt.Errorf("an index of type %s", t.IndexType)
	}
	size := width.BitWidth() / 8
	buf := bytesOf(data, 1)
	if err := room(buf, int64(data.Len())*int64(size)); err != nil {
		return err
	}
	var entries uint64
	if dictionary := data.Dictionary(); dictionary != nil {
		entries = uint64(dictionary.Len())
	}
	validity := bytesOf(data, 0)
	for i := range data.Len() {
		var index uint64 // a negative index becomes a huge one
		switch t.IndexType.ID() {
		case arrow.INT8:
			index = uint64(int64(int8(buf[i])))
		case arrow.UINT8:
			index = uint64(buf[i])
		case arrow.INT16:
			index = uint64(int64(int16(binary.LittleEndian.Uint16(buf[2*i:]))))
		case arrow.UINT16:
			index = uint64(binary.LittleEndian.Uint16(buf[2*i:]))
		case arrow.INT32:
			index = uint64(int64(int32(binary.LittleEndian.Uint32(buf[4*i:]))))
		case arrow.UINT32:
			index = uint64(binary.LittleEndian.Uint32(buf[4*i:]))
		case arrow.INT64, arrow.UINT64:
			index = binary.LittleEndian.Uint64(buf[8*i:])
		default:
			return fmt.Errorf("an index of type %s", t.IndexType)
		}
		if index >= entries && (len(validity) == 0 || bitutil.BitIsSet(validity, i)) {
			return fmt.Errorf("value %d refers to entry %d of a dictionary of %d", i, int64(index), entries)
		}
	}
	return nil
}
