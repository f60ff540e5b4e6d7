package journal

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// kindsOf lists the kinds of all durable records, in order.
func kindsOf(t *testing.T, j *Journal) (kinds []Kind) {
	t.Helper()
	if err := j.Records(1, func(r Record) error { kinds = append(kinds, r.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	return kinds
}

// TestAppendLaterRidesWithTheNextAppend: it is part of the state at once, costs no
// commit, and stands in front of what was appended after it.
func TestAppendLaterRidesWithTheNextAppend(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{patience: time.Hour})
	life := wholeLife(1)
	state, err := j.AppendLater(t.Context(), life[0], blobsFor(life[0])...)
	if err != nil {
		t.Fatal(err)
	}
	if job, known := state.Job(1); !known || job.Phase != Queued || j.State().Events != 1 {
		t.Errorf("the state has not the event: %+v", job)
	}
	if n := j.commits.Load(); n != 0 || len(kindsOf(t, j)) != 0 {
		t.Errorf("%d commits, %v are written already", n, kindsOf(t, j))
	}
	for _, blob := range blobsFor(life[0]) {
		if content, err := j.Blob(DigestOf(blob)); err != nil || string(content) != string(blob) {
			t.Errorf("its blob: %q, %v", content, err)
		}
	}
	// An event that does not follow is refused at once, as in Append.
	if _, err := j.AppendLater(t.Context(), life[len(life)-1]); err == nil {
		t.Error("an illegal event was taken")
	} else if _, illegal := errors.AsType[*TransitionError](err); !illegal {
		t.Error(err)
	}
	if state, err = j.Append(t.Context(), life[1]); err != nil || state.Events != 2 {
		t.Fatal(state.Events, err)
	}
	if n := j.commits.Load(); n != 1 {
		t.Errorf("%d commits, want 1 for both", n)
	}
	want := []Kind{"job-accepted", "attempt-started"}
	if got := kindsOf(t, j); !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	if job, _ := j.State().Job(1); job == nil || job.Phase != Running {
		t.Errorf("after opening again the job is %+v", job)
	}
	if _, err := j.Blob(DigestOf(blobsFor(life[0])[0])); err != nil {
		t.Error(err)
	}
}

// TestFlush makes durable what waits, and commits nothing when nothing does.
func TestFlush(t *testing.T) {
	j := open(t, t.TempDir(), Options{patience: time.Hour})
	for range 3 {
		if _, err := j.AppendLater(t.Context(), WorkerStarted{WorkerID: "w"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, kinds := j.commits.Load(), kindsOf(t, j); n != 1 || len(kinds) != 3 {
		t.Errorf("%d commits, records %v, want 1 and 3", n, kinds)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestAppendLaterWaitsNotForEver: without company it is written after a while, and
// by Close at the latest.
func TestAppendLaterWaitsNotForEver(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{patience: time.Millisecond})
	if _, err := j.AppendLater(t.Context(), WorkerStarted{WorkerID: "w"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "its commit", func() bool { return j.commits.Load() == 1 })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, Options{patience: time.Hour})
	if _, err := j.AppendLater(t.Context(), WorkerStopped{}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	if got, want := kindsOf(t, j), []Kind{"worker-started", "worker-stopped"}; !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// TestAppendLaterOnAFullDisk: what waits is written once there is room; when the
// journal is closed before that, it is forgotten and the file is whole.
func TestAppendLaterOnAFullDisk(t *testing.T) {
	dir, d := t.TempDir(), newFullDisk()
	j := open(t, dir, Options{calls: d.diskCalls, backOff: soon, patience: time.Millisecond})
	d.fill(&fs.PathError{Op: "write", Path: "journal.db", Err: disk.Full[0]})
	if _, err := j.AppendLater(t.Context(), WorkerStarted{WorkerID: "w"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the journal to wait", func() bool { return j.Paused() != nil })
	d.makeRoom()
	waitFor(t, "its commit", func() bool { return j.commits.Load() == 1 && j.Paused() == nil })
	d.fill(&fs.PathError{Op: "write", Path: "journal.db", Err: disk.Full[0]})
	if _, err := j.AppendLater(t.Context(), WorkerStopped{}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	d.makeRoom()
	j = open(t, dir)
	if got, want := kindsOf(t, j), []Kind{"worker-started"}; !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// TestAppendLaterDuringACompaction: what waits is no part of the file yet, neither of
// the old one nor of the new one, and comes behind.
func TestAppendLaterDuringACompaction(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{patience: time.Hour})
	appendAll(t, j, wholeLife(1)...)
	appendAll(t, j, JobsForgotten{Jobs: []uint64{1}})
	if _, err := j.AppendLater(t.Context(), WorkerStarted{WorkerID: "w"}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	if got, want := kindsOf(t, j), []Kind{"jobs-forgotten", "worker-started"}; !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
	if report, err := j.Verify(t.Context()); err != nil || report.Checked == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
