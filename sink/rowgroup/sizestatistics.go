package rowgroup

import (
	"encoding/binary"
	"math/bits"
)

// parquet.thrift, SizeStatistics: how often each level occurs, by page and in
// the chunk. Readers estimate memory and the lengths of lists from it.

// levelCounts are the histograms of one chunk.
type levelCounts struct {
	reps, defs         []int64 // of the chunk, one count per level
	repPages, defPages []int64 // the same of every page, behind one another
}

func (h *levelCounts) reset(lf *leaf) {
	h.reps = zeros(h.reps, int(lf.maxRep)+1)
	h.defs = zeros(h.defs, int(lf.maxDef)+1)
	h.repPages, h.defPages = h.repPages[:0], h.defPages[:0]
}

func zeros(v []int64, n int) []int64 {
	v = resize(v, n)
	clear(v)
	return v
}

func (h *levelCounts) add(lf *leaf, p *pageContent) {
	at := len(h.defPages)
	h.defPages = append(h.defPages, make([]int64, int(lf.maxDef)+1)...)
	page := h.defPages[at:]
	if p.defs != nil && lf.maxDef > 0 {
		countLevels(page, p.defs[:p.slots])
	} else {
		page[lf.maxDef] += int64(p.values.n)
		page[0] += int64(p.slots - p.values.n)
	}
	for i, n := range page {
		h.defs[i] += n
	}
	at = len(h.repPages)
	h.repPages = append(h.repPages, make([]int64, int(lf.maxRep)+1)...)
	page = h.repPages[at:]
	if p.reps != nil && lf.maxRep > 0 {
		countLevels(page, p.reps[:p.slots])
	} else {
		page[0] += int64(p.slots)
	}
	for i, n := range page {
		h.reps[i] += n
	}
}

// countLevels counts in two tables by turns: successive equal levels would
// otherwise wait for one another.
func countLevels(counts []int64, levels []uint8) {
	if len(counts) <= 5 {
		countFewLevels(counts, levels)
		return
	}
	var even, odd [levelLimit + 1]int64
	i := 0
	for ; i+2 <= len(levels); i += 2 {
		even[levels[i]&levelLimit]++
		odd[levels[i+1]&levelLimit]++
	}
	if i < len(levels) {
		even[levels[i]&levelLimit]++
	}
	for k := range counts {
		counts[k] += even[k] + odd[k]
	}
}

// countFewLevels looks at eight levels at a time, once for each level there is
// but the highest, which has the rest. All levels are below len(counts).
func countFewLevels(counts []int64, levels []uint8) {
	const ones, tops = ^uint64(0) / 0xff, ^uint64(0) / 0xff * 0x80
	most := len(counts) - 1
	rest := int64(len(levels))
	for k := range most {
		same := uint64(k) * ones
		n, i := 0, 0
		for ; i+8 <= len(levels); i += 8 {
			// A byte below 128 plus 127 has its top bit set unless it is zero.
			differ := binary.LittleEndian.Uint64(levels[i:]) ^ same
			n += bits.OnesCount64(^(differ + (tops - ones)) & tops)
		}
		for ; i < len(levels); i++ {
			if int(levels[i]) == k {
				n++
			}
		}
		counts[k] += int64(n)
		rest -= int64(n)
	}
	counts[most] += rest
}

// sizeStatistics are those of a chunk; what is empty is not written.
type sizeStatistics struct {
	unencoded int64 // negative: no byte arrays
	reps      []int64
	defs      []int64
}

func (c *column) sizes() sizeStatistics {
	s := sizeStatistics{unencoded: -1}
	if c.phys == byteArray {
		s.unencoded = 0
		for i := range c.pages {
			s.unencoded += c.pages[i].unencoded
		}
	}
	if c.maxRep > 0 {
		s.reps = append([]int64(nil), c.levelsSeen.reps...)
	}
	if c.maxDef > 1 || c.maxRep > 0 {
		s.defs = append([]int64(nil), c.levelsSeen.defs...)
	}
	return s
}

func (s *sizeStatistics) write(t *thriftWriter, id int16) {
	if s.unencoded < 0 && s.reps == nil && s.defs == nil {
		return
	}
	t.begin(id)
	if s.unencoded >= 0 {
		t.i64(1, s.unencoded)
	}
	if s.reps != nil {
		t.i64List(2, s.reps)
	}
	if s.defs != nil {
		t.i64List(3, s.defs)
	}
	t.end()
}

func readSizeStatistics(t *thriftReader) sizeStatistics {
	s := sizeStatistics{unencoded: -1}
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI64:
			s.unencoded = t.varint()
		case id == 2 && kind == thriftList:
			s.reps = t.i64List()
		case id == 3 && kind == thriftList:
			s.defs = t.i64List()
		default:
			return false
		}
		return true
	})
	return s
}
