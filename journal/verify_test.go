package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestAWholeJournalVerifies(t *testing.T) {
	dir := storyJournal(t)
	report, err := Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if report.Checked != uint64(len(story())) || report.Records != report.Checked || report.Jobs != 1 || report.Blobs != 2 ||
		report.BlobBytes != int64(len(pluginSource)+len(lockfile)) || report.Kinds[kindJobAccepted] != 2 || report.StaleMeta {
		t.Errorf("%+v", report)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestWhatSomebodyDidToTheLog changes a journal as one could who has the file and a
// tool of bbolt's: verification names the first record, or the blob, that is not as
// it was written. A worker does not open such a log either.
func TestWhatSomebodyDidToTheLog(t *testing.T) {
	const altered = 10
	rewrite := func(tx *bbolt.Tx, seq uint64, old, new string) error {
		log := tx.Bucket(logBucket)
		raw := log.Get(seqKey(seq))
		changed := bytes.Replace(raw, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, raw) {
			return errors.New("the case changes nothing")
		}
		return log.Put(seqKey(seq), changed)
	}
	last := uint64(len(story()))
	cases := []struct {
		name  string
		do    func(tx *bbolt.Tx) error
		seq   uint64 // that is named
		blob  bool   // a blob is named
		opens bool   // a worker starts with it all the same, and meets it when it needs it
	}{
		{"a record's rows altered", func(tx *bbolt.Tx) error { return rewrite(tx, altered, `"rows":100`, `"rows":900`) }, altered, false, false},
		{"a record's time altered", func(tx *bbolt.Tx) error { return rewrite(tx, altered, "2026-03", "2025-03") }, altered, false, false},
		{"a record's kind made unknown", func(tx *bbolt.Tx) error { return rewrite(tx, altered, "output-sealed", "output-dropped") }, altered, false, false},
		{"a record altered and its digest passed on", func(tx *bbolt.Tx) error {
			before := DigestOf(tx.Bucket(logBucket).Get(seqKey(altered)))
			if err := rewrite(tx, altered, `"rows":100`, `"rows":900`); err != nil {
				return err
			}
			return rewrite(tx, altered+1, string(before), string(DigestOf(tx.Bucket(logBucket).Get(seqKey(altered)))))
		}, altered + 1, false, false},
		{"the last record altered", func(tx *bbolt.Tx) error { return rewrite(tx, last, "[1]", "[2]") }, last, false, false},
		{"a record in the middle removed", func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Delete(seqKey(altered)) }, altered, false, false},
		{"the first record removed", func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Delete(seqKey(1)) }, 1, false, false},
		{"the last record removed", func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Delete(seqKey(last)) }, last, false, false},
		{"the tail removed", func(tx *bbolt.Tx) error {
			for seq := altered; seq <= int(last); seq++ {
				if err := tx.Bucket(logBucket).Delete(seqKey(uint64(seq))); err != nil {
					return err
				}
			}
			return nil
		}, altered, false, false},
		{"all records removed", func(tx *bbolt.Tx) error {
			return errors.Join(tx.DeleteBucket(logBucket), ignoreResult(tx.CreateBucket(logBucket)))
		}, 1, false, false},
		{"two records swapped", func(tx *bbolt.Tx) error {
			log := tx.Bucket(logBucket)
			one, two := bytes.Clone(log.Get(seqKey(altered))), bytes.Clone(log.Get(seqKey(altered+1)))
			return errors.Join(log.Put(seqKey(altered), two), log.Put(seqKey(altered+1), one))
		}, altered, false, false},
		{"a record doubled at the end", func(tx *bbolt.Tx) error {
			log := tx.Bucket(logBucket)
			return log.Put(seqKey(last+1), bytes.Clone(log.Get(seqKey(last))))
		}, last + 1, false, false},
		{"a record of record 0", func(tx *bbolt.Tx) error { return tx.Bucket(logBucket).Put(seqKey(0), []byte("{}")) }, 1, false, false},
		{"an event forged with a chain that fits", func(tx *bbolt.Tx) error {
			head, err := readHead(tx)
			if err != nil {
				return err
			}
			raw := encodeRecord(head.Seq+1, ticking()(), 77, kindReceiptConfirmed, head.Digest,
				[]byte(`{"job_id":77,"generation":1,"evidence":"none"}`))
			return errors.Join(tx.Bucket(logBucket).Put(seqKey(head.Seq+1), raw), putHead(tx, link{head.Seq + 1, DigestOf(raw)}))
		}, last + 1, false, false},
		{"a blob altered", func(tx *bbolt.Tx) error {
			return tx.Bucket(blobBucket).Put([]byte(DigestOf(pluginSource)), []byte("import os"))
		}, 0, true, true},
		{"a blob removed", func(tx *bbolt.Tx) error {
			return tx.Bucket(blobBucket).Delete([]byte(DigestOf(pluginSource)))
		}, 7, true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := storyJournal(t)
			db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(c.do), db.Close()); err != nil {
				t.Fatal(err)
			}
			report, err := Verify(t.Context(), dir)
			bad, ok := errors.AsType[*CorruptError](err)
			if !ok || bad.Seq != c.seq || (bad.Blob == DigestOf(pluginSource)) != c.blob || bad.Path == "" {
				t.Fatalf("got %v, want record %d", err, c.seq)
			}
			if c.seq > 0 && !c.blob && report.Checked >= c.seq {
				t.Errorf("%d records were found good", report.Checked)
			}
			j, err := Open(dir, Options{})
			if (err == nil) != c.opens {
				t.Fatalf("a worker: %v", err)
			}
			if err != nil {
				requireTyped(t, err)
				return
			}
			if _, err := j.Blob(DigestOf(pluginSource)); !isCorrupt(err) && !errors.Is(err, ErrNoBlob) {
				t.Errorf("the blob: %v", err)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestANewerWorkersRecord: a whole chain with a record that only a newer worker
// knows is not damage, and the message says so.
func TestANewerWorkersRecord(t *testing.T) {
	for name, change := range map[string][2]string{
		"an event kind": {`"kind":"worker-stopped"`, `"kind":"worker-promoted"`},
		"a version":     {`"v":1`, `"v":2`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := storyJournal(t)
			db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				head, err := readHead(tx)
				if err != nil {
					return err
				}
				raw := encodeRecord(head.Seq+1, ticking()(), 0, kindWorkerStopped, head.Digest, []byte(`{"reason":"x"}`))
				raw = bytes.Replace(raw, []byte(change[0]), []byte(change[1]), 1)
				return errors.Join(tx.Bucket(logBucket).Put(seqKey(head.Seq+1), raw), putHead(tx, link{head.Seq + 1, DigestOf(raw)}))
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			_, openErr := Open(dir, Options{})
			report, verifyErr := Verify(t.Context(), dir)
			for _, err := range []error{openErr, verifyErr} {
				later, ok := errors.AsType[*NewerError](err)
				if !ok || later.Seq != uint64(len(story())+1) || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v", err)
				}
			}
			if report.Checked != uint64(len(story())) {
				t.Errorf("%d records were found good", report.Checked)
			}
		})
	}
}

// TestJournalsOfTheField opens journals that were written when their format was new,
// and goes on in them. The files must never be written anew: what is in the field is
// like them. Only what is expected of them is, with -update.
func TestJournalsOfTheField(t *testing.T) {
	for _, c := range []struct {
		name    string
		records uint64
		write   func(t testing.TB) (dir string)
	}{
		{"format1", 20, storyJournal},
		{"format2", 43, compactedJournal},
	} {
		t.Run(c.name, func(t *testing.T) {
			fixture := filepath.Join("testdata", c.name+".db")
			wanted := filepath.Join("testdata", c.name+".state.txt")
			if _, err := os.Stat(fixture); err != nil && *update {
				content, err := os.ReadFile(filepath.Join(c.write(t), fileName))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(fixture, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			content, err := os.ReadFile(fixture)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, fileName), content, 0o600); err != nil {
				t.Fatal(err)
			}
			if report, err := Verify(t.Context(), dir); err != nil || report.Checked != c.records {
				t.Fatalf("%+v %v", report, err)
			}
			j := open(t, dir)
			got := dump(j.State())
			if whole := dump(refolded(t, j)); whole != got {
				t.Errorf("from its snapshot:\n%s\nfrom its records:\n%s", got, whole)
			}
			if *update {
				if err := os.WriteFile(wanted, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wanted)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("its state:\n%s\nwas:\n%s", got, want)
			}
			if source, err := j.Blob(DigestOf(pluginSource)); err != nil || !bytes.Equal(source, pluginSource) {
				t.Error(err)
			}
			appendAll(t, j, WorkerStarted{WorkerID: "edge-1", Version: "of today"})
		})
	}
}

// compactedJournal is the story's journal after a compaction, which left a gap and a
// snapshot, with jobs that ended and one that runs behind it.
func compactedJournal(t testing.TB) (dir string) {
	t.Helper()
	dir = storyJournal(t)
	j, err := Open(dir, Options{Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	lives(t, j, 3, 4)
	appendAll(t, j,
		JobAccepted{JobID: 5, Generation: 1, Spec: jobSpec(), Origin: OriginNew, Lane: 1},
		AttemptStarted{Attempt: attempt(5, 1, 1), Interpreter: "/envs/abc/bin/python"},
		OutputCheckpointed{Attempt: attempt(5, 1, 1), Checkpoint: checkpoint(40)})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}
