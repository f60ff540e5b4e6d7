package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

// Record is one event as it stands in the log.
type Record struct {
	// Seq counts records from 1, without gaps.
	Seq  uint64
	Time time.Time // when the event was accepted, UTC
	Job  uint64    // 0 when the event belongs to no job
	Kind Kind
	// Version is the version of the kind's fields.
	Version int
	// Prev is the digest of the record before; of the first record, the digest of
	// the journal's id.
	Prev  Digest
	Event Event
	// Raw is the record as stored. DigestOf(Raw) is the Prev of the next record.
	Raw []byte
}

// envelope is a stored record taken apart, its event still encoded. Its slices point
// into the stored bytes.
type envelope struct {
	seq     uint64
	at      []byte
	job     uint64
	kind    []byte
	version int
	prev    []byte
	event   []byte
}

// encodeRecord gives the stored bytes: one JSON object on one line, its members in
// this order and without spaces. event is the stored form of the event.
func encodeRecord(seq uint64, at time.Time, job uint64, kind Kind, prev Digest, event []byte) []byte {
	raw := make([]byte, 0, len(event)+len(kind)+224)
	raw = append(raw, `{"seq":`...)
	raw = strconv.AppendUint(raw, seq, 10)
	raw = append(raw, `,"at":"`...)
	raw = at.UTC().AppendFormat(raw, time.RFC3339Nano)
	raw = append(raw, `","job":`...)
	raw = strconv.AppendUint(raw, job, 10)
	raw = append(raw, `,"kind":"`...)
	raw = append(raw, kind...)
	raw = append(raw, `","v":`...)
	raw = strconv.AppendInt(raw, int64(schemas[kind].version), 10)
	raw = append(raw, `,"prev":"`...)
	raw = append(raw, prev...)
	raw = append(raw, `","event":`...)
	raw = append(raw, event...)
	return append(raw, '}')
}

var errShape = errors.New("it is not laid out as a record")

// parseRecord takes stored bytes apart. It knows exactly the layout that
// encodeRecord writes: a general JSON parser would accept altered records
// (repeated members, other case) and cost most of the time of a start.
func parseRecord(raw []byte) (envelope, error) {
	var s envelope
	rest, ok := raw, true
	literal := func(text string) {
		if ok {
			rest, ok = bytes.CutPrefix(rest, []byte(text))
		}
	}
	until := func(end string) (part []byte) {
		if ok {
			part, rest, ok = bytes.Cut(rest, []byte(end))
		}
		return part
	}
	number := func(part []byte) (n uint64) {
		if ok {
			var err error
			n, err = strconv.ParseUint(string(part), 10, 64)
			ok = err == nil && (part[0] != '0' || len(part) == 1)
		}
		return n
	}

	literal(`{"seq":`)
	s.seq = number(until(`,"at":"`))
	s.at = until(`","job":`)
	s.job = number(until(`,"kind":"`))
	s.kind = until(`","v":`)
	version := number(until(`,"prev":"`))
	s.prev = until(`","event":`)
	if !ok || len(rest) < 2 || rest[len(rest)-1] != '}' {
		return envelope{}, errShape
	}
	if s.seq == 0 || version == 0 || version > 1<<20 || len(s.prev) != 2*sha256.Size || !isName(s.kind) {
		return envelope{}, errShape
	}
	s.version = int(version)
	s.event = rest[:len(rest)-1]
	return s, nil
}

// isName reports whether a kind is spelt as kinds are.
func isName(kind []byte) bool {
	for _, c := range kind {
		if (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return len(kind) > 0
}

// decodeEvent decodes the event and checks it against the rest of the record.
func (s envelope) decodeEvent() (Event, error) {
	schema, known := schemas[Kind(s.kind)]
	if !known {
		return nil, newer(s.seq, "event kind %q is not known", s.kind)
	}
	if s.version > schema.version {
		return nil, newer(s.seq, "%s has version %d, this worker knows up to %d", s.kind, s.version, schema.version)
	}
	event, err := schema.decode(s.event)
	if err != nil {
		return nil, corrupt(s.seq, err, "its event does not decode")
	}
	if event.Job() != s.job {
		return nil, corrupt(s.seq, nil, "it is filed under job %d and holds an event of job %d", s.job, event.Job())
	}
	return event, nil
}

// record decodes a stored record. Its Raw is the slice given.
func (s envelope) record(raw []byte) (Record, error) {
	at, err := time.Parse(time.RFC3339Nano, string(s.at))
	if err != nil {
		return Record{}, corrupt(s.seq, err, "its time is not readable")
	}
	event, err := s.decodeEvent()
	if err != nil {
		return Record{}, err
	}
	return Record{
		Seq: s.seq, Time: at, Job: s.job, Kind: event.kind(), Version: s.version,
		Prev: Digest(s.prev), Event: event, Raw: raw,
	}, nil
}

// ParseRecord decodes a stored record by itself, without its place in the chain: one
// that was exported or sent, for instance. Its Raw is the slice given. Errors:
// [CorruptError], [NewerError], both without a path.
func ParseRecord(raw []byte) (Record, error) {
	s, err := parseRecord(raw)
	if err != nil {
		return Record{}, corrupt(0, err, "a record is not readable")
	}
	return s.record(raw)
}

// link is a place in the chain: a record's number and the digest of its bytes.
// It is stored as the head of the log.
type link struct {
	Seq    uint64 `json:"seq"`
	Digest Digest `json:"digest"`
}

// chain checks records one after the other against those before.
type chain struct {
	seq    uint64
	digest [2 * sha256.Size]byte // hex
	open   bool                  // the first record may name any record before it
	whole  bool                  // all is read, at one moment
	// lastGap is the number of the last record seen to be forgotten.
	lastGap uint64
}

// chainFrom goes on behind the record that a link names.
func chainFrom(l link) *chain {
	c := &chain{seq: l.Seq}
	c.open = copy(c.digest[:], l.Digest) == 0
	return c
}

// next checks that raw, stored under the number key, is the record that follows.
func (c *chain) next(key uint64, raw []byte) (envelope, error) {
	want := c.seq + 1
	if key != want {
		return envelope{}, corrupt(want, nil, "it is missing, record %d is in its place", key)
	}
	s, err := parseRecord(raw)
	if err != nil {
		return envelope{}, corrupt(want, err, "it is not readable")
	}
	if s.seq != want {
		return envelope{}, corrupt(want, nil, "its bytes say that they are record %d", s.seq)
	}
	if !c.open && !bytes.Equal(s.prev, c.digest[:]) {
		return envelope{}, corrupt(max(c.seq, 1), nil,
			"the chain is broken: its digest is %s, the record after it was written behind %s", c.digest[:], s.prev)
	}
	sum := sha256.Sum256(raw)
	hex.Encode(c.digest[:], sum[:])
	c.seq, c.open = want, false
	return s, nil
}

// ends checks that the record last read is the head of the log.
func (c *chain) ends(head link) error {
	switch {
	case c.seq < head.Seq:
		return corrupt(c.seq+1, nil, "it is missing, the log ends before it and should end with record %d", head.Seq)
	case !c.open && string(c.digest[:]) != string(head.Digest):
		return corrupt(max(c.seq, 1), nil, "the chain is broken: its digest is %s, the head of the log says %s", c.digest[:], head.Digest)
	}
	return nil
}
