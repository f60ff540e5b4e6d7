package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// The layouts in this file let each value point anywhere, so that every single
// one has to be looked at. pandas never makes them; polars and pyarrow can.

// checkViews: a view is 16 bytes; up to 12 bytes of value are inside, longer
// ones are in a buffer behind.
func checkViews(data arrow.ArrayData) error {
	views := bytesOf(data, 1)
	if err := room(views, 16*int64(data.Len())); err != nil {
		return err
	}
	var values []*memory.Buffer
	if len(data.Buffers()) > 2 {
		values = data.Buffers()[2:]
	}
	validity := bytesOf(data, 0)
	for i := range data.Len() {
		if len(validity) > 0 && !bitutil.BitIsSet(validity, i) {
			continue
		}
		view := views[16*i:]
		size := int64(int32(binary.LittleEndian.Uint32(view)))
		if size < 0 {
			return fmt.Errorf("value %d has %d bytes", i, size)
		}
		if size <= 12 {
			continue
		}
		buffer := int64(int32(binary.LittleEndian.Uint32(view[8:])))
		offset := int64(int32(binary.LittleEndian.Uint32(view[12:])))
		if buffer < 0 || buffer >= int64(len(values)) || values[buffer] == nil ||
			offset < 0 || offset+size > int64(values[buffer].Len()) {
			return fmt.Errorf("value %d leads out of its buffers", i)
		}
	}
	return nil
}

// checkListViews: offset and size of each list, width bytes each.
func checkListViews(data arrow.ArrayData, width int) error {
	offsets, sizes := bytesOf(data, 1), bytesOf(data, 2)
	need := int64(width) * int64(data.Len())
	if err := errors.Join(room(offsets, need), room(sizes, need)); err != nil {
		return err
	}
	limit := childLength(data, 0)
	validity := bytesOf(data, 0)
	for i := range data.Len() {
		if len(validity) > 0 && !bitutil.BitIsSet(validity, i) {
			continue
		}
		offset, size := signed(offsets, i, width), signed(sizes, i, width)
		if offset < 0 || size < 0 || offset > limit || size > limit-offset {
			return fmt.Errorf("list %d leads out of the %d values that are there", i, limit)
		}
	}
	return nil
}

// signed reads number i of an array of 2, 4 or 8 byte integers.
func signed(buf []byte, i, width int) int64 {
	switch width {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(buf[2*i:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(buf[4*i:])))
	}
	return int64(binary.LittleEndian.Uint64(buf[8*i:]))
}

// checkRunEnds: run ends ascend from above zero and cover the array, and each
// run has a value.
func checkRunEnds(data arrow.ArrayData, t *arrow.RunEndEncodedType) error {
	width := t.RunEnds().(arrow.FixedWidthDataType).BitWidth() / 8
	if len(data.Children()) != 2 {
		return fmt.Errorf("%d children", len(data.Children()))
	}
	ends := data.Children()[0]
	runs := ends.Len()
	if ends.NullN() != 0 || childLength(data, 1) < int64(runs) {
		return fmt.Errorf("%d runs with %d values", runs, childLength(data, 1))
	}
	buf := bytesOf(ends, 1)
	if err := room(buf, int64(width)*int64(runs)); err != nil {
		return err
	}
	last := int64(0)
	for i := range runs {
		end := signed(buf, i, width)
		if end <= last {
			return fmt.Errorf("run %d ends at %d, the one before it at %d", i, end, last)
		}
		last = end
	}
	if last < int64(data.Len()) {
		return fmt.Errorf("the runs cover %d of %d values", last, data.Len())
	}
	return nil
}

// checkUnion: each value names a child by its type code, and a dense union also
// the place in it.
func checkUnion(data arrow.ArrayData, t arrow.UnionType) error {
	codes := bytesOf(data, 1)
	if err := room(codes, int64(data.Len())); err != nil {
		return err
	}
	var child [256]int
	for i := range child {
		child[i] = -1
	}
	for i, code := range t.TypeCodes() {
		child[byte(code)] = i
	}
	dense := t.Mode() == arrow.DenseMode
	offsets := bytesOf(data, 2)
	if dense {
		if err := room(offsets, 4*int64(data.Len())); err != nil {
			return err
		}
	}
	for i := range data.Len() {
		place := int64(i)
		if dense {
			place = signed(offsets, i, 4)
		}
		which := child[codes[i]]
		if which < 0 || place < 0 || place >= childLength(data, which) {
			return fmt.Errorf("value %d leads out of its children", i)
		}
	}
	return nil
}
