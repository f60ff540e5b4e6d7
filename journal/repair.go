package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// RepairReport says what a repair found and did.
type RepairReport struct {
	// Damage is what was wrong; nil when nothing was, and nothing was done.
	Damage error
	// Kept counts the records in the repaired journal, without the one that tells of
	// the repair. Lost counts those known to be missing at the end of the log.
	Kept uint64
	Lost uint64
	// Jobs are those that had records among the lost ones, or may have had.
	Jobs []uint64
	// SetAside is where the damaged file is.
	SetAside string
}

const damagedName = fileName + ".damaged-"

// Repair brings a damaged journal to its last good state: it keeps every record in
// front of the first bad one, sets the damaged file aside under a name of its own,
// and writes into the repaired one that it did. It never deletes anything. A crash at
// any moment leaves the damaged file or the repaired one in place.
//
// Errors: [ErrMissing], [LockedError]; [NewerError], which is no damage; a
// [CorruptError] when the file holds nothing that could be kept.
func Repair(ctx context.Context, dir string, opts Options) (RepairReport, error) {
	path := filepath.Join(dir, fileName)
	d := opts.calls
	if d == nil {
		d = callsOn(opts.Disk)
	}
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	report, err := repair(ctx, d, dir, path, now)
	if err != nil {
		return report, fmt.Errorf("repair %w", explain(path, err))
	}
	return report, nil
}

func repair(ctx context.Context, d *diskCalls, dir, path string, now func() time.Time) (report RepairReport, err error) {
	if _, err := os.Stat(path); err != nil {
		return report, fmt.Errorf("%w (is %s the state directory of a worker that has run?)", ErrMissing, dir)
	}
	lock, err := lockFolder(d, dir, Owner{WorkerID: "journal repair", PID: os.Getpid(), Since: now().UTC()})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	damage := examine(ctx, d, path)
	if _, ok := errors.AsType[*CorruptError](damage); !ok {
		return report, damage // none, or none that a repair could mend
	}
	report.Damage = damage
	return report, rebuild(d, dir, path, now().UTC(), &report)
}

// examine is what [Verify] does, under the lock of the caller.
func examine(ctx context.Context, d *diskCalls, path string) error {
	s, err := openStore(d, path, true)
	if err != nil {
		return err
	}
	_, err = s.verify(ctx)
	return errors.Join(err, s.close())
}

// rebuild writes what can be kept into a new file and puts that in place.
func rebuild(d *diskCalls, dir, path string, now time.Time, report *RepairReport) (err error) {
	damaged, err := d.openFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer damaged.Close()
	info, err := damaged.Stat()
	if err != nil {
		return err
	}
	found, err := scan(damaged, info.Size())
	if err != nil {
		return err
	}
	id, err := found.identity()
	if err != nil {
		return at(path, corrupt(0, err, "it cannot be repaired"))
	}
	aside, err := freeName(path, now)
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, newFileName)
	if err := removeIfThere(d, temporary); err != nil {
		return err
	}
	options := boltOptions(d)
	options.NoSync, options.NoGrowSync = true, true
	target, err := fillNewStore(d, temporary, id, now, options)
	if err == nil {
		err = errors.Join(fill(target, found, filepath.Base(aside), now, report), target.sync(), target.close())
	}
	if err != nil {
		return errors.Join(err, removeIfThere(d, temporary))
	}
	// The damaged file has its second name before the new one takes its first.
	if err := setAside(d, path, aside, damaged); err != nil {
		return errors.Join(err, removeIfThere(d, temporary))
	}
	report.SetAside = aside
	if err := damaged.Close(); err != nil { // not every system renames over an open file
		return err
	}
	if err := d.rename(temporary, path); err != nil {
		return err
	}
	return d.syncFolder(dir)
}

// fill copies the chain as far as it is good, and tells of the repair.
func fill(target *store, found *salvage, aside string, now time.Time, report *RepairReport) error {
	var state State
	var head link
	var events []entry
	flush := func() error {
		defer func() { events = events[:0] }()
		return target.update(func(tx *bbolt.Tx) error {
			log := tx.Bucket(logBucket)
			log.FillPercent = 1
			for _, e := range events {
				if err := log.Put(seqKey(e.seq), e.raw); err != nil {
					return err
				}
			}
			return putHead(tx, head)
		})
	}
	head = target.origin()
	_, err := found.follow(target.info.ID, func(seq uint64, raw []byte) error {
		if isGap(raw) {
			state.Events = seq
			head = link{seq, gapDigest(raw)}
		} else {
			record, err := ParseRecord(raw)
			if err != nil {
				return errFarEnough
			}
			next, err := Apply(state, record.Event)
			if err != nil {
				return errFarEnough
			}
			state, head = next, link{seq, DigestOf(raw)}
			report.Kept++
		}
		events = append(events, entry{seq, raw})
		if len(events) == chunkRecords {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	var blank bool
	report.Jobs, blank = found.touched(head.Seq)
	if found.last > head.Seq {
		report.Lost = found.last - head.Seq
	}
	if blank { // any job that was under way may have been in it
		for job := range state.Jobs() {
			if job.Phase != Confirmed && !slices.Contains(report.Jobs, job.ID) {
				report.Jobs = append(report.Jobs, job.ID)
			}
		}
	}
	for job := range state.Unfinished() {
		if _, whole := found.blobs[job.Spec.Source]; !whole && !slices.Contains(report.Jobs, job.ID) {
			report.Jobs = append(report.Jobs, job.ID)
		}
	}
	slices.Sort(report.Jobs)
	return target.update(func(tx *bbolt.Tx) error {
		for digest, at := range found.blobs {
			if err := tx.Bucket(blobBucket).Put([]byte(digest), found.bytes(at)); err != nil {
				return err
			}
		}
		told := JournalRepaired{SetAside: aside, Lost: report.Lost, Jobs: report.Jobs}
		kind, data, _, err := encodeEvent(told)
		if err != nil {
			return err
		}
		raw := encodeRecord(head.Seq+1, now, 0, kind, head.Digest, data)
		if err := tx.Bucket(logBucket).Put(seqKey(head.Seq+1), raw); err != nil {
			return err
		}
		return putHead(tx, link{head.Seq + 1, DigestOf(raw)})
	})
}

// freeName is a name beside the journal that nothing has.
func freeName(path string, now time.Time) (string, error) {
	base := filepath.Join(filepath.Dir(path), damagedName+now.Format("20060102T150405Z"))
	for i := 1; ; i++ {
		name := base
		if i > 1 {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

// setAside gives the damaged file a second name, or a copy where the file system
// knows no second names, and makes it durable.
func setAside(d *diskCalls, path, aside string, damaged *os.File) error {
	if d.link(path, aside) == nil {
		return d.syncFolder(filepath.Dir(aside))
	}
	copied, err := d.openFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = damaged.Seek(0, 0); err == nil {
		_, err = copied.ReadFrom(damaged)
	}
	if err = errors.Join(err, copied.Sync(), copied.Close()); err != nil {
		return errors.Join(err, d.remove(aside))
	}
	return d.syncFolder(filepath.Dir(aside))
}
