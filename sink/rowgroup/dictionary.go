package rowgroup

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// Encodings.md, "Dictionary Encoding (RLE_DICTIONARY = 8)": the distinct values
// of a chunk, PLAIN, in a page of their own in front; data pages hold the bit
// width of the indexes in one byte and the indexes as RLE hybrid.

// Hash multipliers differ from process to process, so that no data can be made
// to collide. The order of a dictionary is that of first appearance, so the
// file does not depend on them.
var (
	hashOdd = rand.Uint64()&0x0fff_ffff_ffff_fff0 ^ 0x9E3779B97F4A7C15 | 1
	hashA   = rand.Uint64()
	hashB   = rand.Uint64()
)

// intDictionary maps values of fixed width, by their bits, to indexes: through
// a window that is indexed by the value itself where all values so far are
// close together, through open addressing otherwise.
type intDictionary[T int32 | int64] struct {
	values []T

	most   uint64 // the largest range that gets a window
	base   T
	window []uint32 // index+1 of value base+i
	seeded bool     // the way has been chosen

	keys  []T
	slots []uint32 // index+1 of keys[i]
	shift uint
}

func (d *intDictionary[T]) reset() {
	d.values, d.window, d.seeded = d.values[:0], d.window[:0], false
	clear(d.slots)
}

// seed chooses the way for values that begin at base and span a range.
func (d *intDictionary[T]) seed(base T, span uint64) {
	d.seeded = true
	if span < d.most && len(d.values) == 0 {
		d.base = base
		d.window = resize(d.window, int(span)+1)
		clear(d.window)
		return
	}
	d.rehash(1024)
}

func (d *intDictionary[T]) hash(x T) uint64 { return (uint64(x) ^ hashA) * hashOdd >> d.shift }

// rehash builds a table of at least n slots, a power of two.
func (d *intDictionary[T]) rehash(n int) {
	for n < 4*len(d.values) {
		n *= 2
	}
	if cap(d.slots) >= n && cap(d.keys) >= n {
		d.keys, d.slots = d.keys[:n], d.slots[:n]
		clear(d.slots)
	} else {
		d.keys, d.slots = make([]T, n), make([]uint32, n)
	}
	d.shift = uint(64 - bits.Len(uint(n-1)))
	for i, x := range d.values {
		h := d.hash(x)
		for d.slots[h] != 0 {
			h = (h + 1) & uint64(n-1)
		}
		d.keys[h], d.slots[h] = x, uint32(i+1)
	}
}

// encode writes the index of each value to out.
func (d *intDictionary[T]) encode(v []T, out []uint32) {
	if !d.seeded {
		d.seed(0, ^uint64(0))
	}
	i := 0
	if len(d.window) > 0 {
		if i = d.encodeWindow(v, out); i == len(v) {
			return
		}
		// A value lies outside: all that is known moves to the table.
		d.window = d.window[:0]
		d.rehash(1024)
	}
	out = out[:len(v)]
	for ; i < len(v); i++ {
		x := v[i]
		h := d.hash(x)
		for {
			c := d.slots[h]
			if c == 0 {
				d.values = append(d.values, x)
				c = uint32(len(d.values))
				d.keys[h], d.slots[h] = x, c
				out[i] = c - 1
				if 2*len(d.values) > len(d.slots) {
					d.rehash(4 * len(d.slots))
				}
				break
			}
			if d.keys[h] == x {
				out[i] = c - 1
				break
			}
			h = (h + 1) & uint64(len(d.slots)-1)
		}
	}
}

// encodeWindow encodes until a value lies outside of the window.
func (d *intDictionary[T]) encodeWindow(v []T, out []uint32) int {
	window, base := d.window, uint64(d.base)
	out = out[:len(v)]
	for i, x := range v {
		at := uint64(x) - base
		if at >= uint64(len(window)) {
			return i
		}
		c := window[at]
		if c == 0 {
			d.values = append(d.values, x)
			c = uint32(len(d.values))
			window[at] = c
		}
		out[i] = c - 1
	}
	return len(v)
}

// bytesDictionary maps byte strings to indexes. A string of up to 16 bytes is
// known by two words and its length; of a longer one the content is compared.
type bytesDictionary struct {
	fixed bool // values of one width: no lengths in the dictionary page
	table []bytesEntry
	shift uint
	plain []byte   // the dictionary page
	start []uint32 // of each value in plain
	size  []uint32
	seen  []uint32 // page in which each value was met last
	memo  []uint32 // of an Arrow dictionary's values: index+1
}

type bytesEntry struct {
	a, b  uint64
	n     uint32
	index uint32 // index+1
}

func (d *bytesDictionary) reset() {
	d.plain, d.start, d.size, d.seen = d.plain[:0], d.start[:0], d.size[:0], d.seen[:0]
	clear(d.table)
}

func (d *bytesDictionary) len() int        { return len(d.start) }
func (d *bytesDictionary) at(i int) []byte { return d.plain[d.start[i] : d.start[i]+d.size[i]] }

// wordsOf gives two words that identify, together with its length, a string of
// up to 16 bytes.
func wordsOf(s []byte) (a, b uint64) {
	n := len(s)
	switch {
	case n >= 8:
		return binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(s)), uint64(binary.LittleEndian.Uint32(s[n-4:]))
	case n > 0:
		return uint64(s[0]) | uint64(s[n>>1])<<8 | uint64(s[n-1])<<16, 0
	}
	return 0, 0
}

func hashBytes(s []byte, a, b uint64) uint64 {
	high, low := bits.Mul64(a^hashA, b^hashB^uint64(len(s)))
	h := (high ^ low) * hashOdd
	if len(s) > 16 {
		for i := 8; i+8 < len(s); i += 8 {
			x, y := bits.Mul64(binary.LittleEndian.Uint64(s[i:])^h, hashOdd)
			h = x ^ y
		}
		h *= hashOdd
	}
	return h
}

// find gives the index of s, which is added if it is new.
func (d *bytesDictionary) find(s []byte) uint32 {
	if d.table == nil {
		d.grow(1024)
	}
	a, b := wordsOf(s)
	k := hashBytes(s, a, b) >> d.shift
	for {
		e := &d.table[k]
		if e.index == 0 {
			break
		}
		if e.a == a && e.b == b && e.n == uint32(len(s)) && (len(s) <= 16 || string(d.at(int(e.index-1))) == string(s)) {
			return e.index - 1
		}
		k = (k + 1) & uint64(len(d.table)-1)
	}
	if !d.fixed {
		d.plain = binary.LittleEndian.AppendUint32(d.plain, uint32(len(s)))
	}
	d.start = append(d.start, uint32(len(d.plain)))
	d.size = append(d.size, uint32(len(s)))
	d.seen = append(d.seen, 0)
	d.plain = append(d.plain, s...)
	n := uint32(len(d.start))
	d.table[k] = bytesEntry{a, b, uint32(len(s)), n}
	if 2*int(n) > len(d.table) {
		d.grow(4 * len(d.table))
	}
	return n - 1
}

// grow builds a table of n slots, a power of two.
func (d *bytesDictionary) grow(n int) {
	d.table = make([]bytesEntry, n)
	d.shift = uint(64 - bits.Len(uint(n-1)))
	for i := range d.start {
		s := d.at(i)
		a, b := wordsOf(s)
		k := hashBytes(s, a, b) >> d.shift
		for d.table[k].index != 0 {
			k = (k + 1) & uint64(n-1)
		}
		d.table[k] = bytesEntry{a, b, uint32(len(s)), uint32(i + 1)}
	}
}

// encode appends the index of each value to out. Values of an Arrow dictionary
// are looked up once each.
func (d *bytesDictionary) encode(s *byteSlices, out []uint32) []uint32 {
	out = resize(out, len(s.start))
	if s.via == nil || s.distinct > 4*len(s.start)+1024 {
		for i := range out {
			out[i] = d.find(s.at(i))
		}
		return out
	}
	d.memo = resize(d.memo, s.distinct)
	clear(d.memo)
	memo := d.memo
	for i, k := range s.via {
		c := memo[k]
		if c == 0 {
			c = d.find(s.at(i)) + 1
			memo[k] = c
		}
		out[i] = c - 1
	}
	return out
}
