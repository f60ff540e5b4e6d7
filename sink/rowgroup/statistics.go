package rowgroup

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"
	"unsafe"
)

// parquet.thrift, Statistics and ColumnOrder: bounds, null and NaN counts of a
// page and of a chunk. Bounds are kept as they are written: PLAIN, and of byte
// arrays without the length.

// order is how two bounds compare: ColumnOrder's TypeDefinedOrder.
type order uint8

const (
	noOrder order = iota // undefined: no bounds are written
	boolOrder
	int32Order
	int64Order
	uint32Order
	uint64Order
	floatOrder
	doubleOrder
	float16Order
	bytesOrder
	decimalOrder // big-endian, signed
)

func (o order) isFloat() bool { return o == floatOrder || o == doubleOrder || o == float16Order }

func sign[T int32 | int64 | uint32 | uint64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compare orders two bounds.
func (o order) compare(a, b []byte) int {
	le := binary.LittleEndian
	switch o {
	case int32Order:
		return sign(int32(le.Uint32(a)), int32(le.Uint32(b)))
	case uint32Order:
		return sign(le.Uint32(a), le.Uint32(b))
	case int64Order:
		return sign(int64(le.Uint64(a)), int64(le.Uint64(b)))
	case uint64Order:
		return sign(le.Uint64(a), le.Uint64(b))
	case floatOrder:
		return sign(float64(math.Float32frombits(le.Uint32(a))), float64(math.Float32frombits(le.Uint32(b))))
	case doubleOrder:
		return sign(math.Float64frombits(le.Uint64(a)), math.Float64frombits(le.Uint64(b)))
	case float16Order:
		return sign(float16Rank(le.Uint16(a)), float16Rank(le.Uint16(b)))
	case decimalOrder:
		// The sign bit turned over, signed bytes compare like unsigned ones.
		if d := int(a[0]^0x80) - int(b[0]^0x80); d != 0 {
			return d
		}
		return bytes.Compare(a[1:], b[1:])
	}
	return bytes.Compare(a, b)
}

// float16Rank maps a half-precision number to an integer of the same order.
// -0 and +0 rank the same.
func float16Rank(bits uint16) int32 {
	if bits&0x8000 != 0 {
		return -int32(bits & 0x7fff)
	}
	return int32(bits)
}

func float16IsNaN(bits uint16) bool { return bits&0x7fff > 0x7c00 }

// bounds are the smallest and largest value, NaN left out.
type bounds struct {
	has                bool
	min, max           []byte
	minExact, maxExact bool
	nans               int64
}

// boundLimit is how many bytes of a long string a bound keeps. wholeLimit is
// how long a bound may be that cannot be shortened.
const (
	boundLimit = 64
	wholeLimit = 4096
)

func intBounds[T int32 | int64](v []T, unsigned bool) (lowest, highest T) {
	var flip T
	if unsigned { // with the top bit turned over, unsigned order is signed order
		flip = T(1) << (bitsOf[T]() - 1)
	}
	lowest, highest = v[0]^flip, v[0]^flip
	if !unsigned {
		for _, x := range v {
			lowest, highest = min(lowest, x), max(highest, x)
		}
		return lowest, highest
	}
	for _, x := range v {
		lowest, highest = min(lowest, x^flip), max(highest, x^flip)
	}
	return lowest ^ flip, highest ^ flip
}

func bitsOf[T int32 | int64]() uint {
	var x T
	return uint(8 * unsafe.Sizeof(x))
}

// floatBounds leaves NaN out. has is false if there is nothing else.
func floatBounds[F float32 | float64](v []F) (lowest, highest F, nans int64, has bool) {
	lowest, highest = F(math.Inf(1)), F(math.Inf(-1))
	for _, x := range v {
		if x >= lowest && x <= highest { // never true of NaN
			continue
		}
		if x != x {
			nans++
			continue
		}
		lowest, highest = min(lowest, x), max(highest, x)
	}
	return lowest, highest, nans, int64(len(v)) > nans
}

// zeroSigned follows ColumnOrder: a bound of zero is -0 below and +0 above,
// because readers may not tell the two zeros apart.
func zeroSigned(lowest, highest float64) (float64, float64) {
	if lowest == 0 {
		lowest = math.Copysign(0, -1)
	}
	if highest == 0 {
		highest = 0
		highest = math.Abs(highest)
	}
	return lowest, highest
}

func appendFloat[F float32 | float64](dst []byte, x F, wide bool) []byte {
	if wide {
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(x)))
	}
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(x)))
}

func appendInt[T int32 | int64](dst []byte, x T) []byte {
	if bitsOf[T]() == 64 {
		return binary.LittleEndian.AppendUint64(dst, uint64(x))
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(x))
}

// prefixOf is the first eight bytes of a value as a number of the same order;
// what the value does not have counts as zeros. Equal prefixes decide nothing.
func prefixOf(data []byte, start, n int) uint64 {
	if start+8 <= len(data) {
		p := binary.BigEndian.Uint64(data[start:])
		if n < 8 {
			p &^= ^uint64(0) >> uint(8*n)
		}
		return p
	}
	var p uint64
	for i := range min(n, 8) {
		p |= uint64(data[start+i]) << (56 - 8*i)
	}
	return p
}

// bytesBounds is the smallest and largest of the values, as parts of their
// memory. Most values are told from both by their first eight bytes, and of
// those that begin alike, as paths do, most by the next eight.
func bytesBounds(s *byteSlices) (lowest, highest []byte) {
	first, size := s.start[0], int(s.size[0])
	lowest, highest = s.at(0), s.at(0)
	low, lowNext := prefixOf(s.data, first, size), prefixOf(s.data, first+8, max(size-8, 0))
	high, highNext := low, lowNext
	for i, start := range s.start {
		n := int(s.size[i])
		p := prefixOf(s.data, start, n)
		if p > low && p < high {
			continue
		}
		next := prefixOf(s.data, start+8, max(n-8, 0))
		if (p > low || p == low && next > lowNext) && (p < high || p == high && next < highNext) {
			continue
		}
		v := s.at(i)
		if bytes.Compare(v, lowest) < 0 {
			lowest, low, lowNext = v, p, next
		}
		if bytes.Compare(v, highest) > 0 {
			highest, high, highNext = v, p, next
		}
	}
	return lowest, highest
}

// cut shortens a lower bound: a prefix is never larger than the whole. Of text
// whole runes stay, so that the bound is text too.
func cut(b []byte, text bool) []byte {
	n := boundLimit
	if text {
		for n > boundLimit-utf8.UTFMax && !utf8.RuneStart(b[n]) {
			n--
		}
	}
	return b[:n]
}

// raise makes the smallest simple value above everything that begins with b,
// or nil if there is none: the last byte or rune that can be raised is.
func raise(b []byte, text bool) []byte {
	out := append([]byte(nil), b...)
	for len(out) > 0 {
		if !text {
			if out[len(out)-1] != 0xff {
				out[len(out)-1]++
				return out
			}
			out = out[:len(out)-1]
			continue
		}
		r, n := utf8.DecodeLastRune(out)
		if r == utf8.RuneError && n <= 1 {
			return nil // no text after all: no bound in runes can be trusted
		}
		out = out[:len(out)-n]
		next := r + 1
		if next == 0xD800 { // surrogates are no runes
			next = 0xE000
		}
		if next <= utf8.MaxRune {
			return utf8.AppendRune(out, next)
		}
	}
	return nil
}

// setBytes sets the bounds of byte arrays, shortened if they are long. has
// stays false if a long upper bound has no shorter form.
func (b *bounds) setBytes(lowest, highest []byte, text bool) {
	b.min, b.minExact = lowest, true
	b.max, b.maxExact = highest, true
	if len(lowest) > boundLimit {
		b.min, b.minExact = cut(lowest, text), false
	}
	b.has = true
	if len(highest) > boundLimit {
		if up := raise(cut(highest, text), text); up != nil {
			b.max, b.maxExact = up, false
		} else if len(highest) > wholeLimit {
			b.has = false
		}
	}
}

// write appends parquet.thrift's Statistics as a field.
func (s *chunkStatistics) write(t *thriftWriter, id int16) {
	t.begin(id)
	t.i64(3, s.nulls)
	if s.distinct > 0 {
		t.i64(4, s.distinct)
	}
	if s.has {
		t.binary(5, s.max)
		t.binary(6, s.min)
		t.boolean(7, s.maxExact)
		t.boolean(8, s.minExact)
	}
	if s.float {
		t.i64(9, s.nans)
	}
	t.end()
}

// chunkStatistics is what is known of a whole column chunk.
type chunkStatistics struct {
	bounds
	nulls    int64
	distinct int64 // 0: not known
	float    bool  // nans is counted
}

// readStatistics reads what write wrote.
func readStatistics(t *thriftReader) (s chunkStatistics) {
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 3 && kind == thriftI64:
			s.nulls = t.varint()
		case id == 4 && kind == thriftI64:
			s.distinct = t.varint()
		case id == 5 && kind == thriftBinary:
			s.max, s.has = bytes.Clone(t.bytes()), true
		case id == 6 && kind == thriftBinary:
			s.min = bytes.Clone(t.bytes())
		case id == 7:
			s.maxExact = kind == thriftTrue
		case id == 8:
			s.minExact = kind == thriftTrue
		case id == 9 && kind == thriftI64:
			s.nans, s.float = t.varint(), true
		default:
			return false
		}
		return true
	})
	return s
}
