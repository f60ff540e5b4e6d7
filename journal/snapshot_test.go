package journal

import (
	"bytes"
	"errors"
	"testing"

	"go.etcd.io/bbolt"
)

// snapshotNow writes a snapshot of the journal as it is.
func snapshotNow(t testing.TB, j *Journal) {
	t.Helper()
	state, head, err := j.store.foldWhole()
	if err == nil {
		err = j.store.update(func(tx *bbolt.Tx) error { return writeSnapshot(tx, state, head) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAStartFromASnapshot: the state is that of the whole fold, and a snapshot that
// does not fit is passed over.
func TestAStartFromASnapshot(t *testing.T) {
	about := func(old, new string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(snapshotBucket)
			was := bucket.Get(aboutKey)
			is := bytes.Replace(was, []byte(old), []byte(new), 1)
			if bytes.Equal(was, is) {
				return errors.New("the case changes nothing")
			}
			return bucket.Put(aboutKey, is)
		}
	}
	for name, c := range map[string]struct {
		change func(*bbolt.Tx) error
		fits   bool
	}{
		"as it was written":     {func(*bbolt.Tx) error { return nil }, true},
		"none":                  {func(tx *bbolt.Tx) error { return tx.DeleteBucket(snapshotBucket) }, false},
		"of another record":     {about(`"seq":`, `"seq":1`), false},
		"of another fold":       {about(string(foldDigest), string(DigestOf(nil))), false},
		"cut short":             {about(`}`, ``), false},
		"of another chain":      {about(`"digest":"`, `"digest":"0`), false},
		"with a chunk altered":  {alterChunk, false},
		"with a chunk left out": {func(tx *bbolt.Tx) error { return tx.Bucket(snapshotBucket).Delete(seqKey(0)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := storyJournal(t)
			j := open(t, dir)
			lives(t, j, 3, 9)
			appendAll(t, j, JobAccepted{JobID: 11, Generation: 1, Spec: jobSpec(), Origin: OriginNew},
				AttemptStarted{Attempt: attempt(11, 1, 1)},
				SinkChosen{Attempt: attempt(11, 1, 1), Sink: SinkSpec{Topic: "errors", URI: "parquet://errors.parquet"}},
				OutputCheckpointed{Attempt: attempt(11, 1, 1), Checkpoint: checkpoint(40)})
			snapshotNow(t, j)
			appendAll(t, j, JobAccepted{JobID: 10, Generation: 1, Spec: jobSpec(), Origin: OriginNew})
			if err := j.store.update(c.change); err != nil {
				t.Fatal(err)
			}
			want := dump(j.State())
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, dir)
			if again.snapshot != 0 != c.fits {
				t.Errorf("it began with record %d", again.snapshot)
			}
			if got := dump(again.State()); got != want {
				t.Errorf("the state is\n%s\nwant\n%s", got, want)
			}
			if report, err := again.Verify(t.Context()); err != nil || report.Records != again.head.Seq {
				t.Error(report, err)
			}
		})
	}
}

func alterChunk(tx *bbolt.Tx) error {
	bucket := tx.Bucket(snapshotBucket)
	chunk := bytes.Clone(bucket.Get(seqKey(0)))
	chunk[len(chunk)/2] ^= 1
	return bucket.Put(seqKey(0), chunk)
}

// TestDamageBehindASnapshot: what came after it is checked as ever.
func TestDamageBehindASnapshot(t *testing.T) {
	dir := storyJournal(t)
	j := open(t, dir)
	snapshotNow(t, j)
	appendAll(t, j, wholeLife(9)...)
	err := j.store.update(func(tx *bbolt.Tx) error {
		log := tx.Bucket(logBucket)
		at := seqKey(j.head.Seq - 2)
		return log.Put(at, bytes.Replace(log.Get(at), []byte("SUCCESS"), []byte("SUCCESs"), 1))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	if bad, ok := errors.AsType[*CorruptError](err); !ok || bad.Seq != uint64(len(story())+5) {
		t.Errorf("got %v", err)
	}
}

// TestSnapshotsAreTakenByThemselves: a journal that has grown past the interval
// starts from one.
func TestSnapshotsAreTakenByThemselves(t *testing.T) {
	dir := t.TempDir()
	fillQuickly(t, dir, snapshotEvery/7+1)
	j := open(t, dir) // it folds the log, and finds that a snapshot is due
	appendAll(t, j, WorkerStarted{WorkerID: "w"})
	want := dump(j.State())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if again.snapshot < snapshotEvery {
		t.Errorf("it began with record %d", again.snapshot)
	}
	if dump(again.State()) != want {
		t.Error("the state has changed")
	}
	for due, c := range map[bool][2]uint64{true: {snapshotEvery, 0}, false: {snapshotEvery, 5 * snapshotEvery}} {
		if snapshotDue(c[0], int(c[1])) != due {
			t.Errorf("%d records behind it, %d jobs: due %v", c[0], c[1], !due)
		}
	}
}
