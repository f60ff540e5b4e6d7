package rowgroup

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// BloomFilter.md: a split-block filter of the chunk's distinct values. Each
// value sets one bit in each of the eight words of one block.

const (
	bloomBlock   = 32 // bytes
	bloomFalse   = 0.01
	bloomLargest = 16 << 20 // bytes; beyond it there are more false positives
	// bloomHashes bounds the hashes that wait: duplicates leave when it is
	// reached.
	bloomHashes = 1 << 20
)

var bloomSalt = [8]uint32{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

// bloomBuilder collects the hashes of a chunk's values. The size of the filter
// follows from how many distinct ones there are, so it is built at the end.
type bloomBuilder struct {
	hashes  []uint64
	settled int // this many at the front are distinct and sorted
}

func (b *bloomBuilder) reset() { b.hashes, b.settled = b.hashes[:0], 0 }

func (b *bloomBuilder) addBytes(v []byte) {
	b.hashes = append(b.hashes, xxhash.Sum64(v))
	if len(b.hashes) >= 2*b.settled+bloomHashes {
		b.settle()
	}
}

func (b *bloomBuilder) settle() {
	slices.Sort(b.hashes)
	b.hashes = slices.Compact(b.hashes)
	b.settled = len(b.hashes)
}

// addValues adds the values of a page. Hashed is the PLAIN form, of byte arrays
// without the length.
func (b *bloomBuilder) addValues(lf *leaf, v *values) {
	switch lf.phys {
	case int32Type, floatType:
		b.addFixed(bytesOf(v.i32[:v.n]), 4)
	case int64Type, doubleType:
		b.addFixed(bytesOf(v.i64[:v.n]), 8)
	case fixedBytes:
		b.addFixed(v.fixed, lf.width)
	case byteArray:
		for i := range v.str.start {
			b.addBytes(v.str.at(i))
		}
	}
}

func (b *bloomBuilder) addFixed(v []byte, width int) {
	for at := 0; at+width <= len(v); at += width {
		b.addBytes(v[at : at+width])
	}
}

// addDictionary adds all values of the chunk's dictionary.
func (c *column) addDictionary() {
	switch c.phys {
	case int32Type, floatType, int64Type, doubleType:
		c.bloom.addFixed(c.dictionaryPlain(), map[physical]int{int32Type: 4, floatType: 4, int64Type: 8, doubleType: 8}[c.phys])
	default:
		for i := range c.dictBytes.len() {
			c.bloom.addBytes(c.dictBytes.at(i))
		}
	}
}

// bloomBytes is the size of a filter for that many distinct values.
func bloomBytes(distinct int) int {
	perValue := -8 / math.Log(1-math.Pow(bloomFalse, 1.0/8)) // bits
	size := max(int(perValue*float64(distinct)/8), bloomBlock)
	size = 1 << bits.Len(uint(size-1))
	return min(size, bloomLargest)
}

// appendFilter appends the header and the bits of the filter.
func (b *bloomBuilder) appendFilter(t *thriftWriter) {
	b.settle()
	size := bloomBytes(len(b.hashes))
	t.reset()
	t.i32(1, int32(size))
	for id := int16(2); id <= 4; id++ { // BLOCK, XXHASH, UNCOMPRESSED
		t.begin(id)
		t.empty(1)
		t.end()
	}
	t.end()
	at := len(t.buf)
	t.buf = slices.Grow(t.buf, size)[:at+size]
	filter := t.buf[at:]
	clear(filter)
	blocks := uint64(size / bloomBlock)
	for _, h := range b.hashes {
		block := filter[(h>>32*blocks>>32)*bloomBlock:][:bloomBlock]
		for i, salt := range bloomSalt {
			word := block[4*i : 4*i+4]
			bit := uint32(1) << (uint32(h) * salt >> 27)
			binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)|bit)
		}
	}
}
