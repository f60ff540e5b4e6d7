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
		empty += isEmpty(s)
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
	var defs []uint8
	if !l.allOpen || empty > 0 {
		defs = resize(l.spareDefs, slots+7)
	}
	at, lists := 0, l.lists
	for i := 0; i < l.slots; {
		n := l.openFrom(i)
		if n == 0 { // a closed slot stays
			reps[at], defs[at] = l.repAt(i), l.defs[i]
			at++
			i++
			continue
		}
		var outer []uint8
		if l.rep > 1 {
			outer = l.reps[i : i+n]
		}
		if defs != nil {
			listDefs(defs[at:], lists[:n], l.def)
		}
		at += listReps(reps[at:], lists[:n], outer, l.rep)
		lists = lists[n:]
		i += n
	}
	out := joinSpans(l.spareSpans[:0], l.lists)
	l.allOpen = defs == nil
	if defs != nil {
		l.defs, l.spareDefs = defs[:slots], l.defs
	}
	l.reps, l.spareReps = reps[:slots], l.reps
	l.spans, l.spareSpans = out, l.spans
	l.slots, l.open = slots, elements
	l.def++
	return nil
}

// openFrom is how many slots behind one another are open from slot i on.
func (l *levels) openFrom(i int) int {
	if l.allOpen {
		return l.slots - i
	}
	n := 0
	for _, d := range l.defs[i:] {
		if d != openSlot {
			break
		}
		n++
	}
	return n
}

// repAt is the repetition level of slot i in front of the node that is passed.
func (l *levels) repAt(i int) uint8 {
	if l.rep == 1 {
		return 0
	}
	return l.reps[i]
}

// listReps writes the repetition levels of lists: that of each list (in outer;
// nil: zero), and inner for its other elements. It gives their number. Lists are
// as often empty as not, so nothing here asks which they are. What is written
// too much is written over by the next.
func listReps(reps []uint8, lists []span, outer []uint8, inner uint8) int {
	others := uint64(inner) * (^uint64(0)/0xff - 1)
	at := 0
	for i, s := range lists {
		word := others
		if outer != nil {
			word |= uint64(outer[i])
		}
		binary.LittleEndian.PutUint64(reps[at:], word)
		if s.n > 8 {
			fill(reps[at+8:at+s.n], inner)
		}
		at += s.n + isEmpty(s)
	}
	return at
}

// listDefs writes the definition levels of lists: empty for one without
// elements, openSlot for all elements.
func listDefs(defs []uint8, lists []span, empty uint8) {
	at := 0
	for _, s := range lists {
		closed := isEmpty(s)
		binary.LittleEndian.PutUint64(defs[at:], ^(uint64(closed) * uint64(^empty)))
		if s.n > 8 {
			fill(defs[at+8:at+s.n], openSlot)
		}
		at += s.n + closed
	}
}

// isEmpty is one for a list without elements, zero for others.
func isEmpty(s span) int { return int(uint64(s.n-1) >> 63) }

// joinSpans appends the positions of lists to spans, joining what is adjacent.
func joinSpans(spans, lists []span) []span {
	var last span // grows, and goes to spans when the next one does not adjoin
	for _, s := range lists {
		if last.start+last.n == s.start {
			last.n += s.n
			continue
		}
		if last.n > 0 {
			spans = append(spans, last)
		}
		last = s
	}
	if last.n > 0 {
		spans = append(spans, last)
	}
	return spans
}
