package rowgroup

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Arrow columnar format, "Validity bitmaps": one bit per slot, least
// significant bit first. Every function here takes a bit offset, because a
// sliced array shares its parent's bitmap.

// load64 reads 64 bits from bit position at. The bitmap must hold them all.
func load64(bitmap []byte, at int) uint64 {
	first, shift := at>>3, uint(at&7)
	word := binary.LittleEndian.Uint64(bitmap[first:])
	if shift == 0 {
		return word
	}
	return word>>shift | uint64(bitmap[first+8])<<(64-shift)
}

// loadBits reads n < 64 bits from bit position at.
func loadBits(bitmap []byte, at, n int) uint64 {
	if n == 0 {
		return 0
	}
	var word uint64
	first, shift := at>>3, uint(at&7)
	last := (at + n - 1) >> 3
	for i := first; i <= last; i++ {
		b := uint64(bitmap[i])
		if k := i - first; k > 0 {
			word |= b << (uint(8*k) - shift)
		} else {
			word |= b >> shift
		}
	}
	return word & (1<<uint(n) - 1)
}

func bitIsSet(bitmap []byte, at int) bool { return bitmap[at>>3]>>(uint(at)&7)&1 != 0 }

// countBits counts the set bits in [at, at+n).
func countBits(bitmap []byte, at, n int) int {
	count := 0
	for ; n >= 64; n, at = n-64, at+64 {
		count += bits.OnesCount64(load64(bitmap, at))
	}
	return count + bits.OnesCount64(loadBits(bitmap, at, n))
}

// appendBits appends n bits of bitmap from bit position at; the last byte is
// filled up with zeros.
func appendBits(dst, bitmap []byte, at, n int) []byte {
	if n == 0 {
		return dst
	}
	if at&7 == 0 {
		dst = append(dst, bitmap[at>>3:(at+n+7)>>3]...)
	} else {
		i := 0
		for ; i+64 <= n; i += 64 {
			dst = binary.LittleEndian.AppendUint64(dst, load64(bitmap, at+i))
		}
		for ; i < n; i += 8 {
			dst = append(dst, byte(loadBits(bitmap, at+i, min(8, n-i))))
		}
	}
	if rest := n & 7; rest != 0 {
		dst[len(dst)-1] &= 1<<rest - 1
	}
	return dst
}

// bitWriter appends bits behind one another. The zero value is ready.
type bitWriter struct {
	buf  []byte // whole bytes
	acc  uint64 // bits not yet in buf, from bit 0
	held uint   // how many of them, less than 64
	n    int    // all bits written
}

func (w *bitWriter) reset() { w.buf, w.acc, w.held, w.n = w.buf[:0], 0, 0, 0 }

// add appends the low n <= 64 bits of word. Higher bits must be zero.
func (w *bitWriter) add(word uint64, n uint) {
	if n == 0 {
		return
	}
	w.n += int(n)
	w.acc |= word << w.held
	if total := w.held + n; total < 64 {
		w.held = total
		return
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.acc)
	used := 64 - w.held // bits of word that went out; used >= 1
	w.held = n - used
	w.acc = 0
	if used < 64 {
		w.acc = word >> used
	}
}

// addRange appends n bits of bitmap from bit position at.
func (w *bitWriter) addRange(bitmap []byte, at, n int) {
	for ; n >= 64; n, at = n-64, at+64 {
		w.add(load64(bitmap, at), 64)
	}
	w.add(loadBits(bitmap, at, n), uint(n))
}

// addOnes appends n set bits.
func (w *bitWriter) addOnes(n int) {
	for ; n >= 64; n -= 64 {
		w.add(^uint64(0), 64)
	}
	w.add(1<<uint(n)-1, uint(n))
}

// addSelected appends those bits of src whose bit in mask is set; both are
// read from bit position at and onwards, n of them.
func (w *bitWriter) addSelected(src, mask []byte, at, n int) {
	for n > 0 {
		step := min(n, 64)
		var s, m uint64
		if step == 64 {
			s, m = load64(src, at), load64(mask, at)
		} else {
			s, m = loadBits(src, at, step), loadBits(mask, at, step)
		}
		if m == ^uint64(0) {
			w.add(s, 64)
		} else {
			var out uint64
			var k uint
			for ; m != 0; m &= m - 1 {
				out |= s >> uint(bits.TrailingZeros64(m)) & 1 << k
				k++
			}
			w.add(out, k)
		}
		n, at = n-step, at+step
	}
}

// bytes gives all bits written so far, the last byte filled up with zeros. The
// writer goes on behind them.
func (w *bitWriter) bytes() []byte {
	out := w.buf
	for acc, held := w.acc, int(w.held); held > 0; acc, held = acc>>8, held-8 {
		out = append(out, byte(acc))
	}
	// Keep the room that append found, but not the partial word.
	w.buf = out[:len(w.buf)]
	return out
}

// compact appends to dst[:0] the values of src whose bit is set in bitmap,
// which is read from bit position at.
func compact[T any](dst, src []T, bitmap []byte, at int) []T {
	n := len(src)
	// The branch-free loop writes one value too many, so 64 more are kept.
	if cap(dst) < n+64 {
		dst = make([]T, n+64)
	}
	dst = dst[:n+64]
	out, i := 0, 0
	for ; i+64 <= n; i += 64 {
		word := load64(bitmap, at+i)
		if word == ^uint64(0) {
			copy(dst[out:out+64], src[i:i+64])
			out += 64
			continue
		}
		if bits.OnesCount64(word) > 32 {
			for k, v := range src[i : i+64 : i+64] {
				dst[out] = v
				out += int(word >> uint(k) & 1)
			}
			continue
		}
		for ; word != 0; word &= word - 1 {
			dst[out] = src[i+bits.TrailingZeros64(word)]
			out++
		}
	}
	for word := loadBits(bitmap, at+i, n-i); word != 0; word &= word - 1 {
		dst[out] = src[i+bits.TrailingZeros64(word)]
		out++
	}
	return dst[:out]
}

// reserve makes room for n more bytes behind dst.
func reserve(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	wider := make([]byte, len(dst), 2*cap(dst)+n)
	copy(wider, dst)
	return wider
}

// resize gives a slice of n elements with the memory of s if that is enough.
// What the elements hold is undefined.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

// viewAs reads Arrow buffer memory as values of T. Arrow is little endian, and
// so are all platforms that this program is built for.
func viewAs[T any](b []byte) []T {
	var zero T
	n := len(b) / int(unsafe.Sizeof(zero))
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// bytesOf is the memory of v.
func bytesOf[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(zero)))
}
