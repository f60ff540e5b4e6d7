package rowgroup

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// README.md of the format, "Nested Encoding" (the Dremel paper's definition and
// repetition levels).
//
// A slot is one entry of a column: a value, or the place where one is missing.
// Its definition level counts the optional and repeated nodes above that are
// there; its repetition level says at which repeated node it goes on (0: a new
// row). The builder walks from the rows down to the leaf, one Arrow node at a
// time. At each step a slot is open, which means that everything above is
// there and it stands for a position in the current Arrow array, or closed:
// something above is missing, and its levels are final.

// span is a stretch of positions in an Arrow array's buffers.
type span struct{ start, n int }

// levels holds the slots of some rows of one column on the way to its leaf. All
// open slots have the definition level def, which rises with every optional or
// repeated node that is passed; a closed one keeps less. spans are the positions
// of the open slots, in their order.
type levels struct {
	slots int
	open  int // how many slots are open
	def   uint8
	rep   uint8 // repeated nodes passed so far
	spans []span

	// defs holds a level per slot, and openSlot for the open ones until settle
	// gives them theirs. When every slot is open (allOpen) it is left out. reps
	// holds a level per slot unless no repeated node was passed: then it would say
	// zero all over.
	allOpen bool
	defs    []uint8
	reps    []uint8

	// Memory for the next step.
	spareDefs, spareReps []uint8
	spareSpans           []span
	lists                []span // child positions of each open slot
}

// openSlot stands in defs for the level that all open slots share, so that it
// need not be written again at each node.
const openSlot = 0xff

// start begins with one open slot per row.
func (l *levels) start(at, rows int) {
	l.slots, l.open = rows, rows
	l.def, l.rep = 0, 0
	l.spans = l.spans[:0]
	if rows > 0 {
		l.spans = append(l.spans, span{at, rows})
	}
	l.allOpen = true
	l.defs, l.reps = l.defs[:0], l.reps[:0]
}

// appendSpan adds positions behind spans, joining what is adjacent.
func appendSpan(spans []span, start, n int) []span {
	if k := len(spans); k > 0 && spans[k-1].start+spans[k-1].n == start {
		spans[k-1].n += n
		return spans
	}
	return append(spans, span{start, n})
}

// materialize fills in defs.
func (l *levels) materialize() {
	if !l.allOpen {
		return
	}
	l.defs = resize(l.defs, l.slots)
	fill(l.defs, openSlot)
	l.allOpen = false
}

// settle ends the walk: open slots get their level.
func (l *levels) settle() {
	if l.allOpen {
		return
	}
	// Eight at a time: only openSlot has its top bit set.
	const top = 0x8080808080808080
	eight := uint64(l.def) * (^uint64(0) / 0xff)
	i := 0
	for ; i+8 <= len(l.defs); i += 8 {
		at := l.defs[i : i+8 : i+8]
		word := binary.LittleEndian.Uint64(at)
		open := (word & top) >> 7 * 0xff
		binary.LittleEndian.PutUint64(at, word&^open|eight&open)
	}
	for ; i < len(l.defs); i++ {
		if l.defs[i] == openSlot {
			l.defs[i] = l.def
		}
	}
}

// fillShort writes first to v[0] and x to the rest of v[:n]. Stretches are mostly
// short: up to eight levels are one word, with room for it in v.
func fillShort(v []uint8, n int, first, x uint8) {
	if n <= 8 {
		binary.LittleEndian.PutUint64(v, uint64(x)*(^uint64(0)/0xff-1)|uint64(first))
		return
	}
	v[0] = first
	fill(v[1:n], x)
}

func fill(v []uint8, x uint8) {
	for i := range v {
		v[i] = x
	}
}

// optional passes an optional node: all open slots count as present until
// close says which are not.
func (l *levels) optional() { l.def++ }

// shift moves all positions, as a child array with an offset of its own asks.
func (l *levels) shift(by int) {
	if by == 0 {
		return
	}
	for i := range l.spans {
		l.spans[i].start += by
	}
}

// close closes the open slots whose position has no bit in the bitmap, one
// level below the present one, and tells how many they were.
func (l *levels) close(bitmap []byte) int {
	valid := 0
	for _, s := range l.spans {
		valid += countBits(bitmap, s.start, s.n)
	}
	closed := l.open - valid
	if closed == 0 {
		return 0
	}
	oneToOne := l.allOpen // slot i is the i-th position
	l.materialize()
	out := l.spareSpans[:0]
	slot := 0
	for _, s := range l.spans {
		for p := s.start; p < s.start+s.n; {
			n := min(64, s.start+s.n-p)
			var word uint64
			if n == 64 {
				word = load64(bitmap, p)
			} else {
				word = loadBits(bitmap, p, n)
			}
			if oneToOne {
				out = l.closeWord(out, word, slot, p, n)
				slot += n
				p += n
				continue
			}
			for k := range n {
				for l.defs[slot] != openSlot {
					slot++
				}
				if word>>uint(k)&1 != 0 {
					out = appendSpan(out, p+k, 1)
				} else {
					l.defs[slot] = l.def - 1
				}
				slot++
			}
			p += n
		}
	}
	l.spans, l.spareSpans = out, l.spans
	l.open = valid
	return closed
}

// closeWord closes up to 64 slots that lie behind one another, going from run
// to run of equal bits.
func (l *levels) closeWord(out []span, word uint64, slot, at, n int) []span {
	for k := 0; k < n; {
		if run := min(bits.TrailingZeros64(^(word >> uint(k))), n-k); run > 0 {
			out = appendSpan(out, at+k, run)
			k += run
			continue
		}
		run := min(bits.TrailingZeros64(word>>uint(k)), n-k)
		fill(l.defs[slot+k:slot+k+run], l.def-1)
		k += run
	}
	return out
}

// closeAll closes every open slot one level below the present one.
func (l *levels) closeAll() {
	if l.open == 0 {
		return
	}
	l.materialize()
	for i, d := range l.defs {
		if d == openSlot {
			l.defs[i] = l.def - 1
		}
	}
	l.spans, l.open = l.spans[:0], 0
}

// move sends each open slot from its position p to the position to(p) of
// another array: what an index into a dictionary does.
func (l *levels) move(to func(p int) (int, error)) error {
	out := l.spareSpans[:0]
	for _, s := range l.spans {
		for p := s.start; p < s.start+s.n; p++ {
			q, err := to(p)
			if err != nil {
				return err
			}
			out = append(out, span{q, 1})
		}
	}
	l.spans, l.spareSpans = out, l.spans
	return nil
}

// tooManySlots says that a step would make more slots, or bytes, than one page
// should have; fewer rows may do.
type tooManySlots struct{ n int }

func (e *tooManySlots) Error() string { return fmt.Sprintf("%d are too many for one page", e.n) }

// expand passes a repeated node: l.lists says for each open slot which
// positions of the child array its list covers. An empty list leaves a closed
// slot; every element gets a slot, the first with the repetition level of its
// list, the others with that of the node.
func (l *levels) expand(limit int) error {
	elements, empty := 0, 0
	for _, s := range l.lists {
		elements += s.n
		empty += int(uint64(s.n-1) >> 63) // one for a length of zero, without a branch
		if elements > limit {
			return &tooManySlots{elements}
		}
	}
	slots := l.slots - l.open + empty + elements
	if slots > limit {
		return &tooManySlots{slots}
	}
	l.rep++
	// Eight levels are written at once, so there is room for seven too many.
	reps := resize(l.spareReps, slots+7)
	out := l.spareSpans[:0]
	inner := l.rep
	single := inner == 1 // no repetition levels so far: all zero
	if l.allOpen && empty == 0 {
		at := 0
		for i, s := range l.lists {
			outer := uint8(0)
			if !single {
				outer = l.reps[i]
			}
			fillShort(reps[at:], s.n, outer, inner)
			at += s.n
			out = appendSpan(out, s.start, s.n)
		}
	} else {
		defs := resize(l.spareDefs, slots+7)
		at, list := 0, 0
		var last span // grows, and goes to out when the next one does not adjoin
		for i := range l.slots {
			outer, d := uint8(0), uint8(openSlot)
			if !single {
				outer = l.reps[i]
			}
			if !l.allOpen {
				d = l.defs[i]
			}
			if d != openSlot {
				reps[at], defs[at] = outer, d
				at++
				continue
			}
			s := l.lists[list]
			list++
			// Lists are as often empty as not, so nothing here asks which they are.
			// What is written too much is written over by the slots that follow.
			first, taken := uint8(openSlot), s.n
			if s.n == 0 {
				first, taken = l.def, 1
			}
			fillShort(reps[at:], taken, outer, inner)
			fillShort(defs[at:], taken, first, openSlot)
			at += taken
			if last.start+last.n == s.start {
				last.n += s.n
				continue
			}
			if last.n > 0 {
				out = append(out, last)
			}
			last = s
		}
		if last.n > 0 {
			out = append(out, last)
		}
		l.defs, l.spareDefs = defs[:slots], l.defs
		l.allOpen = false
	}
	l.reps, l.spareReps = reps[:slots], l.reps
	l.spans, l.spareSpans = out, l.spans
	l.slots, l.open = slots, elements
	l.def++
	return nil
}
