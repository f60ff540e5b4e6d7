package digest

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cespare/xxhash/v2"
)

// values takes the values of an array in spans.
func (h *hasher) values(data arrow.ArrayData, spans []span) error {
	return h.typed(data.DataType(), data, spans)
}

func (h *hasher) typed(dataType arrow.DataType, data arrow.ArrayData, spans []span) error {
	switch t := dataType.(type) {
	case *arrow.NullType:
		return nil
	case arrow.ExtensionType:
		return h.typed(t.StorageType(), data, spans)
	case *arrow.BooleanType:
		h.booleans(data, h.validity(data, spans))
		return nil
	case *arrow.StringType, *arrow.BinaryType:
		return h.variable(data, h.validity(data, spans), offsets32(data), nil)
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		return h.variable(data, h.validity(data, spans), offsets64(data), nil)
	case *arrow.StringViewType, *arrow.BinaryViewType:
		h.views(data, h.validity(data, spans))
		return nil
	case *arrow.ListType, *arrow.MapType:
		return h.variable(data, h.validity(data, spans), offsets32(data), data.Children()[0])
	case *arrow.LargeListType:
		return h.variable(data, h.validity(data, spans), offsets64(data), data.Children()[0])
	case *arrow.ListViewType:
		return h.listViews(data, h.validity(data, spans), intsOf(32, data.Buffers()[1]), intsOf(32, data.Buffers()[2]))
	case *arrow.LargeListViewType:
		return h.listViews(data, h.validity(data, spans), intsOf(64, data.Buffers()[1]), intsOf(64, data.Buffers()[2]))
	case *arrow.FixedSizeListType:
		var inner []span
		size := int(t.Len())
		for _, s := range h.validity(data, spans) {
			inner = add(inner, (data.Offset()+s.from)*size, (data.Offset()+s.to)*size)
		}
		return h.values(data.Children()[0], inner)
	case *arrow.StructType:
		valid := h.validity(data, spans)
		for _, child := range data.Children() {
			if err := h.values(child, moved(valid, data.Offset())); err != nil {
				return err
			}
		}
		return nil
	case *arrow.DictionaryType:
		return h.dictionary(data, spans, t.IndexType.(arrow.FixedWidthDataType).BitWidth())
	case *arrow.RunEndEncodedType:
		return h.runs(data, spans)
	case arrow.FixedWidthDataType:
		if valid := h.validity(data, spans); len(valid) > 0 {
			h.fixed(data.Buffers()[1].Bytes(), moved(valid, data.Offset()), t.BitWidth()/8)
		}
		return nil
	}
	return &UnsupportedTypeError{Type: dataType}
}

// moved adds an array's offset to spans: the buffers below know nothing of it, and
// a struct's children do not either.
func moved(spans []span, by int) []span {
	if by == 0 {
		return spans
	}
	out := make([]span, len(spans))
	for i, s := range spans {
		out[i] = span{s.from + by, s.to + by}
	}
	return out
}

func (h *hasher) booleans(data arrow.ArrayData, valid []span) {
	packer := packer{h: h}
	for _, s := range valid {
		bitmap := data.Buffers()[1].Bytes()
		for at, end := data.Offset()+s.from, data.Offset()+s.to; at < end; at += 64 {
			n := min(64, end-at)
			packer.add(bitsAt(bitmap, at, n), n)
		}
	}
	packer.close()
}

// fixed takes the values of one width, in bytes, that lie in spans of a buffer.
func (h *hasher) fixed(buffer []byte, spans []span, width int) {
	scratch, held := h.buffer(chunk), 0
	for _, s := range spans {
		piece := buffer[s.from*width : s.to*width]
		// Small pieces are gathered: the hash has a price for each call.
		if held+len(piece) > len(scratch) {
			h.bytes(scratch[:held])
			held = 0
		}
		if len(piece) < chunk/8 {
			held += copy(scratch[held:], piece)
			continue
		}
		h.bytes(scratch[:held])
		held = 0
		h.bytes(piece)
	}
	h.bytes(scratch[:held])
}

// offsets are those of variable values: n+1 of them for n values, from the array's
// own offset on. One of the two is set.
type offsets struct {
	narrow []int32
	wide   []int64
}

func offsets32(data arrow.ArrayData) offsets {
	if data.Len() == 0 {
		return offsets{}
	}
	return offsets{narrow: arrow.Int32Traits.CastFromBytes(data.Buffers()[1].Bytes())[data.Offset() : data.Offset()+data.Len()+1]}
}

func offsets64(data arrow.ArrayData) offsets {
	if data.Len() == 0 {
		return offsets{}
	}
	return offsets{wide: arrow.Int64Traits.CastFromBytes(data.Buffers()[1].Bytes())[data.Offset() : data.Offset()+data.Len()+1]}
}

func (o offsets) at(i int) int {
	if o.wide != nil {
		return int(o.wide[i])
	}
	return int(o.narrow[i])
}

// variable takes the lengths of the values, and then the bytes that they cover, or
// the elements when there is a child.
func (h *hasher) variable(data arrow.ArrayData, valid []span, o offsets, child arrow.ArrayData) error {
	var covered []span
	for _, s := range valid {
		h.lengths(o, s)
		covered = add(covered, o.at(s.from), o.at(s.to))
	}
	if child != nil {
		return h.values(child, covered)
	}
	if len(covered) > 0 {
		h.fixed(data.Buffers()[2].Bytes(), covered, 1)
	}
	return nil
}

// lengths takes the length of each value in a span, as 32 bits: what is longer
// than that does not fit a frame of the bridge.
func (h *hasher) lengths(o offsets, s span) {
	scratch := h.buffer(chunk)
	for from := s.from; from < s.to; from += chunk / 4 {
		n := min(chunk/4, s.to-from)
		if o.narrow != nil {
			window := o.narrow[from : from+n+1]
			before := window[0]
			for i, next := range window[1:] {
				binary.LittleEndian.PutUint32(scratch[4*i:], uint32(next-before))
				before = next
			}
		} else {
			window := o.wide[from : from+n+1]
			before := window[0]
			for i, next := range window[1:] {
				binary.LittleEndian.PutUint32(scratch[4*i:], uint32(next-before))
				before = next
			}
		}
		h.bytes(scratch[:4*n])
	}
}

func (h *hasher) views(data arrow.ArrayData, valid []span) {
	for _, s := range valid {
		for i := s.from; i < s.to; i++ {
			value := viewAt(data, i)
			h.number(uint64(len(value)))
			h.bytes(value)
		}
	}
}

func viewAt(data arrow.ArrayData, i int) []byte {
	header := arrow.ViewHeaderTraits.CastFromBytes(data.Buffers()[1].Bytes())[data.Offset()+i]
	if header.IsInline() {
		return header.InlineBytes()
	}
	from := int(header.BufferOffset())
	return data.Buffers()[2+header.BufferIndex()].Bytes()[from : from+header.Len()]
}

func (h *hasher) listViews(data arrow.ArrayData, valid []span, offset, size func(at int) int) error {
	var covered []span
	for _, s := range moved(valid, data.Offset()) {
		for at := s.from; at < s.to; at++ {
			h.number(uint64(size(at)))
			covered = add(covered, offset(at), offset(at)+size(at))
		}
	}
	return h.values(data.Children()[0], covered)
}

// dictionary takes, for each value, the digest of the entry that it stands for;
// 0 for a null, wherever that is written down. width is that of an index, in bits.
func (h *hasher) dictionary(data arrow.ArrayData, spans []span, width int) error {
	entries, err := each(data.Dictionary())
	if err != nil {
		return err
	}
	bitmap, raw, at := bitmapOf(data), data.Buffers()[1], moved(spans, data.Offset())
	switch {
	case raw == nil: // an empty column
	case width == 8:
		lookUp(h, raw.Bytes(), entries, bitmap, at)
	case width == 16:
		lookUp(h, arrow.GetData[uint16](raw.Bytes()), entries, bitmap, at)
	case width == 32:
		lookUp(h, arrow.GetData[uint32](raw.Bytes()), entries, bitmap, at)
	default:
		lookUp(h, arrow.GetData[uint64](raw.Bytes()), entries, bitmap, at)
	}
	return nil
}

// lookUp takes the entries of indices. Indices that are not null are sound.
func lookUp[I uint8 | uint16 | uint32 | uint64](h *hasher, indices []I, entries []uint64, bitmap []byte, spans []span) {
	scratch := h.buffer(chunk)
	for _, s := range spans {
		for from := s.from; from < s.to; from += chunk / 8 {
			to := min(from+chunk/8, s.to)
			for i, index := range indices[from:to] {
				entry := uint64(0)
				if at := from + i; bitmap == nil || bitmap[at/8]>>(at%8)&1 == 1 {
					entry = entries[index]
				}
				binary.LittleEndian.PutUint64(scratch[8*i:], entry)
			}
			h.bytes(scratch[:8*(to-from)])
		}
	}
}

// intsOf reads a buffer of integers that are not negative, of a width in bits.
func intsOf(width int, buffer *memory.Buffer) func(at int) int {
	var raw []byte
	if buffer != nil {
		raw = buffer.Bytes()
	}
	switch width {
	case 16:
		return func(at int) int { return int(binary.LittleEndian.Uint16(raw[2*at:])) }
	case 32:
		return func(at int) int { return int(binary.LittleEndian.Uint32(raw[4*at:])) }
	}
	return func(at int) int { return int(binary.LittleEndian.Uint64(raw[8*at:])) }
}

// runs takes each run of equal values once, with its length: how they are cut
// into runs does not count.
func (h *hasher) runs(data arrow.ArrayData, spans []span) error {
	values, err := each(data.Children()[1])
	if err != nil {
		return err
	}
	ends := data.Children()[0]
	endOf := intsOf(ends.DataType().(arrow.FixedWidthDataType).BitWidth(), ends.Buffers()[1])
	var value, length uint64
	run := 0
	for _, s := range moved(spans, data.Offset()) {
		for at := s.from; at < s.to; {
			for run > 0 && endOf(ends.Offset()+run-1) > at { // spans may jump back
				run--
			}
			for endOf(ends.Offset()+run) <= at {
				run++
			}
			n := uint64(min(endOf(ends.Offset()+run), s.to) - at)
			if values[run] != value && length > 0 {
				h.number(value)
				h.number(length)
				length = 0
			}
			value = values[run]
			length += n
			at += int(n)
		}
	}
	h.number(value)
	h.number(length)
	return nil
}

// each gives a digest for each value of an array, 0 for nulls.
func each(data arrow.ArrayData) ([]uint64, error) {
	sums := make([]uint64, data.Len())
	bitmap := bitmapOf(data)
	text := data.DataType().ID() == arrow.STRING || data.DataType().ID() == arrow.BINARY
	o := offsets{}
	if text {
		o = offsets32(data)
	}
	inner := &hasher{out: xxhash.New()}
	for i := range sums {
		at := data.Offset() + i
		switch {
		case data.DataType().ID() == arrow.NULL, bitmap != nil && bitmap[at/8]>>(at%8)&1 == 0:
			continue
		case text && o.at(i) < o.at(i+1): // most dictionaries are of text
			sums[i] = xxhash.Sum64(data.Buffers()[2].Bytes()[o.at(i):o.at(i+1)])
		case text:
			sums[i] = xxhash.Sum64(nil)
		default:
			inner.out.Reset()
			if err := inner.values(data, []span{{i, i + 1}}); err != nil {
				return nil, err
			}
			sums[i] = inner.out.Sum64()
		}
	}
	return sums, nil
}
