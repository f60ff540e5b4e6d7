package rowgroup

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED = 5)".
//
// The header is block size, mini-blocks per block, number of values (varints)
// and the first value (zigzag). A block holds 128 differences: the smallest one
// (zigzag), four bit widths, and four mini-blocks of 32 differences above it.

const (
	deltaBlock     = 128
	deltaMini      = 32
	deltaMiniCount = deltaBlock / deltaMini
)

// deltaHeaderSize is about what a header costs; it is left out when the
// encoding of a few blocks stands for that of a whole column.
const deltaHeaderSize = 14

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// appendDelta appends v. Differences wrap around in T's own width: a column of
// INT32 never has differences of 33 bits, which readers would refuse.
func appendDelta[T int32 | int64](dst []byte, v []T) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaMiniCount)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	if len(v) == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, zigzag(int64(v[0])))
	var mask = ^uint64(0)
	if unsafe.Sizeof(v[0]) == 4 {
		mask = 0xffffffff
	}
	var diffs [deltaBlock]uint64
	prev := v[0]
	for i := 1; i < len(v); {
		n := min(deltaBlock, len(v)-i)
		block := v[i : i+n]
		lowest := block[0] - prev
		highest := lowest
		for j, x := range block {
			d := x - prev
			prev = x
			lowest, highest = min(lowest, d), max(highest, d)
			diffs[j&(deltaBlock-1)] = uint64(d)
		}
		i += n
		dst = reserve(dst, 8*deltaBlock+64)
		dst = binary.AppendUvarint(dst, zigzag(int64(lowest)))
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		if lowest == highest {
			continue
		}
		base := uint64(lowest)
		for j := n; j < deltaBlock; j++ {
			diffs[j] = base
		}
		whole := uint64(highest-lowest) & mask
		for m := 0; m*deltaMini < n; m++ {
			mini := (*[deltaMini]uint64)(diffs[m*deltaMini:])
			need := whole
			if bits.Len64(whole) > 3 { // else no mini-block can win much
				need = 0
				for _, d := range mini {
					need |= d - base
				}
				need &= mask
			}
			width := uint(bits.Len64(need))
			dst[widths+m] = byte(width)
			if width == 0 {
				continue
			}
			size := int(width) * deltaMini / 8
			out := dst[len(dst) : len(dst)+size+16]
			if mask == ^uint64(0) {
				packMini(out, mini, base, width)
			} else {
				for k := range mini {
					mini[k] = (mini[k] - base) & mask
				}
				packMini(out, mini, 0, width)
			}
			dst = dst[:len(dst)+size]
		}
	}
	return dst
}

// packMini stores 32 values, each less base, at the given width. It may write
// up to 16 bytes behind them.
func packMini(out []byte, v *[deltaMini]uint64, base uint64, width uint) {
	var acc uint64
	var held uint
	p := 0
	switch {
	case width <= 16: // four values make one word at most
		for i := 0; i < deltaMini; i += 4 {
			q := (v[i] - base) | (v[i+1]-base)<<(width&63) | (v[i+2]-base)<<((2*width)&63) | (v[i+3]-base)<<((3*width)&63)
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
	case width <= 32:
		for i := 0; i < deltaMini; i += 2 {
			q := (v[i] - base) | (v[i+1]-base)<<(width&63)
			acc |= q << (held & 63)
			total := held + 2*width
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
	default:
		for i := range v {
			q := v[i] - base
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
	}
	binary.LittleEndian.PutUint64(out[p:], acc)
}
