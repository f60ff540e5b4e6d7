package actors

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/ops/disk/powercut"
)

// TestPowerCuts cuts the power at calls of the disk, of the journal and of the sinks
// alike, while a job of two outputs grows, is checkpointed, sealed and published: what
// the journal had acknowledged is there, the rows that it calls durable are, and the
// job ends with every row once.
func TestPowerCuts(t *testing.T) {
	cuts := 0
	for seed := uint64(1); cuts < powerCuts; seed++ {
		cuts += cutThrough(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d cuts", cuts)
}

// powerCutBatches end in the middle of the row groups of [twoSinks].
const powerCutBatches = 16

// blackout is what a cut left, and what was certain when it came.
type blackout struct {
	folder string
	events uint64 // acknowledged by the journal
	ended  bool   // the job's conclusion was
}

func cutThrough(t *testing.T, seed uint64) (cuts int) {
	root, left := t.TempDir(), t.TempDir()
	var blackouts []blackout
	var turn sync.Mutex // the writer, its checkpoints and the journal share the disk
	var j *journal.Journal
	calls := 0
	recorder := powercut.New(root, seed, func(r *powercut.Recorder) {
		calls++
		if j == nil || (uint64(calls)+seed)%powerCutEvery != 0 {
			return
		}
		// What is certain now is read first: meanwhile it can only become more.
		state := j.State()
		job, _ := state.Job(1)
		b := blackout{events: state.Events, ended: job != nil && job.Phase == journal.Concluded}
		var err error
		if b.folder, err = os.MkdirTemp(left, ""); err == nil {
			err = r.Cut(b.folder)
		}
		if err != nil {
			t.Error(err)
			return
		}
		blackouts = append(blackouts, b)
	})
	watch := func(call disk.Call) error {
		turn.Lock()
		defer turn.Unlock()
		return recorder.Watch(call)
	}

	d := desktopIn(t, root, watch)
	turn.Lock()
	j = d.journal
	turn.Unlock()
	d.accept(twoSinks...)
	r := d.begin()
	r.giveAll(0, powerCutBatches)
	r.conclude()
	if err := watch(disk.Call{}); err != nil { // the power goes later, too
		t.Fatal(err)
	}
	for i, b := range blackouts {
		b.recover(t)
		if t.Failed() {
			t.Fatalf("cut %d of %d, %d events were acknowledged", i+1, len(blackouts), b.events)
		}
		if err := os.RemoveAll(b.folder); err != nil {
			t.Fatal(err)
		}
	}
	return len(blackouts)
}

// conclude ends the feed and notes what came of the attempt, as the coordinator does.
func (r *trial) conclude() {
	r.Helper()
	close(r.a.feed)
	ended := r.ended()
	if ended.receipt == nil || ended.receipt.Status != journal.Success {
		r.Fatalf("ended as %+v, receipt %+v", ended, ended.receipt)
	}
	r.note(journal.JobConcluded{JobID: 1, Generation: 1, Receipt: *ended.receipt})
}

// recover is the start after the cut: the job goes on from what is left, to its end.
func (b blackout) recover(t *testing.T) {
	t.Helper()
	d := desktopIn(t, b.folder, nil)
	defer d.journal.Close()
	if found := d.journal.State().Events; found < b.events {
		t.Errorf("%d events were acknowledged, and %d are there", b.events, found)
		return
	}
	if d.job() == nil {
		d.accept(twoSinks...)
	}
	if b.ended && d.job().Phase != journal.Concluded {
		t.Errorf("the job had its result, and is %s", d.job().Phase)
	}
	c := &Coordinator{journal: d.journal, writer: d.writer, log: slog.New(slog.DiscardHandler)}
	if err := c.Recover(t.Context()); err != nil {
		t.Error(err)
		return
	}
	switch job := d.job(); job.Phase {
	case journal.Queued:
		r := d.begin()
		r.giveAll(0, powerCutBatches)
		r.conclude()
	case journal.Sealed:
		ended, err := d.writer.conclude(t.Context(), job.Attempt(), targetsOf(job), job.Outputs, job.Metrics, job.Earlier)
		if err != nil || ended.receipt.Status != journal.Success {
			t.Errorf("published as %+v, %v", ended.receipt, err)
			return
		}
		d.note(journal.JobConcluded{JobID: 1, Generation: 1, Receipt: *ended.receipt})
	case journal.Concluded:
	default:
		t.Errorf("the job is %s", job.Phase)
		return
	}
	if n := d.events("output-set-aside"); n > 0 {
		t.Error("rows that the journal called durable were not there")
	}
	for _, artifact := range d.job().Receipt.Artifacts {
		numbers := numbersIn(t, strings.TrimPrefix(artifact.URI, "parquet://"))
		wantNumbers(t, artifact.Topic, numbers, expected(artifact.Topic, powerCutBatches))
	}
	if n := len(d.job().Receipt.Artifacts); n != len(twoSinks) {
		t.Errorf("%d files, want %d", n, len(twoSinks))
	}
	if hidden := d.hidden(""); len(hidden) > 0 {
		t.Errorf("left over: %q", hidden)
	}
	if names, err := filepath.Glob(filepath.Join(d.root, "*")); err != nil || len(names) != len(twoSinks) {
		t.Errorf("there are %q, %v", names, err)
	}
	if _, err := d.journal.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
