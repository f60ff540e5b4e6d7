package rowgroup

import (
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Slow and simple readers of what the encoders write, straight from the
// format's text: one value at a time, one bit at a time.

var errShort = errors.New("the input ends early")

// bitsAt reads width bits, least significant first.
func bitsAt(b []byte, at, width int) uint64 {
	var v uint64
	for i := range width {
		if b[(at+i)/8]>>((at+i)%8)&1 != 0 {
			v |= 1 << i
		}
	}
	return v
}

// readHybrid reads n values of the RLE/bit-packing hybrid.
func readHybrid(b []byte, width, n int) ([]uint32, error) {
	var out []uint32
	for len(out) < n {
		head, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errShort
		}
		b = b[k:]
		if head&1 == 0 {
			size := (width + 7) / 8
			if len(b) < size {
				return nil, errShort
			}
			var v uint32
			for i := range size {
				v |= uint32(b[i]) << (8 * i)
			}
			b = b[size:]
			for range head >> 1 {
				out = append(out, v)
			}
			continue
		}
		groups := int(head >> 1)
		if len(b) < groups*width {
			return nil, errShort
		}
		for i := range 8 * groups {
			out = append(out, uint32(bitsAt(b, i*width, width)))
		}
		b = b[groups*width:]
	}
	if len(b) > 0 {
		return nil, errors.New("bytes are left over")
	}
	return out[:n], nil
}

func readVarint(b *[]byte) (int64, error) {
	v, k := binary.Uvarint(*b)
	if k <= 0 {
		return 0, errShort
	}
	*b = (*b)[k:]
	return int64(v>>1) ^ -int64(v&1), nil
}

// readDelta reads DELTA_BINARY_PACKED and gives what is left behind it. wrap is
// 32 or 64: the width in which sums wrap around.
func readDelta(b []byte, wrap int) ([]int64, []byte, error) {
	var head [3]uint64
	for i := range head {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, nil, errShort
		}
		head[i], b = v, b[k:]
	}
	blockSize, minis, n := int(head[0]), int(head[1]), int(head[2])
	value, err := readVarint(&b)
	if err != nil {
		return nil, nil, err
	}
	fit := func(v int64) int64 {
		if wrap == 32 {
			return int64(int32(v))
		}
		return v
	}
	var out []int64
	if n > 0 {
		out = append(out, value)
	}
	for len(out) < n {
		least, err := readVarint(&b)
		if err != nil {
			return nil, nil, err
		}
		if len(b) < minis {
			return nil, nil, errShort
		}
		widths := b[:minis]
		b = b[minis:]
		per := blockSize / minis
		for _, w := range widths {
			if len(out) >= n {
				break // the format writes no more mini-blocks
			}
			if int(w) > wrap {
				return nil, nil, errors.New("a mini-block is wider than the type")
			}
			size := per * int(w) / 8
			if len(b) < size {
				return nil, nil, errShort
			}
			for i := range per {
				if len(out) == n {
					break
				}
				value = fit(value + least + int64(bitsAt(b, i*int(w), int(w))))
				out = append(out, value)
			}
			b = b[size:]
		}
	}
	return out, b, nil
}

// slot is one slot of a column, as the Dremel paper makes it.
type slot struct {
	rep, def int
	value    string // of the leaf, if there is one
}

// shred gives the slots of one row of one leaf, by recursion.
func shred(a arrow.Array, i int, steps []step, rep, def, depth int) []slot {
	s := steps[0]
	for {
		switch w := a.(type) {
		case *array.Dictionary:
			if w.IsNull(i) {
				return []slot{{rep: rep, def: def}}
			}
			a, i = w.Dictionary(), w.GetValueIndex(i)
			continue
		case *array.RunEndEncoded:
			a, i = w.Values(), w.GetPhysicalIndex(i)
			continue
		}
		break
	}
	if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
		return []slot{{rep: rep, def: def}}
	}
	if s.optional {
		def++
	}
	switch x := a.(type) {
	case *array.Struct:
		return shred(x.Field(s.child), i, steps[1:], rep, def, depth)
	case array.ListLike:
		var out []slot
		from, to := x.ValueOffsets(i)
		for k := from; k < to; k++ {
			next := rep
			if k > from {
				next = depth + 1
			}
			out = append(out, shred(x.ListValues(), int(k), steps[1:], next, def+1, depth+1)...)
		}
		if out == nil {
			return []slot{{rep: rep, def: def}}
		}
		return out
	}
	return []slot{{rep, def, a.ValueStr(i)}}
}

// readSnappy reads a Snappy block.
func readSnappy(b []byte) ([]byte, error) {
	size, k := binary.Uvarint(b)
	if k <= 0 {
		return nil, errShort
	}
	b = b[k:]
	var out []byte
	for len(b) > 0 {
		tag := int(b[0])
		wide := [4]int{max(tag>>2-59, 0), 1, 2, 4}[tag&3] // bytes of a long literal's length, or of an offset
		if len(b) < 1+wide {
			return nil, errShort
		}
		extra := 0
		for i := range wide {
			extra |= int(b[1+i]) << (8 * i)
		}
		b = b[1+wide:]
		if tag&3 == 0 {
			n := tag>>2 + 1
			if wide > 0 {
				n = extra + 1
			}
			if len(b) < n {
				return nil, errShort
			}
			out, b = append(out, b[:n]...), b[n:]
			continue
		}
		n, offset := tag>>2+1, extra
		if tag&3 == 1 {
			n, offset = tag>>2&7+4, tag>>5<<8|extra
		}
		if offset == 0 || offset > len(out) {
			return nil, errors.New("a copy from before the block")
		}
		for range n {
			out = append(out, out[len(out)-offset])
		}
	}
	if uint64(len(out)) != size {
		return nil, errors.New("the block's length is wrong")
	}
	return out, nil
}
