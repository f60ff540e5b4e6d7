package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// VerifyReport is what a verification saw.
type VerifyReport struct {
	Info
	// Checked counts the records found good, from the first on.
	Checked uint64
	// Dropped counts the records of forgotten jobs that are not in the file any more.
	Dropped uint64
	// Kinds counts them by kind.
	Kinds map[Kind]uint64
	// Jobs counts the job ids that they leave.
	Jobs int
	// Blobs and BlobBytes count the blobs found good.
	Blobs     int
	BlobBytes int64
	// StaleMeta is set when the file goes on from the older of its two meta pages:
	// power was lost during the very last write, or that write is gone.
	StaleMeta bool
}

// Verify opens the journal of a state directory for reading and checks all of it:
// the shape of the file, the number and the place in the chain of every record, the
// head of the log, that each record decodes and follows from those before, that each
// blob has the digest it is stored under, and that the blobs which records name are
// there.
//
// The error is the first fault, a [CorruptError] or [NewerError] that names the
// record or the blob; the report tells how far everything was good.
func Verify(ctx context.Context, dir string) (VerifyReport, error) {
	reader, err := OpenReadOnly(dir)
	if err != nil {
		return VerifyReport{}, err
	}
	report, err := reader.Verify(ctx)
	return report, errors.Join(err, reader.Close())
}

func (s *store) verify(ctx context.Context) (VerifyReport, error) {
	report := VerifyReport{Kinds: map[Kind]uint64{}, StaleMeta: s.stale}
	var err error
	if report.Info, err = s.currentInfo(); err != nil {
		return report, err
	}
	var state State
	named := map[Digest]uint64{} // the blobs that records name, with the first record
	chain, err := s.walk(1, true, func(record Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		state.Events = record.Seq - 1 // over those forgotten
		next, err := Apply(state, record.Event)
		if err != nil {
			return corrupt(record.Seq, err, "it cannot follow the records before it")
		}
		state = next
		if _, repaired := record.Event.(JournalRepaired); repaired {
			clear(named) // what was lost is known
		}
		for _, digest := range references(record.Event) {
			if _, seen := named[digest]; !seen {
				named[digest] = record.Seq
			}
		}
		report.Checked++
		report.Kinds[record.Kind]++
		return nil
	})
	report.Jobs = state.JobCount()
	if err == nil {
		err = at(s.path, chain.forgets(state))
	}
	if err != nil {
		return report, err
	}
	report.Dropped = report.Records - report.Checked
	if err := s.verifyBlobs(ctx, &report); err != nil {
		return report, err
	}
	return report, s.verifyNamed(named)
}

// verifyBlobs reads every blob, one per transaction.
func (s *store) verifyBlobs(ctx context.Context, report *VerifyReport) error {
	var last []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := false
		err := s.view(func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(blobBucket).Cursor()
			key, content := cursor.Seek(last)
			if last != nil && bytes.Equal(key, last) {
				key, content = cursor.Next()
			}
			if key == nil {
				return nil
			}
			more, last = true, slices.Clone(key)
			if found := fmt.Sprintf("%x", sha256.Sum256(content)); found != string(key) {
				return corruptBlob(0, Digest(last), "its content has digest "+found)
			}
			report.Blobs++
			report.BlobBytes += int64(len(content))
			return nil
		})
		if err != nil || !more {
			return err
		}
	}
}

// verifyNamed checks that the blobs which records name are stored, and reports the
// earliest record of those that miss one.
func (s *store) verifyNamed(named map[Digest]uint64) error {
	var missing error
	first := uint64(0)
	err := s.view(func(tx *bbolt.Tx) error {
		blobs := tx.Bucket(blobBucket)
		for digest, seq := range named {
			if blobs.Get([]byte(digest)) == nil && (missing == nil || seq < first) {
				first = seq
				missing = corruptBlob(seq, digest, fmt.Sprintf("it is missing, and record %d names it", seq))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return at(s.path, missing)
}
