package rowgroup

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Compression.md, "SNAPPY", and Snappy's own format_description.txt: a block is
// the length of what it holds, and then literals and copies of earlier bytes.
//
// This is a second encoder of such blocks, for pages that are nearly all copies:
// text of few words, paths, addresses. One copy of a few bytes follows another
// there, and an encoder that branches on their lengths spends most of its time
// on branches that the processor guessed wrong. Here a step writes one copy
// without a branch on its length, its offset or its form. What remains is
// waiting, for the memory and for the step before. So a page has three parts
// that take turns, a step each, and while one waits the others work.
//
// Where literals are many it is slower than the usual encoder.

const (
	turnsParts = 3
	// turnsLeast is the size of a page that is worth three parts, of which none
	// copies from those before.
	turnsLeast = 256 << 10
	turnsBits  = 13 // the three tables fit the processor's nearest cache
	stepMost   = 16 // the longest match that one step sees
	copyMost   = 64 // the longest copy
)

// snappyTurns is the memory of the encoder.
type snappyTurns struct{ parts [turnsParts]snappyPart }

// snappyPart is a part of a page on its way.
type snappyPart struct {
	next *snappyPart // who takes the next turn
	at   int         // of the next step; all bytes before it are written
	last int         // of the last step; stepMost bytes follow
	end  int
	from int // where the first element is written
	to   int // where the next one is

	// A copy as long as a step sees stays open: the next step goes on with it,
	// and writes it anew. open is its length so far, and zero otherwise.
	open   int
	offset int // of the last copy

	// table has, by the hash of six bytes, the low 16 bits of the position where
	// they were seen last. Read as a position at most 65,535 bytes back it may be
	// wrong, but never lies before the part.
	table [1 << turnsBits]uint16
}

// turnsRoom is how much memory the block of n bytes needs: a literal grows by
// one byte in 64 at most, and the copy behind it makes up for its first byte.
func turnsRoom(n int) int {
	return binary.MaxVarintLen64 + turnsParts*partRoom((n+turnsParts-1)/turnsParts)
}

func partRoom(n int) int { return n + n/32 + 32 }

// encode gives the block of src, which has at least turnsLeast bytes, in the
// memory of dst, which has turnsRoom.
func (t *snappyTurns) encode(dst, src []byte) []byte {
	end := binary.PutUvarint(dst, uint64(len(src)))
	size := (len(src) + turnsParts - 1) / turnsParts
	for i := range t.parts {
		p := &t.parts[i]
		p.next = &t.parts[(i+1)%turnsParts]
		p.begin(dst, src, i*size, min((i+1)*size, len(src)), end+i*partRoom(size))
	}
	t.parts[0].takeTurns(dst, src)
	for i := range t.parts {
		p := &t.parts[i]
		p.next = p // the others are done, or wait
		p.takeTurns(dst, src)
		p.finish(dst, src)
		end += copy(dst[end:], dst[p.from:p.to])
	}
	return dst[:end]
}

// begin writes the first byte, from which on there is something to copy.
func (p *snappyPart) begin(dst, src []byte, from, end, to int) {
	p.at, p.last, p.end = from+1, end-stepMost, end
	p.from, p.to = to, to
	p.open, p.offset = 0, 0
	for i := range p.table {
		p.table[i] = uint16(from)
	}
	p.literal(dst, src[from:from+1])
}

// turnsHash is the hash of the first six bytes of x.
func turnsHash(x uint64) uint64 { return x << 16 * 0x9E3779B185EBCA87 >> (64 - turnsBits) }

// takeTurns makes steps until one part is at its end.
//
// It reads 16 bytes at p.at, which is no larger than p.last, and 16 at a
// position between the start of the part and p.at; it writes four bytes at p.to,
// which partRoom leaves room for.
func (p *snappyPart) takeTurns(dst, src []byte) {
	in, out := unsafe.Pointer(unsafe.SliceData(src)), unsafe.Pointer(unsafe.SliceData(dst))
	for p.at <= p.last {
		at := p.at
		word := word64(in, at)
		hash := turnsHash(word)
		offset := int(uint16(at) - p.table[hash])
		p.table[hash] = uint16(at)
		open := p.open
		offset += (p.offset - offset) & (-open >> 63) // p.offset if a copy is open
		n := bits.TrailingZeros64(word^word64(in, at-offset)) >> 3
		more := bits.TrailingZeros64(word64(in, at+8)^word64(in, at+8-offset)) >> 3
		if n == 8 {
			n += more
		}
		length := open + n
		if length < 4 || offset == 0 {
			p.search(dst, src)
			continue
		}
		p.at = at + n
		p.offset = offset

		// A copy with a two-byte offset: length-1, and 2 for its kind, in the first
		// byte. That with a one-byte offset, for lengths below 12 and offsets below
		// 2,048, has length-4, the offset's high bits and 1 for its kind there.
		short := (length - 12) & (offset - 2048) >> 63 // all ones, or zero
		high := offset >> 8
		tag := length<<2 + offset<<8 - 2 - (high*(1<<16-1<<5)+13)&short
		*(*uint32)(unsafe.Add(out, p.to)) = uint32(tag)
		size := 3 + short
		open = 0
		if n == stepMost {
			open = length & (copyMost - 1)
		}
		if open != 0 {
			size = 0
		}
		p.open = open
		p.to += size
		p = p.next
	}
}

// word64 reads eight bytes at p+at.
func word64(p unsafe.Pointer, at int) uint64 { return *(*uint64)(unsafe.Add(p, at)) }

// search leads from a position without a match to the next with one, and writes
// the literal between them. The longer it is, the fewer positions are tried.
func (p *snappyPart) search(dst, src []byte) {
	from := p.at
	for at := from + 1; at <= p.last; at += 1 + (at-from)>>5 {
		word := binary.LittleEndian.Uint64(src[at:])
		hash := turnsHash(word)
		offset := int(uint16(at) - p.table[hash])
		if offset != 0 && uint32(word) == binary.LittleEndian.Uint32(src[at-offset:]) {
			p.literal(dst, src[from:at])
			p.at = at // the next step finds it in the table again
			return
		}
		p.table[hash] = uint16(at)
	}
	p.literal(dst, src[from:p.end])
	p.at = p.end
}

// finish ends an open copy, and writes the last bytes.
func (p *snappyPart) finish(dst, src []byte) {
	if p.open > 0 {
		dst[p.to] = byte(p.open-1)<<2 | 2
		binary.LittleEndian.PutUint16(dst[p.to+1:], uint16(p.offset))
		p.to += 3
	}
	if p.at < p.end {
		p.literal(dst, src[p.at:p.end])
	}
}

// literal writes bytes as they are, behind their number less one: in the first
// byte, or in as many behind it as that says.
func (p *snappyPart) literal(dst, b []byte) {
	n := len(b) - 1
	switch {
	case n < 60:
		dst[p.to] = byte(n) << 2
		p.to++
	case n < 1<<8:
		dst[p.to], dst[p.to+1] = 60<<2, byte(n)
		p.to += 2
	case n < 1<<16:
		dst[p.to] = 61 << 2
		binary.LittleEndian.PutUint16(dst[p.to+1:], uint16(n))
		p.to += 3
	default:
		dst[p.to] = 63 << 2
		binary.LittleEndian.PutUint32(dst[p.to+1:], uint32(n))
		p.to += 5
	}
	p.to += copy(dst[p.to:], b)
}

// nearlyAllCopies tells whether a block is of the kind that this encoder is for:
// few literals, and copies that are short.
func nearlyAllCopies(block []byte) bool {
	size, at := binary.Uvarint(block)
	literals, copies := 0, 0
	for at < len(block) {
		tag := int(block[at])
		switch tag & 3 {
		case 0:
			n := tag >> 2
			at++
			if n >= 60 {
				var wide [4]byte
				at += copy(wide[:n-59], block[at:])
				n = int(binary.LittleEndian.Uint32(wide[:]))
			}
			at += n + 1
			literals++
		case 1:
			at += 2
			copies++
		case 2:
			at += 3
			copies++
		case 3:
			at += 5
			copies++
		}
	}
	return 8*literals <= copies && 16*copies >= int(size)
}
