package journal

import (
	"context"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"
)

// compactedTo is the number of the last JobsForgotten that the file was compacted
// for.
func (s *store) compactedTo() (seq uint64, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		stored := tx.Bucket(metaBucket).Get(compactedKey)
		if stored == nil {
			return nil
		}
		if seq, err = strconv.ParseUint(string(stored), 10, 64); err != nil {
			return corrupt(0, err, "how far it is compacted is not readable")
		}
		return nil
	})
	return seq, err
}

// envelopes calls fn for each record, its event not decoded.
func (s *store) envelopes(ctx context.Context, fn func(envelope) error) error {
	var head link
	err := s.view(func(tx *bbolt.Tx) (err error) {
		head, err = readEnd(tx)
		return err
	})
	if err != nil {
		return err
	}
	chain := chainFrom(s.origin())
	for chain.seq < head.Seq {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := s.chunk(chain.seq+1, head.Seq)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if isGap(e.raw) {
				err = chain.skip(e.seq, e.raw)
			} else {
				var record envelope
				if record, err = chain.next(e.seq, e.raw); err == nil {
					err = fn(record)
				}
			}
			if err != nil {
				return at(s.path, err)
			}
		}
	}
	return at(s.path, chain.ends(head))
}

// size is the bytes that the file has.
func (s *store) size() (size int64) {
	_ = s.view(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	return size
}

// sync makes durable what was written without.
func (s *store) sync() error {
	_, err := guard(func() error { return s.disk.sync(s.db) })
	return err
}

// replaceWith puts another file in the place of the open one and goes on with that:
// readers wait. When it cannot tell which of the two a power cut would leave, the
// store is broken; any other error leaves it on the old file.
func (s *store) replaceWith(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Both are closed first: not every system renames an open file.
	if err := s.db.Close(); err != nil {
		s.broken.Store(true)
		return err
	}
	s.db = nil
	renamed := s.disk.rename(path, s.path)
	if renamed == nil {
		if err := s.disk.syncFolder(filepath.Dir(s.path)); err != nil {
			s.broken.Store(true)
			return err
		}
	}
	if err := s.openBolt(false); err != nil {
		s.db = nil
		s.broken.Store(true)
		return err
	}
	if renamed == nil {
		s.info.Format = Format
	}
	return renamed
}
