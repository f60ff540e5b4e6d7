package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"
)

// CompactReport says what a compaction did.
type CompactReport struct {
	Dropped uint64 // records
	Before  int64  // bytes of the file
	After   int64
}

// CompactionDue tells whether records that were forgotten are still in the file.
func (j *Journal) CompactionDue() (bool, error) {
	done, err := j.store.compactedTo()
	return done < j.State().Forgotten, err
}

// Compact copies what is not forgotten into a fresh file and puts it in the place of
// the journal's, while appends go on: they wait only for the last step. A crash at
// any moment leaves the one file or the other, and both hold the same, but for what
// was forgotten. It needs as much room as the file will have; any error but a
// [StorageError] leaves the journal as it was. One compaction runs at a time.
func (j *Journal) Compact(ctx context.Context) (CompactReport, error) {
	j.compacting.Lock()
	defer j.compacting.Unlock()
	report, err := j.compact(ctx)
	if err != nil {
		return report, fmt.Errorf("compact %w", explain(j.path, err))
	}
	return report, nil
}

func (j *Journal) compact(ctx context.Context) (report CompactReport, err error) {
	sieve, err := j.store.sieve(ctx)
	if err != nil {
		return report, err
	}
	temporary := filepath.Join(j.folder, newFileName)
	target, err := createCopy(j.store, temporary)
	if err != nil {
		return report, errors.Join(err, removeIfThere(j.store.disk, temporary))
	}
	c := &copying{from: j.store, into: target, sieve: sieve, at: j.store.origin()}
	defer func() {
		if c.into != nil { // not handed over
			err = errors.Join(err, c.into.close(), removeIfThere(j.store.disk, temporary))
		}
	}()
	// What is appended meanwhile is copied, too, until little is left for the last
	// step, in which appends wait, or until they prove to be as fast.
	const little, rounds = 256, 8
	var state State
	for round := 0; round < rounds && (round == 0 || j.durable.Load().Events > c.at.Seq+little); round++ {
		state = *j.durable.Load()
		for c.at.Seq < state.Events {
			select {
			case <-j.closing:
				return report, ErrClosed
			default:
			}
			if err := c.step(ctx, state.Events); err != nil {
				return report, err
			}
		}
	}
	if err := c.finish(state); err != nil {
		return report, err
	}
	report.Dropped = c.dropped
	return report, j.handOver(ctx, c, &report)
}

// copying is a compaction under way.
type copying struct {
	from, into *store
	sieve      *sieve
	at         link // the last record copied or dropped
	open       *gap // records dropped behind at, not stored yet
	dropped    uint64
	snapshot   uint64 // the record that the copy's snapshot stands behind
}

// step copies one chunk, up to the record last.
func (c *copying) step(ctx context.Context, last uint64) error {
	entries, err := c.from.chunk(c.at.Seq+1, last)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return corrupt(c.at.Seq+1, nil, "it is missing, the log should go on to record %d", last)
	}
	return c.into.update(func(tx *bbolt.Tx) error {
		log := tx.Bucket(logBucket)
		log.FillPercent = 1
		chain := chainFrom(c.at)
		chain.whole = true
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.copyEntry(tx, log, chain, e); err != nil {
				return err
			}
		}
		return putHead(tx, c.at)
	})
}

// copyEntry copies or drops one record or gap. A gap under way is stored when a
// record follows: gaps that come to lie side by side become one.
func (c *copying) copyEntry(tx *bbolt.Tx, log *bbolt.Bucket, chain *chain, e entry) error {
	drop := isGap(e.raw)
	before := c.at
	if drop {
		if err := chain.skip(e.seq, e.raw); err != nil {
			return err
		}
	} else {
		s, err := chain.next(e.seq, e.raw)
		if err != nil {
			return err
		}
		if drop, err = c.sieve.drops(s); err != nil {
			return err
		}
		if drop {
			c.dropped++
		} else if err := c.copyBlobs(tx, s); err != nil {
			return err
		}
	}
	c.at = link{Seq: chain.seq, Digest: Digest(chain.digest[:])}
	if drop {
		if c.open == nil {
			c.open = &gap{Dropped: span64{From: before.Seq + 1}, Prev: before.Digest}
		}
		c.open.Dropped.To, c.open.Digest = c.at.Seq, c.at.Digest
		return nil
	}
	if c.open != nil {
		if err := log.Put(seqKey(c.open.Dropped.To), c.open.encode()); err != nil {
			return err
		}
		c.open = nil
	}
	return log.Put(seqKey(e.seq), e.raw)
}

// copyBlobs copies the blobs that a record names, as they are: a damaged one is
// found when it is read.
func (c *copying) copyBlobs(tx *bbolt.Tx, s envelope) error {
	if !schemas[Kind(s.kind)].blobs {
		return nil
	}
	event, err := s.decodeEvent()
	if err != nil {
		return err
	}
	blobs := tx.Bucket(blobBucket)
	for _, digest := range references(event) {
		if blobs.Get([]byte(digest)) != nil {
			continue
		}
		content, err := c.from.rawBlob(digest)
		if errors.Is(err, ErrNoBlob) {
			continue // verify tells of it, before as after
		}
		if err != nil {
			return err
		}
		if err := blobs.Put([]byte(digest), content); err != nil {
			return err
		}
	}
	return nil
}

// finish notes how far the file is compacted, gives it a snapshot, and makes all
// that was copied durable.
func (c *copying) finish(state State) error {
	c.snapshot = c.at.Seq
	err := c.into.update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(metaBucket).Put(compactedKey, strconv.AppendUint(nil, c.sieve.forgotten, 10)); err != nil {
			return err
		}
		return writeSnapshot(tx, state, c.at)
	})
	if err != nil {
		return err
	}
	return c.into.sync()
}

// handOver lets the committer end the compaction.
func (j *Journal) handOver(ctx context.Context, c *copying, report *CompactReport) error {
	h := handover{copying: c, report: report, done: make(chan error, 1)}
	select {
	case j.handovers <- h:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-j.closing:
		return ErrClosed
	}
	return <-h.done // the committer has it, and always answers
}

type handover struct {
	copying *copying
	report  *CompactReport
	done    chan error
}

// replaceFile is the last step of a compaction, in the committer: nothing is
// appended while it runs.
func (j *Journal) replaceFile(h handover) error {
	c := h.copying
	if failure := j.Failure(); failure != nil {
		return failure
	}
	for c.at.Seq < j.head.Seq {
		if err := c.step(context.Background(), j.head.Seq); err != nil {
			return err
		}
	}
	if c.at != j.head {
		return corrupt(c.at.Seq, nil, "its digest in the copy is %s, and %s was written", c.at.Digest, j.head.Digest)
	}
	if err := c.into.sync(); err != nil {
		return err
	}
	h.report.Before, h.report.After = j.store.size(), c.into.size()
	temporary := c.into.path
	err := c.into.close()
	c.into = nil
	if err == nil {
		err = j.store.replaceWith(temporary)
	}
	if j.store.broken.Load() {
		j.fail(&StorageError{Path: j.path, Op: "put the compacted file in place", Err: err, Hint: failedHint})
		return err
	}
	if err != nil {
		return errors.Join(err, removeIfThere(j.store.disk, temporary))
	}
	j.snapshot = c.snapshot
	return nil
}

func removeIfThere(d *diskCalls, path string) error {
	if err := d.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sieve tells which records of a log a compaction leaves out.
type sieve struct {
	forgotten uint64            // the last JobsForgotten or JournalRepaired
	jobs      map[uint64]uint64 // job → the last JobsForgotten that names it
	// environments: of each, what stands at or before this record is told again by
	// later ones.
	environments map[string]*toldAgain
}

// toldAgain is what a compaction keeps of an environment: the last request, and
// what came of it.
type toldAgain struct{ requested, ready uint64 }

// sieve reads the log for what can be left out. Only records in front of the last
// JobsForgotten are.
func (s *store) sieve(ctx context.Context) (*sieve, error) {
	found := &sieve{jobs: map[uint64]uint64{}, environments: map[string]*toldAgain{}}
	environments := map[string]*toldAgain{}
	err := s.envelopes(ctx, func(e envelope) error {
		switch Kind(e.kind) {
		case kindJobsForgotten, kindJournalRepaired, kindEnvironmentRequested, kindEnvironmentReady:
		default:
			return nil
		}
		event, err := e.decodeEvent()
		if err != nil {
			return err
		}
		told := func(hash string) *toldAgain {
			if environments[hash] == nil {
				environments[hash] = &toldAgain{}
			}
			return environments[hash]
		}
		switch event := event.(type) {
		case JournalRepaired:
			found.forgotten = e.seq
		case JobsForgotten:
			found.forgotten = e.seq
			for _, job := range event.Jobs {
				found.jobs[job] = e.seq
			}
			for hash, t := range environments { // as of here
				now := *t
				found.environments[hash] = &now
			}
		case EnvironmentRequested:
			*told(event.EnvHash) = toldAgain{requested: e.seq}
		case EnvironmentReady:
			told(event.EnvHash).ready = e.seq
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found.forgotten == 0 {
		return nil, errors.New("no event says that anything may be forgotten")
	}
	return found, nil
}

// drops tells whether a record is left out. The fold of the others is the same.
func (s *sieve) drops(e envelope) (bool, error) {
	if e.seq >= s.forgotten {
		return false, nil
	}
	if e.job != 0 {
		return e.seq < s.jobs[e.job], nil
	}
	var hash struct {
		EnvHash string `json:"env_hash"`
	}
	switch Kind(e.kind) {
	case kindJobsForgotten:
		return true, nil // all that it names is left out
	case kindEnvironmentRequested, kindEnvironmentReady, kindEnvironmentFailed, kindEnvironmentEvicted:
		if err := json.Unmarshal(e.event, &hash); err != nil {
			return false, corrupt(e.seq, err, "its event does not decode")
		}
	default:
		return false, nil
	}
	told := s.environments[hash.EnvHash]
	if told == nil {
		return false, nil
	}
	return e.seq < told.requested || e.seq < told.ready && e.seq != told.requested, nil
}
