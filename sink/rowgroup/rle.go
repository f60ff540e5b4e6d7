package rowgroup

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Encodings.md, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)".
//
// A run is `varint(count<<1)` and one value in whole bytes; a stretch of
// differing values is `varint(groups<<1|1)` and groups of eight values, bit
// packed least significant bit first. Levels, dictionary indexes and booleans
// use it.

// runMinimum is the shortest repetition that becomes a run of its own: below
// it the two extra headers cost more than the run saves.
const runMinimum = 16

// appendHybrid appends v at the given bit width, without a length prefix.
func appendHybrid[T uint8 | uint32](dst []byte, v []T, width uint) []byte {
	literal := 0 // where the values begin that no run has covered yet
	levels, bytes := any(v).([]uint8)
	for i := 0; i+8 <= len(v); {
		if bytes {
			// As one word: all eight are the same if it is what it is turned by one.
			if word := binary.LittleEndian.Uint64(levels[i:]); word != bits.RotateLeft64(word, 8) {
				i += 8
				continue
			}
		}
		x := v[i : i+8 : i+8]
		first := x[0]
		if x[1] != first || x[2] != first || x[3] != first || x[4] != first || x[5] != first || x[6] != first || x[7] != first {
			i += 8
			continue
		}
		end := i + 8
		for end < len(v) && v[end] == first {
			end++
		}
		if end-i < runMinimum && width < 8 {
			i += 8
			continue
		}
		dst = appendLiteral(dst, v[literal:i], width)
		dst = appendRun(dst, uint32(first), end-i, width)
		i, literal = end, end
	}
	return appendLiteral(dst, v[literal:], width)
}

// appendRun appends n repetitions of value.
func appendRun(dst []byte, value uint32, n int, width uint) []byte {
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for k := uint(0); k < (width+7)/8; k++ {
		dst = append(dst, byte(value>>(8*k)))
	}
	return dst
}

// appendLiteral appends a bit-packed stretch. Only the last stretch of a
// sequence may have a length that is no multiple of eight: it is filled up.
func appendLiteral[T uint8 | uint32](dst []byte, v []T, width uint) []byte {
	if len(v) == 0 {
		return dst
	}
	groups := (len(v) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	end := len(dst) + groups*int(width)
	dst = appendPacked(dst, v, width)
	for len(dst) < end {
		dst = append(dst, 0)
	}
	return dst
}

// appendPacked appends len(v)*width bits, rounded up to whole bytes; width is
// at most 32.
func appendPacked[T uint8 | uint32](dst []byte, v []T, width uint) []byte {
	size := (len(v)*int(width) + 7) / 8
	// The last word is stored whole, so 16 bytes more are needed.
	dst = reserve(dst, size+16)
	out := dst[len(dst) : len(dst)+size+16]
	var acc uint64
	var held uint
	p, i := 0, 0
	if levels, ok := any(v).([]uint8); ok && width <= 8 {
		// Eight levels make width whole bytes.
		for ; i+8 <= len(levels); i += 8 {
			binary.LittleEndian.PutUint64(out[p:], packEight(binary.LittleEndian.Uint64(levels[i:]), width))
			p += int(width)
		}
	} else if width <= 16 {
		for ; i+4 <= len(v); i += 4 {
			x := v[i : i+4 : i+4]
			q := uint64(x[0]) | uint64(x[1])<<(width&63) | uint64(x[2])<<((2*width)&63) | uint64(x[3])<<((3*width)&63)
			acc |= q << (held & 63)
			total := held + 4*width
			if total >= 64 {
				binary.LittleEndian.PutUint64(out[p:], acc)
				p += 8
				acc = 0
				if held > 0 {
					acc = q >> ((64 - held) & 63)
				}
				total -= 64
			}
			held = total
		}
	}
	for ; i < len(v); i++ {
		q := uint64(v[i])
		acc |= q << (held & 63)
		total := held + width
		if total >= 64 {
			binary.LittleEndian.PutUint64(out[p:], acc)
			p += 8
			total -= 64
			acc = 0
			if total > 0 {
				acc = q >> ((width - total) & 63)
			}
		}
		held = total
	}
	binary.LittleEndian.PutUint64(out[p:], acc)
	return dst[:len(dst)+size]
}

// packEight joins eight values of up to eight bits, a byte each, to 8*width
// bits: neighbours first, then pairs, then fours.
func packEight(x uint64, width uint) uint64 {
	const bytes, pairs = 0x00ff_00ff_00ff_00ff, 0x0000_ffff_0000_ffff
	x = x&bytes | x&^bytes>>(8-width)
	x = x&pairs | x&^pairs>>(16-2*width)
	return x&math.MaxUint32 | x>>32<<(4*width)
}

// appendHybridBits appends n bits of a bitmap from bit position at as values of
// width 1. It is the way of validity bitmaps (which are definition levels of a
// flat optional column as they stand) and of booleans.
func appendHybridBits(dst, bitmap []byte, at, n int) []byte {
	words := n / 64
	literal := 0 // in words
	flush := func(dst []byte, end int) []byte {
		start := literal * 64
		if end <= start {
			return dst
		}
		dst = binary.AppendUvarint(dst, uint64((end-start+7)/8)<<1|1)
		return appendBits(dst, bitmap, at+start, end-start)
	}
	for i := 0; i < words; {
		word := load64(bitmap, at+i*64)
		if word != 0 && word != ^uint64(0) {
			i++
			continue
		}
		end := i + 1
		for end < words && load64(bitmap, at+end*64) == word {
			end++
		}
		dst = flush(dst, i*64)
		dst = appendRun(dst, uint32(word&1), (end-i)*64, 1)
		i, literal = end, end
	}
	return flush(dst, n)
}

// widthOf is the number of bits that hold every value up to most.
func widthOf(most int) uint { return uint(bits.Len(uint(most))) }
