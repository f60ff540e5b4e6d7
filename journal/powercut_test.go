package journal

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/ops/disk/powercut"
)

// TestPowerCuts cuts the power at every call of the disk, and within transactions,
// from the creation of a journal over appends and compactions to its end: what was
// acknowledged is there, nothing else is but what was under way, and it goes on.
func TestPowerCuts(t *testing.T) {
	cuts := 0
	for seed := uint64(1); cuts < powerCuts; seed++ {
		cuts += cutThrough(t, seed)
	}
	t.Logf("%d cuts", cuts)
}

func cutThrough(t *testing.T, seed uint64) (cuts int) {
	root := t.TempDir()
	var acknowledged atomic.Uint64
	states := map[uint64]string{0: dump(State{})} // by number of events
	var state State
	recorder := powercut.New(root, seed, func(r *powercut.Recorder) {
		cuts++
		left := t.TempDir()
		if err := r.Cut(left); err != nil { // the journal's own goroutine may be here, and must not end
			t.Error(err)
			return
		}
		sure := acknowledged.Load()
		j, err := Open(left, Options{})
		if err != nil {
			t.Errorf("seed %d, cut %d: %v", seed, cuts, err)
			return
		}
		defer os.RemoveAll(left)
		defer j.Close()
		found := j.State().Events
		if found != sure && found != sure+1 || dump(j.State()) != states[found] {
			t.Errorf("seed %d, cut %d: %d events were acknowledged, and there are %d:\n%s\nwant\n%s",
				seed, cuts, sure, found, dump(j.State()), states[found])
		}
		if dump(refolded(t, j)) != states[found] {
			t.Errorf("seed %d, cut %d: the fold gives another state", seed, cuts)
		}
		if _, err := j.Verify(t.Context()); err != nil {
			t.Errorf("seed %d, cut %d: %v", seed, cuts, err)
		}
		if _, err := j.Append(t.Context(), WorkerStarted{WorkerID: "after the cut"}); err != nil {
			t.Errorf("seed %d, cut %d: %v", seed, cuts, err)
		}
		requireOnlyFiles(t, left, fileName, lockName)
	})
	j, err := Open(root, Options{Disk: recorder.Watch, Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	say := func(events ...Event) {
		for _, event := range events {
			next, err := Apply(state, event)
			if err != nil {
				t.Fatal(err)
			}
			state = next
			states[state.Events] = dump(state)
			blobs := blobsFor(event)
			if accepted, ok := event.(JobAccepted); ok {
				blobs = append(blobs, sourceOf(accepted.JobID)) // makes the file grow
			}
			if _, err := j.Append(t.Context(), event, blobs...); err != nil {
				t.Fatal(err)
			}
			acknowledged.Add(1)
		}
	}
	say(story()...)
	compact := func() {
		if _, err := j.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	compact()
	say(wholeLife(3)...)
	say(JobsForgotten{Jobs: []uint64{3}})
	compact()
	say(WorkerStopped{Reason: "done"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := recorder.Watch(disk.Call{}); err != nil { // the power goes later, too
		t.Fatal(err)
	}
	return cuts
}
