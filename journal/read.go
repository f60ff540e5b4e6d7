package journal

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"
)

// A chunk is what is copied out of the file in one read transaction: short, so
// that the file can grow between two of them, and bounded, so that a reader's
// memory is. A record larger than chunkBytes is a chunk of its own.
const (
	chunkRecords = 256
	chunkBytes   = 1 << 20
)

// entry is one key and value of the log.
type entry struct {
	seq uint64
	raw []byte
}

// readEnd gives the head of the log and checks that the log ends there, and that
// nothing is in front of its first record.
func readEnd(tx *bbolt.Tx) (link, error) {
	head, err := readHead(tx)
	if err != nil {
		return link{}, err
	}
	cursor := tx.Bucket(logBucket).Cursor()
	if key, _ := cursor.First(); key != nil {
		if first, err := seqOf(key, 0); err != nil {
			return link{}, err
		} else if first == 0 {
			return link{}, corrupt(1, nil, "there is a record 0 in front of it")
		}
	}
	var last uint64
	if key, _ := cursor.Last(); key != nil {
		if last, err = seqOf(key, head.Seq); err != nil {
			return link{}, err
		}
	}
	if last > head.Seq {
		return link{}, corrupt(head.Seq+1, nil, "the log goes on to record %d behind its head", last)
	}
	return head, nil
}

func seqOf(key []byte, after uint64) (uint64, error) {
	if len(key) != 8 {
		return 0, corrupt(after+1, nil, "its key is not a number")
	}
	return binary.BigEndian.Uint64(key), nil
}

// confirmer lets records pass when they are known to be what was written: when the
// record behind them, or the head of the log, carries their digest.
type confirmer struct {
	chain   *chain
	pending envelope
	raw     []byte
}

// next takes the next record, or a gap, and returns the record before it; nil when
// there is none.
func (c *confirmer) next(e entry) (confirmed envelope, raw []byte, err error) {
	if isGap(e.raw) {
		if err := c.chain.skip(e.seq, e.raw); err != nil {
			return envelope{}, nil, err
		}
		confirmed, raw = c.pending, c.raw
		c.pending, c.raw = envelope{}, nil
		return confirmed, raw, nil
	}
	s, err := c.chain.next(e.seq, e.raw)
	if err != nil {
		return envelope{}, nil, err
	}
	confirmed, raw = c.pending, c.raw
	c.pending, c.raw = s, e.raw
	return confirmed, raw, nil
}

// end returns the last record.
func (c *confirmer) end(head link) (confirmed envelope, raw []byte, err error) {
	if err := c.chain.ends(head); err != nil {
		return envelope{}, nil, err
	}
	return c.pending, c.raw, nil
}

// records calls fn for each record from a number on, up to the head that the log
// has when the call begins. Between two chunks nothing is held of the file, so that
// fn may take its time, and may append.
func (s *store) records(from uint64, fn func(Record) error) error {
	_, err := s.walk(from, false, fn)
	return err
}

// walk is records. whole says that nothing replaces the file meanwhile, so that every
// gap has to begin where it is met. It returns the chain behind the last record.
func (s *store) walk(from uint64, whole bool, fn func(Record) error) (*chain, error) {
	from = max(from, 1)
	var head link
	err := s.view(func(tx *bbolt.Tx) (err error) {
		head, err = readEnd(tx)
		return err
	})
	if err != nil || from > head.Seq {
		return &chain{}, err
	}
	before := link{Seq: from - 1}
	if from == 1 {
		before = s.origin()
	}
	deliver := func(s envelope, raw []byte, err error) error {
		if err != nil || raw == nil {
			return err
		}
		record, err := s.record(raw)
		if err != nil {
			return err
		}
		return fn(record)
	}
	confirm := confirmer{chain: chainFrom(before)}
	confirm.chain.whole = whole
	for confirm.chain.seq < head.Seq {
		chunk, err := s.chunk(confirm.chain.seq+1, head.Seq)
		if err != nil {
			return nil, err
		}
		if len(chunk) == 0 {
			break
		}
		for _, e := range chunk {
			if err := deliver(confirm.next(e)); err != nil {
				return nil, at(s.path, err)
			}
		}
	}
	return confirm.chain, at(s.path, deliver(confirm.end(head)))
}

// chunk copies entries out of the log: from a number on, none above last.
func (s *store) chunk(from, last uint64) (entries []entry, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		size := 0
		cursor := tx.Bucket(logBucket).Cursor()
		for key, raw := cursor.Seek(seqKey(from)); key != nil; key, raw = cursor.Next() {
			seq, err := seqOf(key, from-1)
			if err != nil {
				return err
			}
			if seq > last || len(entries) == chunkRecords || len(entries) > 0 && size+len(raw) > chunkBytes {
				break
			}
			entries = append(entries, entry{seq, slices.Clone(raw)})
			size += len(raw)
		}
		return nil
	})
	return entries, err
}

// rawBlob reads a blob as it is stored.
func (s *store) rawBlob(digest Digest) (content []byte, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		stored := tx.Bucket(blobBucket).Get([]byte(digest))
		if stored == nil {
			return ErrNoBlob
		}
		content = append([]byte{}, stored...)
		return nil
	})
	return content, err
}

// blob reads a blob and checks it against its digest.
func (s *store) blob(digest Digest) ([]byte, error) {
	content, err := s.rawBlob(digest)
	if err != nil {
		return nil, err
	}
	if found := DigestOf(content); found != digest {
		return nil, at(s.path, corruptBlob(0, digest, "its content has digest "+string(found)))
	}
	return content, nil
}

func corruptBlob(seq uint64, blob Digest, what string) error {
	return &CorruptError{Seq: seq, Blob: blob, What: what, Hint: corruptHint}
}
