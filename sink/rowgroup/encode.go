package rowgroup

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Encodings.md: the values of one page in the encoding of their chunk. Each
// function appends the encoded values to w.segments, where a segment may be
// Arrow's own memory, and gives the page's bounds.

// constant tells whether all values are the same. Rows that are not look at
// three of them only.
func constant[T comparable](v []T) bool {
	first := v[0]
	if v[len(v)-1] != first || v[len(v)/2] != first {
		return false
	}
	for _, x := range v {
		if x != first {
			return false
		}
	}
	return true
}

// encodeBools: PLAIN is one bit per value; runs take RLE where they are shorter.
func (c *column) encodeBools(w *workspace, packed []byte, n int) (encoding, bounds) {
	set := countBits(packed, 0, n)
	lowest, highest := byte(1), byte(0)
	if set > 0 {
		highest = 1
	}
	if set < n {
		lowest = 0
	}
	b := bounds{has: true, min: []byte{lowest}, max: []byte{highest}, minExact: true, maxExact: true}
	if !c.compat {
		w.encoded = appendSized(w.encoded[:0], func(dst []byte) []byte {
			if set == 0 || set == n {
				return appendRun(dst, uint32(highest), n, 1)
			}
			return appendHybridBits(dst, packed, 0, n)
		})
		if len(w.encoded) < (n+7)/8*7/8 {
			w.segments = append(w.segments, w.encoded)
			return rle, b
		}
	}
	w.segments = append(w.segments, packed)
	return plain, b
}

// encodeInts: INT32 and INT64, FLOAT and DOUBLE as bit patterns.
func encodeInts[T int32 | int64](c *column, w *workspace, v []T, d *intDictionary[T]) (encoding, bounds) {
	b := bounds{minExact: true, maxExact: true}
	isFloat := c.order.isFloat()
	unsigned := c.order == uint32Order || c.order == uint64Order
	var lowest T
	same, valueRange := false, uint64(math.MaxUint64)
	if isFloat {
		var low, high float64
		wide := c.phys == doubleType
		if wide {
			low, high, b.nans, b.has = floatBounds(viewAs[float64](bytesOf(v)))
		} else {
			var l, h float32
			l, h, b.nans, b.has = floatBounds(viewAs[float32](bytesOf(v)))
			low, high = float64(l), float64(h)
		}
		if b.has {
			low, high = zeroSigned(low, high)
			b.min, b.max = appendFloat(nil, low, wide), appendFloat(nil, high, wide)
		}
		same = constant(v)
	} else {
		var highest T
		lowest, highest = intBounds(v, unsigned)
		b.has = true
		b.min, b.max = appendInt(w.bound[0][:0], lowest), appendInt(w.bound[1][:0], highest)
		same = lowest == highest
		valueRange = uint64(highest) - uint64(lowest)
		if bitsOf[T]() == 32 {
			valueRange = uint64(uint32(highest) - uint32(lowest))
		}
	}
	if c.mode == undecided {
		if same {
			c.mode = dictionaryIndex
		} else {
			c.mode = chooseInts(c, w, v, valueRange)
		}
		if c.mode == dictionaryIndex {
			d.seed(lowest, valueRange)
		}
	}
	if same && (c.mode == dictionaryIndex || c.mode == plain || c.mode == byteStreamSplit) {
		// One index, once: also in a chunk that has no dictionary otherwise.
		var index [1]uint32
		d.encode(v[:1], index[:])
		w.run(index[0], len(v), d.len())
		return dictionaryIndex, b
	}
	switch c.mode {
	case dictionaryIndex:
		w.indexes = resize(w.indexes, len(v))
		before := d.len()
		d.encode(v, w.indexes)
		w.dictionaryIndexes(w.indexes, d.len())
		if c.dictionaryFails(d.len(), before, len(v), d.len()*int(bitsOf[T]()/8)) {
			c.mode = plain
			if !isFloat && !c.compat {
				c.mode = deltaPacked
			}
		}
		return dictionaryIndex, b
	case deltaPacked:
		w.encoded = appendDelta(w.encoded[:0], v)
		w.segments = append(w.segments, w.encoded)
		return deltaPacked, b
	case byteStreamSplit:
		w.encoded = appendByteStreamSplit(w.encoded[:0], bytesOf(v), int(bitsOf[T]()/8))
		w.segments = append(w.segments, w.encoded)
		return byteStreamSplit, b
	}
	w.segments = append(w.segments, bytesOf(v))
	return plain, b
}

func (d *intDictionary[T]) len() int { return len(d.values) }

// dictionaryFails tells whether later pages should do without: the dictionary
// is full, or more than half of a page's values were new to it.
func (c *column) dictionaryFails(now, before, values, size int) bool {
	return now > c.limits.dictionaryValues || size > c.limits.dictionaryBytes || values > 1000 && 2*(now-before) > values
}

// dictionaryIndexes appends the data page of a dictionary of n values.
func (w *workspace) dictionaryIndexes(indexes []uint32, n int) {
	width := widthOf(n - 1)
	w.encoded = append(w.encoded[:0], byte(width))
	w.encoded = appendHybrid(w.encoded, indexes, width)
	w.segments = append(w.segments, w.encoded)
}

// run appends a data page of one index n times.
func (w *workspace) run(index uint32, n, dictionary int) {
	width := widthOf(dictionary - 1)
	w.encoded = append(w.encoded[:0], byte(width))
	w.encoded = appendRun(w.encoded, index, n, width)
	w.segments = append(w.segments, w.encoded)
}

// encodeFixed: FIXED_LEN_BYTE_ARRAY.
func (c *column) encodeFixed(w *workspace, v []byte) (encoding, bounds) {
	b := c.fixedBounds(w, v)
	width := c.width
	n := len(v) / width
	// All values are the same if each is the same as the next.
	same := bytes.Equal(v[:len(v)-width], v[width:])
	if c.mode == undecided {
		if same {
			c.mode = dictionaryIndex
		} else {
			c.mode = chooseFixed(c, w, v, width)
		}
	}
	d := &c.dictBytes
	if same {
		w.run(d.find(v[:width]), n, d.len())
		return dictionaryIndex, b
	}
	if c.mode == dictionaryIndex {
		before := d.len()
		w.indexes = resize(w.indexes, n)
		for i := range w.indexes {
			w.indexes[i] = d.find(v[i*width : (i+1)*width])
		}
		w.dictionaryIndexes(w.indexes, d.len())
		if c.dictionaryFails(d.len(), before, n, len(d.plain)) {
			c.mode = plain
		}
		return dictionaryIndex, b
	}
	w.segments = append(w.segments, v)
	return plain, b
}

// fixedBounds are the bounds of values of one width. They lie in v, or, for
// half-precision zeros, in memory of their own.
func (c *column) fixedBounds(w *workspace, v []byte) bounds {
	b := bounds{minExact: true, maxExact: true}
	width := c.width
	switch c.order {
	case noOrder:
		return bounds{}
	case float16Order:
		var lowest, highest uint16
		for _, x := range viewAs[uint16](v) {
			switch {
			case float16IsNaN(x):
				b.nans++
			case !b.has:
				lowest, highest, b.has = x, x, true
			case float16Rank(x) < float16Rank(lowest):
				lowest = x
			case float16Rank(x) > float16Rank(highest):
				highest = x
			}
		}
		if b.has {
			if float16Rank(lowest) == 0 {
				lowest = 0x8000
			}
			if float16Rank(highest) == 0 {
				highest = 0
			}
			b.min = binary.LittleEndian.AppendUint16(w.bound[0][:0], lowest)
			b.max = binary.LittleEndian.AppendUint16(w.bound[1][:0], highest)
		}
		return b
	}
	lowest, highest := v[:width], v[:width]
	var flip uint64
	if c.order == decimalOrder {
		flip = 1 << 63
	}
	low := prefixOf(v, 0, width) ^ flip
	high := low
	for at := width; at < len(v); at += width {
		p := prefixOf(v, at, width) ^ flip
		if p > low && p < high {
			continue
		}
		x := v[at : at+width]
		// Equal prefixes have equal signs, so the rest compares unsigned.
		if p < low || p == low && bytes.Compare(x, lowest) < 0 {
			lowest, low = x, p
		}
		if p > high || p == high && bytes.Compare(x, highest) > 0 {
			highest, high = x, p
		}
	}
	b.has, b.min, b.max = true, lowest, highest
	if c.order == bytesOrder && width > boundLimit {
		// A bound may be shorter than the values, but FIXED_LEN_BYTE_ARRAY
		// readers expect the full width: long ones are left out.
		b.has = width <= wholeLimit
	}
	return b
}

// sameBytes tells whether all values are the same.
func sameBytes(s *byteSlices) bool {
	n := len(s.start)
	first := s.at(0)
	if !bytes.Equal(s.at(n-1), first) || !bytes.Equal(s.at(n/2), first) || !constant(s.size) {
		return false
	}
	if s.via != nil && constant(s.via) {
		return true
	}
	if all := s.contiguous(); all != nil && len(first) > 0 {
		return bytes.Equal(all[:len(all)-len(first)], all[len(first):])
	}
	for i := range s.start {
		if !bytes.Equal(s.at(i), first) {
			return false
		}
	}
	return true
}

// encodeBytes: BYTE_ARRAY. The bounds of values that are in no dictionary are
// left to the caller.
func (c *column) encodeBytes(w *workspace, s *byteSlices) (encoding, bounds) {
	var b bounds
	d := &c.dictBytes
	n := len(s.start)
	if sameBytes(s) {
		if c.mode == undecided {
			c.mode = dictionaryIndex
		}
		b.setBytes(s.at(0), s.at(0), c.text)
		w.run(d.find(s.at(0)), n, d.len())
		return dictionaryIndex, b
	}
	if c.mode == undecided {
		c.mode = chooseBytes(c, w, s)
	}
	if c.mode == dictionaryIndex {
		before := d.len()
		w.indexes = d.encode(s, w.indexes)
		w.dictionaryIndexes(w.indexes, d.len())
		lowest, highest := d.boundsOf(w.indexes, uint32(len(c.pages)+1))
		b.setBytes(lowest, highest, c.text)
		if c.dictionaryFails(d.len(), before, n, len(d.plain)) {
			c.mode = plain
			if !c.compat {
				c.mode = deltaLength
			}
		}
		return dictionaryIndex, b
	}
	switch c.mode {
	case deltaLength:
		w.encoded = appendDelta(w.encoded[:0], s.size)
		if s.packed {
			w.segments = append(w.segments, w.encoded, s.contiguous())
			return deltaLength, b
		}
		w.encoded = s.appendRange(w.encoded, 0, n)
	case deltaStrings:
		w.encoded = appendDeltaStrings(w.encoded[:0], s, 0, n, &w.deltas)
	default:
		w.encoded = reserve(w.encoded[:0], s.total+4*n)
		for i := range n {
			w.encoded = binary.LittleEndian.AppendUint32(w.encoded, uint32(s.size[i]))
			w.encoded = append(w.encoded, s.at(i)...)
		}
	}
	w.segments = append(w.segments, w.encoded)
	return c.mode, b
}

// boundsOf is the smallest and largest of the values with these indexes; page
// is a number that no earlier call had, and not zero.
func (d *bytesDictionary) boundsOf(indexes []uint32, page uint32) (lowest, highest []byte) {
	lowest = d.at(int(indexes[0]))
	highest = lowest
	for _, i := range indexes {
		if d.seen[i] == page {
			continue
		}
		d.seen[i] = page
		v := d.at(int(i))
		if bytes.Compare(v, lowest) < 0 {
			lowest = v
		}
		if bytes.Compare(v, highest) > 0 {
			highest = v
		}
	}
	return lowest, highest
}
