package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// lives writes the whole lives of jobs, their events interleaved, the environment
// asked for again each time.
func lives(t testing.TB, j *Journal, first, last uint64) {
	t.Helper()
	var all [][]Event
	for id := first; id <= last; id++ {
		life := wholeLife(id)
		accepted := life[0].(JobAccepted)
		accepted.Spec.Source = DigestOf(sourceOf(id))
		life[0] = accepted
		all = append(all, life)
	}
	for step := range all[0] {
		for i, life := range all {
			var blobs [][]byte
			if step == 0 {
				blobs = [][]byte{sourceOf(first + uint64(i))}
				appendAll(t, j, EnvironmentRequested{EnvHash: "abc", Lockfile: DigestOf(lockfile)},
					EnvironmentReady{EnvHash: "abc", Interpreter: fmt.Sprint("python of job ", first+uint64(i))})
			}
			if _, err := j.Append(context.Background(), life[step], blobs...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// sourceOf is a plugin of some size that only this job has.
func sourceOf(job uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "# the plugin of job %d\n", job), 200)
}

// refolded is the state that the fold of the whole log gives, without a snapshot.
func refolded(t testing.TB, j *Journal) State {
	t.Helper()
	state, head, err := j.store.foldWhole()
	if err != nil {
		t.Fatal(err)
	}
	if head.Seq != j.State().Events {
		t.Fatalf("the log ends with %d, the state with %d", head.Seq, j.State().Events)
	}
	return state
}

// TestForgottenJobsLeaveTheFile: their records and sources go, all else stays, byte
// for byte, the chain verifies, and the fold gives the same state.
func TestForgottenJobsLeaveTheFile(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Now: ticking()})
	appendAll(t, j, WorkerStarted{WorkerID: "edge-1"}, EnvironmentFailed{EnvHash: "broken", Reason: "no"})
	lives(t, j, 1, 20)
	appendAll(t, j, JobAccepted{JobID: 21, Generation: 1, Spec: jobSpec(), Origin: OriginNew})
	forget := JobsForgotten{}
	for id := uint64(1); id <= 20; id++ {
		if id%5 != 0 {
			forget.Jobs = append(forget.Jobs, id)
		}
	}
	appendAll(t, j, forget)
	lives(t, j, 1, 1) // the same id again is a new job
	before, records := dump(j.State()), allRecords(t, j)
	if due, err := j.CompactionDue(); err != nil || !due {
		t.Fatal(due, err)
	}
	report, err := j.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if due, err := j.CompactionDue(); err != nil || due {
		t.Error(due, err)
	}
	check := func(name string, j *Journal) {
		t.Helper()
		kept := allRecords(t, j)
		if uint64(len(records)-len(kept)) != report.Dropped || report.Dropped < 16*7 {
			t.Errorf("%s: %d records of %d are left, %d were dropped", name, len(kept), len(records), report.Dropped)
		}
		for _, r := range kept {
			if !bytes.Equal(r.Raw, records[r.Seq-1].Raw) {
				t.Errorf("%s: record %d has changed", name, r.Seq)
			}
			if r.Job != 0 && slices.Contains(forget.Jobs, r.Job) && r.Seq < j.State().Forgotten {
				t.Errorf("%s: record %d of forgotten job %d is still there", name, r.Seq, r.Job)
			}
		}
		if got := dump(j.State()); got != before {
			t.Errorf("%s: the state has become\n%s\nwas\n%s", name, got, before)
		}
		if got := dump(refolded(t, j)); got != before {
			t.Errorf("%s: the fold gives\n%s\nwant\n%s", name, got, before)
		}
		for id := uint64(1); id <= 20; id++ {
			_, err := j.Blob(DigestOf(sourceOf(id)))
			if gone := errors.Is(err, ErrNoBlob); gone != (id != 1 && id%5 != 0) {
				t.Errorf("%s: the source of job %d: %v", name, id, err)
			}
		}
		verified, err := j.Verify(t.Context())
		if err != nil || verified.Checked != uint64(len(kept)) || verified.Dropped != report.Dropped || verified.Format != Format {
			t.Errorf("%s: %+v, %v", name, verified, err)
		}
		requireOnlyFiles(t, dir, fileName, lockName)
	}
	check("while it runs", j)
	appendAll(t, j, WorkerStopped{Reason: "done"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if again.snapshot == 0 {
		t.Error("the compacted file has no snapshot that fits")
	}
	if got, want := dump(again.State()), dump(refolded(t, again)); got != want {
		t.Errorf("after a restart\n%s\nwant\n%s", got, want)
	}
	// Gaps beside each other become one, and a second compaction of nothing is none.
	for id := uint64(5); id <= 20; id += 5 {
		appendAll(t, again, JobsForgotten{Jobs: []uint64{id}})
	}
	appendAll(t, again, JobsForgotten{Jobs: []uint64{1}})
	second, err := again.Compact(t.Context())
	if err != nil || second.Dropped == 0 {
		t.Fatal(second, err)
	}
	if got, want := dump(again.State()), dump(refolded(t, again)); got != want {
		t.Errorf("after the second compaction\n%s\nwant\n%s", got, want)
	}
	if report, err := again.Verify(t.Context()); err != nil || report.Checked+report.Dropped != report.Records {
		t.Error(report, err)
	}
}

// TestCompactionUnderLoad: appends, readers and compactions at once. What was
// acknowledged is there, in order, and no reader sees a broken chain.
func TestCompactionUnderLoad(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	lives(t, j, 1, 60)
	stop := make(chan struct{})
	var appended atomic.Int64
	var others sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); others.Wait() })
	t.Cleanup(end) // before the Close that open has asked for
	others.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := j.Append(context.Background(), WorkerStopped{Reason: fmt.Sprint(n)}); err != nil {
				t.Error(err)
				return
			}
			appended.Store(n)
		}
	})
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := j.Records(1, func(Record) error { return nil }); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for id := uint64(1); id <= 60; id += 20 {
		forget := JobsForgotten{}
		for n := id; n < id+20; n++ {
			forget.Jobs = append(forget.Jobs, n)
		}
		appendAll(t, j, forget)
		if report, err := j.Compact(t.Context()); err != nil || report.Dropped == 0 {
			t.Fatal(report, err)
		}
	}
	end()
	found := int64(0)
	for _, r := range allRecords(t, j) {
		if stopped, ok := r.Event.(WorkerStopped); ok {
			if found++; stopped.Reason != fmt.Sprint(found) {
				t.Fatalf("record %d is append %s, want %d", r.Seq, stopped.Reason, found)
			}
		}
	}
	if found != appended.Load() {
		t.Errorf("%d of %d appends are there", found, appended.Load())
	}
	if got, want := dump(refolded(t, j)), dump(j.State()); got != want {
		t.Errorf("the fold gives\n%s\nwant\n%s", got, want)
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestACompactionThatIsCutOff stops a compaction at each call that it makes of the
// disk, as a crash there would, or with a full disk, and looks at what is left.
func TestACompactionThatIsCutOff(t *testing.T) {
	prepare := func(t *testing.T, opts Options) (dir string, j *Journal) {
		dir = t.TempDir()
		j = open(t, dir, opts)
		lives(t, j, 1, 3)
		appendAll(t, j, JobsForgotten{Jobs: []uint64{1, 3}})
		return dir, j
	}
	calls := 0
	for at := 1; ; at++ {
		var armed bool
		count := 0
		_, j := prepare(t, Options{Disk: func(call disk.Call) error {
			if armed {
				if count++; count == at {
					return syscall.ENOSPC
				}
			}
			return nil
		}})
		want := dump(j.State())
		armed = true
		_, err := j.Compact(t.Context())
		armed = false
		if count < at {
			break // all calls were met
		}
		calls = at
		name := fmt.Sprintf("call %d", at)
		if err == nil {
			t.Errorf("%s failed, and nobody said so", name)
		}
		if failure := j.Failure(); failure != nil {
			// Only where it is not known which file a power cut would leave.
			if !strings.Contains(failure.Error(), "compacted") && !strings.Contains(failure.Error(), "(") {
				t.Errorf("%s: %v", name, failure)
			}
		} else {
			appendAll(t, j, WorkerStopped{Reason: "it goes on"})
			if _, err := j.Compact(t.Context()); err != nil {
				t.Errorf("%s, then again: %v", name, err)
			}
			want = dump(j.State())
		}
		if err := j.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := Open(j.folder, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := dump(again.State()); got != want {
			t.Errorf("%s: the state is\n%s\nwant\n%s", name, got, want)
		}
		if _, err := again.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		requireOnlyFiles(t, j.folder, fileName, lockName)
		again.Close()
	}
	if calls < 8 {
		t.Errorf("only %d calls were met", calls)
	}
	t.Run("closed meanwhile", func(t *testing.T) {
		reached, gate := make(chan struct{}), make(chan struct{})
		var once sync.Once
		dir, j := prepare(t, Options{Disk: func(call disk.Call) error {
			if call.Op == disk.Write && strings.HasSuffix(call.Path, newFileName) && call.Path != "" {
				select {
				case <-gate:
				default:
					// The creation of the journal itself writes the same name.
					if _, err := os.Stat(filepath.Join(filepath.Dir(call.Path), fileName)); err == nil {
						once.Do(func() { close(reached) })
						<-gate
					}
				}
			}
			return nil
		}})
		result := make(chan error, 1)
		go func() { _, err := j.Compact(context.Background()); result <- err }()
		receive(t, reached, "the copy to be written")
		closed := make(chan error, 1)
		go func() { closed <- j.Close() }()
		receive(t, j.closing, "the closing to begin")
		close(gate)
		if err := receive(t, result, "the compaction to end"); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		if err := receive(t, closed, "the journal to close"); err != nil {
			t.Error(err)
		}
		requireOnlyFiles(t, dir, fileName, lockName)
	})
}

func TestWhatHasExpired(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	j := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	for id := uint64(1); id <= 10; id++ { // one a day
		lives(t, j, id, id)
		now = now.Add(day)
	}
	appendAll(t, j, JobAccepted{JobID: 11, Generation: 1, Spec: jobSpec(), Origin: OriginNew})
	appendAll(t, j, JobAccepted{JobID: 1, Generation: 2, Spec: JobSpec{Source: DigestOf(sourceOf(1))}, Origin: OriginChanged})
	size := j.store.size()
	for name, c := range map[string]struct {
		keep Retention
		want string
	}{
		"all is kept":                 {Retention{}, "[]"},
		"nothing is that old":         {Retention{For: 30 * day}, "[]"},
		"five days":                   {Retention{For: 5*day + time.Hour}, "[2 3 4 5]"},
		"just above, not worth it":    {Retention{For: 9*day - time.Minute}, "[]"},
		"there is room":               {Retention{Bytes: size}, "[]"},
		"too large for anything":      {Retention{Bytes: 1}, "[2 3 4 5 6 7 8 9 10]"},
		"too old, and larger as well": {Retention{For: 5*day + time.Hour, Bytes: 1}, "[2 3 4 5 6 7 8 9 10]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := j.Expired(t.Context(), c.keep)
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%v, %v, want %s", got, err, c.want)
			}
		})
	}
}
