package actors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
)

// die ends the writer in the middle of an attempt, whose guest lives on.
func (r *trial) die() {
	r.Helper()
	r.kill()
	close(r.a.feed)
	if ended := r.ended(); !errors.Is(ended.interrupted, errStopping) {
		r.Fatalf("ended as %+v", ended)
	}
	// Whether its last checkpoint became durable is settled after this.
	if err := r.journal.Flush(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// awaitWhole waits until the guest could go on behind some batch.
func (r *trial) awaitWhole() {
	r.Helper()
	for deadline := time.After(patience); ; {
		changed := r.journal.Changed()
		if r.job().Behind() != nil {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.Fatalf("nothing is whole: %+v", r.job().Checkpoint)
		}
	}
}

// goOn has the attempt gone on with by another worker; from is the first batch that
// its guest is to give again.
func (d *desktop) goOn() (r *trial, from int) {
	d.Helper()
	job := d.job()
	ctx, kill := context.WithCancel(d.Context())
	stopCtx, stop := context.WithCancelCause(context.Background())
	r = &trial{desktop: d, kill: kill, done: make(chan attemptEnded, 1), a: &assignment{
		attempt: job.Attempt(), spec: job.Spec, targets: targetsOf(job), chosen: targetsFor(job, job.Chosen), checkpoint: job.Checkpoint,
		left: &bridge.Left{Started: time.Now()}, behind: job.Behind(),
		ctx: stopCtx, stop: stop, feed: make(chan fed), settled: make(chan struct{}), progress: &Progress{},
	}}
	if r.a.behind != nil {
		from = int(r.a.behind.Batches)
	}
	go func() {
		ended, err := d.writer.write(ctx, r.a)
		if err != nil {
			d.Error(err)
		}
		r.done <- ended
	}()
	return r, from
}

// Wherever the worker dies, and dies again, the guest's batches from the last whole
// point on give every row once, in both outputs.
func TestGoingOnBehindWhatIsWhole(t *testing.T) {
	t.Parallel()
	const batches = 30
	for first := 1; first < batches; first += 4 {
		t.Run(fmt.Sprintf("dead after %d", first), func(t *testing.T) {
			d := newDesktop(t, twoSinks...)
			r := d.begin()
			r.giveAll(0, first)
			if first > 8 { // the third of every third batch completes a row group of odd
				r.awaitWhole()
			}
			r.die()
			r, from := d.goOn()
			second := min(first+5, batches)
			r.giveAll(from, second)
			r.die()
			r, again := d.goOn()
			if again < from {
				t.Errorf("whole up to %d batches, and before up to %d", again, from)
			}
			r.giveAll(again, batches)
			numbers := r.succeed()
			wantNumbers(t, "even", numbers["even"], expected("even", batches))
			wantNumbers(t, "odd", numbers["odd"], expected("odd", batches))
			if rows := d.job().Metrics["rows"]; rows != batches*batchRows {
				t.Errorf("the journal says %d rows, want %d", rows, batches*batchRows)
			}
		})
	}
}

// What comes behind the whole point has to be what it was.
func TestGoingOnWithOtherBatches(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, twoSinks...)
	r := d.begin()
	r.giveAll(0, 20)
	r.durable(1)
	var c *journal.Checkpoint
	for deadline := time.After(patience); ; {
		changed := d.journal.Changed()
		if c = d.job().Checkpoint; c.Whole.Batches != 0 && c.Whole.Batches != c.Batches {
			break
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no checkpoint with something ahead of what is whole: %+v", c)
		}
	}
	r.die()
	r, from := d.goOn()
	for i := from; i < int(c.Batches); i++ {
		r.give(batchNumber(i, "other"))
	}
	close(r.a.feed)
	ended := r.ended()
	if other := (*otherDataError)(nil); !errors.As(ended.interrupted, &other) {
		t.Fatalf("ended as %+v", ended)
	}
	if d.job().Checkpoint != nil || d.events("output-set-aside") != 1 {
		t.Error("what was durable is not set aside")
	}
}

// Many small batches are no reason to remember each of them.
func TestMilestonesAreThinnedOut(t *testing.T) {
	out := &stagedOutput{}
	s := &staging{outputs: []*stagedOutput{out}}
	for i := range 10 * mostMilestones {
		s.batches++
		out.taken = int64(i + 1)
		s.passed()
	}
	if len(s.milestones) > mostMilestones {
		t.Errorf("%d milestones", len(s.milestones))
	}
	out.durable = &journal.Output{Rows: 5 * mostMilestones}
	if m := s.whole(); m.batches > 5*mostMilestones || m.batches < 4*mostMilestones {
		t.Errorf("whole up to %d batches of %d", m.batches, 5*mostMilestones)
	}
}
