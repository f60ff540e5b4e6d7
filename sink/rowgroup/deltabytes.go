package rowgroup

import (
	"encoding/binary"
	"math/bits"
)

// Encodings.md, "Delta-length byte array (DELTA_LENGTH_BYTE_ARRAY = 6)" and
// "Delta Strings (DELTA_BYTE_ARRAY = 7)".
//
// The first is all lengths, delta packed, then all bytes. The second is the
// lengths of the prefixes shared with the value before, delta packed, then the
// suffixes in the first form.

// sharedPrefix is the number of leading bytes that a and b have in common.
func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if d := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); d != 0 {
			return i + bits.TrailingZeros64(d)>>3
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// appendDeltaLength appends the values [from, to) of s.
func appendDeltaLength(dst []byte, s *byteSlices, from, to int) []byte {
	dst = appendDelta(dst, s.size[from:to])
	return s.appendRange(dst, from, to)
}

// appendDeltaStrings appends the values [from, to) of s. scratch is memory that
// the caller keeps.
func appendDeltaStrings(dst []byte, s *byteSlices, from, to int, scratch *deltaScratch) []byte {
	n := to - from
	scratch.prefix = resize(scratch.prefix, n)
	scratch.suffix = resize(scratch.suffix, n)
	var prev []byte
	for i := range n {
		v := s.at(from + i)
		p := sharedPrefix(prev, v)
		scratch.prefix[i] = int32(p)
		scratch.suffix[i] = int32(len(v) - p)
		prev = v
	}
	dst = appendDelta(dst, scratch.prefix)
	dst = appendDelta(dst, scratch.suffix)
	for i := range n {
		dst = append(dst, s.at(from + i)[scratch.prefix[i]:]...)
	}
	return dst
}

// deltaScratch is memory that appendDeltaStrings uses again and again.
type deltaScratch struct{ prefix, suffix []int32 }
