package journal

import (
	"bytes"
	"encoding/json"
)

// gap stands in the log in the place of records that were forgotten, under the
// number of the last of them. It keeps the chain whole: Prev is the digest of the
// record before the gap, Digest that of the last record in it, which the record
// behind the gap names as the one before.
type gap struct {
	Dropped span64 `json:"dropped"`
	Prev    Digest `json:"prev"`
	Digest  Digest `json:"digest"`
}

// span64 is a run of record numbers, both ends included.
type span64 struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

var gapStart = []byte(`{"dropped":`)

// isGap tells a gap from a record.
func isGap(raw []byte) bool { return bytes.HasPrefix(raw, gapStart) }

func (g gap) encode() []byte {
	raw, err := json.Marshal(g)
	if err != nil {
		panic("journal: a gap always encodes: " + err.Error())
	}
	return raw
}

// gapDigest is the digest of the last record in a gap that was checked.
func gapDigest(raw []byte) Digest {
	var g gap
	if err := json.Unmarshal(raw, &g); err != nil {
		return ""
	}
	return g.Digest
}

// skip goes over a gap that is stored under the number key. Unless all is read from
// the start at one moment (whole), reading may have begun in the midst of it, and a
// compaction under a reader may have made it from records that were read already.
func (c *chain) skip(key uint64, raw []byte) error {
	want := c.seq + 1
	var g gap
	if err := decodeStrictly(raw, &g); err != nil {
		return corrupt(want, err, "what stands for forgotten records is not readable")
	}
	if g.Dropped.To != key || g.Dropped.From > g.Dropped.To || len(g.Digest) != len(c.digest) || !bytes.Equal(g.encode(), raw) {
		return corrupt(want, nil, "what stands for forgotten records %d to %d is not as it was written", g.Dropped.From, g.Dropped.To)
	}
	if g.Dropped.From > want || g.Dropped.To < want || c.whole && g.Dropped.From != want {
		return corrupt(want, nil, "it is missing, and records %d to %d were forgotten", g.Dropped.From, g.Dropped.To)
	}
	if g.Dropped.From == want && !c.open && string(g.Prev) != string(c.digest[:]) {
		return corrupt(max(c.seq, 1), nil,
			"the chain is broken: its digest is %s, and what was forgotten after it was written behind %s", c.digest[:], g.Prev)
	}
	c.seq, c.open = g.Dropped.To, false
	copy(c.digest[:], g.Digest)
	c.lastGap = g.Dropped.To
	return nil
}

// forgets checks that records are missing only in front of the event that says so.
func (c *chain) forgets(state State) error {
	if c.lastGap >= max(state.Forgotten, 1) {
		return corrupt(c.lastGap, nil, "it is missing, and no event says that it was forgotten")
	}
	return nil
}
