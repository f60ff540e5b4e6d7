package rowgroup

import (
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
)

// values are the values of one page in their physical form, nulls left out.
// Which field holds them follows from the column's physical type: bool in bits,
// INT32 and FLOAT in i32, INT64 and DOUBLE in i64 (floats as bit patterns),
// FIXED_LEN_BYTE_ARRAY in fixed, BYTE_ARRAY in str. Where no change of form is
// needed the slices are Arrow's own memory.
type values struct {
	n     int
	bits  []byte
	i32   []int32
	i64   []int64
	fixed []byte
	str   byteSlices
}

// byteSlices are byte arrays that lie somewhere in data.
type byteSlices struct {
	data   []byte
	start  []int
	size   []int32
	total  int  // bytes of all values
	packed bool // the values lie in data in order and without gaps

	// via, if not nil, says which of the distinct values of an Arrow dictionary
	// of that many each value is.
	via      []uint32
	distinct int
}

func (s *byteSlices) at(i int) []byte {
	start := s.start[i]
	return s.data[start : start+int(s.size[i])]
}

// appendRange appends the bytes of the values [from, to).
func (s *byteSlices) appendRange(dst []byte, from, to int) []byte {
	if from == to {
		return dst
	}
	if s.packed {
		return append(dst, s.data[s.start[from]:s.start[to-1]+int(s.size[to-1])]...)
	}
	for i := from; i < to; i++ {
		dst = append(dst, s.at(i)...)
	}
	return dst
}

// contiguous is the bytes of all values, if they are packed.
func (s *byteSlices) contiguous() []byte {
	n := len(s.start)
	if n == 0 || !s.packed {
		return nil
	}
	return s.data[s.start[0] : s.start[n-1]+int(s.size[n-1])]
}

// bytes is about what the values take in PLAIN encoding.
func (v *values) bytes(lf *leaf) int {
	switch lf.phys {
	case boolean:
		return v.n / 8
	case int32Type, floatType:
		return 4 * v.n
	case int64Type, doubleType:
		return 8 * v.n
	case fixedBytes:
		return lf.width * v.n
	default:
		return v.str.total + 4*v.n
	}
}

// selection says which positions of an array's buffers are the values.
type selection struct {
	count  int    // how many values
	at, n  int    // a stretch of positions
	bitmap []byte // with a bit for each position of the stretch that counts; nil: all
	spans  []span // instead: these stretches, all of whose positions count
	pick   []uint32
}

// gather gives the selected values of src. scratch is where they go if they do
// not lie behind one another.
func gather[T any](scratch *[]T, src []T, sel *selection) []T {
	switch {
	case sel.pick != nil:
		dst := resize(*scratch, len(sel.pick))
		for i, p := range sel.pick {
			dst[i] = src[p]
		}
		*scratch = dst
		return dst
	case sel.spans != nil:
		if len(sel.spans) == 1 {
			s := sel.spans[0]
			return src[s.start : s.start+s.n]
		}
		dst := resize(*scratch, sel.count)
		at := 0
		for _, s := range sel.spans {
			at += copy(dst[at:], src[s.start:s.start+s.n])
		}
		*scratch = dst
		return dst[:at]
	case sel.bitmap != nil:
		*scratch = compact(*scratch, src[sel.at:sel.at+sel.n], sel.bitmap, sel.at)
		return *scratch
	}
	return src[sel.at : sel.at+sel.n]
}

// gatherLimit bounds the bytes that are gathered for several rows at once. Views
// and dictionaries may say the same long value any number of times.
const gatherLimit = 64 << 20

// extract fills out with the selected values of an array, which may be a
// dictionary or a run-end encoding of plain values.
func (w *workspace) extract(lf *leaf, data arrow.ArrayData, sel *selection, out *values) error {
	out.n = sel.count
	out.str.via = nil
	if sel.count == 0 || lf.allNull {
		out.n = 0
		out.i32, out.i64, out.fixed, out.bits = nil, nil, nil, nil
		out.str = byteSlices{start: out.str.start[:0], size: out.str.size[:0], packed: true}
		return nil
	}
	if lf.phys == fixedBytes && sel.count > gatherLimit/lf.width && !w.oneRow {
		return &tooManySlots{sel.count}
	}
	values := data
	if wrapped(data.DataType()) {
		var err error
		if values, err = w.pick(lf, data, sel); err != nil {
			return err
		}
		sel = &selection{count: sel.count, pick: w.via}
	}
	raw := buffer(values, 1)
	switch lf.phys {
	case boolean:
		w.gatherBits(raw, sel)
		out.bits = w.boolBits.bytes()
	case int32Type, floatType:
		return w.int32s(lf, raw, sel, out)
	case int64Type, doubleType:
		return w.int64s(lf, raw, sel, out)
	case fixedBytes:
		return w.fixed(lf, raw, sel, out)
	case byteArray:
		if err := w.byteArrays(lf, values, sel, &out.str); err != nil {
			return err
		}
		if sel.pick != nil && out.str.via == nil {
			out.str.via, out.str.distinct = sel.pick, values.Offset()+values.Len()
		}
	}
	return nil
}

// pick fills w.via with the positions, in the array of values, of what is
// selected in a dictionary or run-end encoded array.
func (w *workspace) pick(lf *leaf, data arrow.ArrayData, sel *selection) (arrow.ArrayData, error) {
	switch t := storage(data.DataType()).(type) {
	case *arrow.DictionaryType:
		values := data.Dictionary()
		index := buffer(data, 1)
		var ok bool
		limit, offset := uint64(values.Len()), uint32(values.Offset())
		switch t.IndexType.(arrow.FixedWidthDataType).Bytes() {
		case 1:
			w.via, ok = indexes(w.via, gather(&w.idx8, index, sel), limit, offset)
		case 2:
			w.via, ok = indexes(w.via, gather(&w.idx16, viewAs[uint16](index), sel), limit, offset)
		case 4:
			w.via, ok = indexes(w.via, gather(&w.idx32, viewAs[uint32](index), sel), limit, offset)
		default:
			w.via, ok = indexes(w.via, gather(&w.idx64, viewAs[uint64](index), sel), limit, offset)
		}
		if !ok {
			return nil, malformed(lf.name, "a dictionary index is not below %d", values.Len())
		}
		return values, nil
	case *arrow.RunEndEncodedType:
		ends, err := runEndsOf(data, lf.name)
		if err != nil {
			return nil, err
		}
		values := data.Children()[1]
		w.via = w.via[:0]
		for i := range sel.n {
			p := sel.at + i
			if sel.bitmap != nil && !bitIsSet(sel.bitmap, p) {
				continue
			}
			run, err := ends.find(p)
			if err != nil {
				return nil, err
			}
			w.via = append(w.via, uint32(run+values.Offset()))
		}
		return values, nil
	}
	return nil, malformed(lf.name, "%s is not encoded", data.DataType())
}

func indexes[I uint8 | uint16 | uint32 | uint64](dst []uint32, src []I, limit uint64, offset uint32) ([]uint32, bool) {
	dst = resize(dst, len(src))
	var most I
	for i, x := range src {
		most = max(most, x)
		dst[i] = uint32(x) + offset
	}
	return dst, len(src) == 0 || uint64(most) < limit
}

// gatherBits fills w.boolBits with the selected booleans.
func (w *workspace) gatherBits(raw []byte, sel *selection) {
	b := &w.boolBits
	b.reset()
	switch {
	case sel.pick != nil:
		for _, p := range sel.pick {
			b.add(uint64(raw[p>>3]>>(p&7)&1), 1)
		}
	case sel.spans != nil:
		for _, s := range sel.spans {
			b.addRange(raw, s.start, s.n)
		}
	case sel.bitmap != nil:
		b.addSelected(raw, sel.bitmap, sel.at, sel.n)
	default:
		b.addRange(raw, sel.at, sel.n)
	}
}

// byteArrays fills out with the selected values of a string or binary array.
func (w *workspace) byteArrays(lf *leaf, values arrow.ArrayData, sel *selection, out *byteSlices) error {
	var ok bool
	switch storage(values.DataType()).ID() {
	case arrow.STRING, arrow.BINARY:
		out.data = buffer(values, 2)
		ok = fromOffsets(out, viewAs[int32](buffer(values, 1)), sel)
	case arrow.LARGE_STRING, arrow.LARGE_BINARY:
		out.data = buffer(values, 2)
		ok = fromOffsets(out, viewAs[int64](buffer(values, 1)), sel)
	case arrow.STRING_VIEW, arrow.BINARY_VIEW:
		views := gather(&w.views, viewAs[[4]uint32](buffer(values, 1)), sel)
		total := 0
		for i := range views {
			total += int(int32(views[i][0]))
		}
		if total > math.MaxInt32 || total > gatherLimit && !w.oneRow {
			return &tooManySlots{total}
		}
		ok = w.fromViews(out, values, views)
	default:
		return malformed(lf.name, "unexpected type %s", values.DataType())
	}
	if !ok {
		return malformed(lf.name, "a value reaches outside of the data, or has more than 2 GiB")
	}
	return nil
}

// fromOffsets reads the selected values of an array with offsets. Null slots
// may cover bytes: they are simply not selected.
func fromOffsets[O int32 | int64](out *byteSlices, offsets []O, sel *selection) bool {
	out.start, out.size = resize(out.start, sel.count), resize(out.size, sel.count)
	out.packed, out.total = true, 0
	start, size := out.start, out.size
	var bad O // negative as soon as one size is
	var wide int64
	k, next := 0, -1
	one := func(p int) {
		from, to := offsets[p], offsets[p+1]
		d := to - from
		bad |= d | from
		wide |= int64(d)
		start[k], size[k] = int(from), int32(d)
		out.total += int(d)
		if int(to) > len(out.data) {
			bad = -1
		}
		if next >= 0 && int(from) != next {
			out.packed = false
		}
		next = int(to)
		k++
	}
	switch {
	case sel.pick != nil:
		for _, p := range sel.pick {
			one(int(p))
		}
		out.packed = false
	case sel.spans != nil:
		for _, s := range sel.spans {
			for p := s.start; p < s.start+s.n; p++ {
				one(p)
			}
		}
	case sel.bitmap != nil:
		for i := 0; i < sel.n; i += 64 {
			n := min(64, sel.n-i)
			var word uint64
			if n == 64 {
				word = load64(sel.bitmap, sel.at+i)
			} else {
				word = loadBits(sel.bitmap, sel.at+i, n)
			}
			for ; word != 0; word &= word - 1 {
				one(sel.at + i + bits.TrailingZeros64(word))
			}
		}
	default:
		stretch := offsets[sel.at : sel.at+sel.n+1]
		from := stretch[0]
		bad = from
		start, size = start[:sel.n], size[:sel.n]
		for i, to := range stretch[1:] {
			d := to - from
			bad |= d
			wide |= int64(d)
			start[i], size[i] = int(from), int32(d)
			from = to
		}
		if int(from) > len(out.data) {
			bad = -1
		}
		out.total = int(from - stretch[0])
	}
	return bad >= 0 && wide <= math.MaxInt32
}

// fromViews copies the values of views behind one another: they lie in many
// buffers.
func (w *workspace) fromViews(out *byteSlices, values arrow.ArrayData, views [][4]uint32) bool {
	out.start, out.size = resize(out.start, len(views)), resize(out.size, len(views))
	buffers := values.Buffers()
	data := w.viewData[:0]
	for i := range views {
		v := &views[i]
		n := int(int32(v[0]))
		out.start[i], out.size[i] = len(data), int32(n)
		switch {
		case n < 0:
			return false
		case n <= arrow.ViewPrefixLen+8: // short values lie in the view itself
			data = append(data, bytesOf(v[1:])[:n]...)
		default:
			k := int(v[2]) + 2
			if k >= len(buffers) || buffers[k] == nil {
				return false
			}
			b := buffers[k].Bytes()
			from := int(v[3])
			if from+n > len(b) {
				return false
			}
			data = append(data, b[from:from+n]...)
		}
	}
	w.viewData = data
	out.data, out.total, out.packed = data, len(data), true
	return true
}
