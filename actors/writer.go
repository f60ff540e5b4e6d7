package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Writer is the sink actor: it stages what guests yield, seals it, and publishes it.
//
// Owns: the staged output of every attempt.
// Receives: assignments (from the coordinator) with their feeds, and sealed jobs to publish after a restart.
// Emits: attemptEnded to the coordinator.
type Writer struct {
	sinks   *sink.Registry
	journal *journal.Journal
	mailbox chan *assignment
	publish chan *journal.Job
	reports chan attemptEnded
	every   time.Duration
	now     func() time.Time
	log     *slog.Logger
}

// NewWriter makes a writer for at most concurrency attempts at once. Of each, what is
// complete becomes durable from time to time: see --checkpoint-every.
func NewWriter(sinks *sink.Registry, j *journal.Journal, concurrency int, every time.Duration, log *slog.Logger) *Writer {
	return &Writer{
		sinks: sinks, journal: j, every: every, now: time.Now, log: log,
		mailbox: make(chan *assignment, concurrency),
		publish: make(chan *journal.Job, concurrency),
		reports: make(chan attemptEnded, concurrency),
	}
}

// Run serves attempts until ctx ends, and returns when none is in hand. An error
// means that the journal cannot be written.
func (w *Writer) Run(ctx context.Context) error {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	failed := make(chan error, 1)
	// finish reports the end of an attempt, unless the journal failed under it:
	// then nothing more is decided, and the worker stops.
	finish := func(ended attemptEnded, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
			return
		}
		select {
		case w.reports <- ended:
		case <-ctx.Done():
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case a := <-w.mailbox:
			attempts.Go(func() { finish(w.write(ctx, a)) })
		case job := <-w.publish:
			attempts.Go(func() { finish(w.conclude(ctx, job.Attempt(), targetsOf(job), job.Outputs, job.Metrics, job.Earlier)) })
		}
	}
}

// write takes one attempt from its first batch to its published output.
func (w *Writer) write(ctx context.Context, a *assignment) (attemptEnded, error) {
	defer a.settle()
	began := w.now()
	if a.left != nil {
		began = a.left.Started
	}
	staging := newStaging(w.sinks, w.journal, w.log, w.every, a)
	defer staging.close()

	err := w.clear(ctx, a)
	if err == nil {
		err = staging.resume(ctx)
	}
	if err == nil {
		err = staging.takeAll(ctx)
	}
	if err != nil {
		a.stop(err) // the guest's rows have nowhere to go
		if fatal := storageFailure(err); fatal != nil {
			return attemptEnded{}, fatal
		}
		if !emptied(ctx, a.feed) {
			return attemptEnded{attempt: a.attempt, interrupted: errStopping}, nil
		}
	}
	// What went wrong first is the reason: a guest that was killed because its
	// rows could not be written did not fail by itself.
	if err == nil {
		err = a.ending.err
	}
	var outputs []journal.Output
	if err == nil {
		outputs, err = staging.seal(ctx)
	}
	if err == nil {
		if crashpoint.Broken(crashpoint.PublishUnsealed) {
			_, _ = w.conclude(ctx, a.attempt, staging.targets(), outputs, nil, a.earlier)
		}
		sealed := journal.OutputSealed{Attempt: a.attempt, Outputs: outputs, Metrics: staging.metrics(w.now().Sub(began))}
		if _, err = w.journal.Append(ctx, sealed); err == nil {
			a.settle()
			staging.close() // an open file cannot be renamed on every platform
			return w.conclude(ctx, a.attempt, staging.targets(), outputs, sealed.Metrics, a.earlier)
		}
		if fatal := storageFailure(err); fatal != nil {
			return attemptEnded{}, fatal
		}
		if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
			// An abort or a newer dispatch came first.
			err = causeOr(a.ctx, errSuperseded)
		}
	}
	staging.close()
	if other := (*otherDataError)(nil); errors.As(err, &other) {
		if failed := staging.startOver(ctx, err); failed != nil {
			err = failed
		}
		if fatal := storageFailure(err); fatal != nil {
			return attemptEnded{}, fatal
		}
	}
	ended := w.verdict(a, err, staging)
	if left := staging.abandon(context.WithoutCancel(ctx), ended.interrupted != nil); left != nil {
		w.log.Warn("staged output could not be removed", "job", a.attempt.JobID, "error", left)
	}
	return ended, nil
}

// clear removes what earlier attempts staged and no checkpoint covers.
func (w *Writer) clear(ctx context.Context, a *assignment) error {
	if a.attempt.Attempt == 1 && a.left == nil {
		return nil
	}
	return w.abandon(ctx, undurable(slices.Concat(a.targets, a.chosen), a.checkpoint))
}

// verdict says what an attempt that gave no output means for its job.
func (w *Writer) verdict(a *assignment, err error, staging *staging) attemptEnded {
	ended := attemptEnded{attempt: a.attempt}
	other := (*otherDataError)(nil)
	switch {
	case errors.Is(err, errSuperseded):
	case errors.Is(err, errAborted):
		ended.aborted = true
	case errors.Is(err, errStopping), errors.Is(err, context.Canceled):
		ended.interrupted = errStopping
	case disk.IsFull(err), errors.Is(err, venv.ErrNotProvisioned), errors.As(err, &other), notAttached(err):
		ended.interrupted = err
	default:
		metrics := staging.metrics(0)
		delete(metrics, "duration_ms")
		ended.receipt = &journal.Receipt{Status: journal.Failed, Error: explain(err, a.ending.output), Metrics: metrics}
	}
	return ended
}

// conclude publishes sealed output and makes the receipt. It may be repeated
// after a crash: committing is idempotent.
func (w *Writer) conclude(ctx context.Context, attempt journal.Attempt, targets []sink.Target, outputs []journal.Output, metrics map[string]int64, earlier []journal.Artifact) (attemptEnded, error) {
	ended := attemptEnded{attempt: attempt}
	receipt := &journal.Receipt{Status: journal.Success, Metrics: metrics}
	published := map[string]bool{}
	for i, output := range outputs {
		if len(output.Token) == 0 {
			continue // no rows, no file
		}
		artifact, err := w.commit(ctx, targets[i], output.Token)
		if err != nil {
			if ctx.Err() != nil {
				ended.interrupted = errStopping // still sealed: the next start publishes it
				return ended, nil
			}
			receipt.Status = journal.Failed
			receipt.Error = fmt.Sprintf("publish the output of topic %q: %v", output.Sink.Topic, err)
			break
		}
		published[artifact.URI] = true
		receipt.Artifacts = append(receipt.Artifacts, journal.Artifact{Topic: artifact.Topic, URI: artifact.URI})
	}
	if receipt.Status == journal.Success {
		for _, old := range earlier {
			if published[old.URI] {
				continue
			}
			if err := w.retract(ctx, old); err != nil {
				w.log.Warn("output of an earlier run of the job could not be removed", "job", attempt.JobID, "uri", old.URI, "error", err)
			}
		}
	}
	if receipt.Status == journal.Failed {
		if err := w.abandon(ctx, targets); err != nil {
			w.log.Warn("staged output could not be removed", "job", attempt.JobID, "error", err)
		}
	}
	ended.receipt = receipt
	return ended, nil
}

// commit publishes one output. A full disk or a folder that is away for a moment
// is waited out: the rows are durable in staging and only need their name.
func (w *Writer) commit(ctx context.Context, target sink.Target, token sink.Token) (sink.Artifact, error) {
	driver, err := w.sinks.For(target.URI)
	if err != nil {
		return sink.Artifact{}, err
	}
	for times := 0; ; times++ {
		artifact, err := driver.Commit(ctx, target, token)
		if err == nil || !disk.IsFull(err) {
			return artifact, err
		}
		wait := roomPause(times)
		w.log.Warn("output cannot be published yet", "job", target.JobID, "topic", target.Topic, "error", err, "again_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return sink.Artifact{}, ctx.Err()
		}
	}
}

func (w *Writer) retract(ctx context.Context, artifact journal.Artifact) error {
	driver, err := w.sinks.For(artifact.URI)
	if err != nil {
		return err
	}
	return driver.Retract(ctx, artifact.URI)
}

// discard removes what attempts of a job that no process works on left in staging
// and no checkpoint covers. With a checkpoint of nil that is all of it.
func (w *Writer) discard(ctx context.Context, job *journal.Job, checkpoint *journal.Checkpoint) error {
	return w.abandon(ctx, undurable(stagedTargets(job), checkpoint))
}

// abandon removes what is staged for targets.
func (w *Writer) abandon(ctx context.Context, targets []sink.Target) error {
	var errs []error
	for _, target := range targets {
		driver, err := w.sinks.For(target.URI)
		if err != nil {
			continue // an unknown scheme has staged nothing
		}
		errs = append(errs, driver.Abandon(ctx, target))
	}
	return errors.Join(errs...)
}

// emptied releases what is left in the feed until the runner closes it. It gives
// up some time after ctx has ended: then the runner is gone, too.
func emptied(ctx context.Context, feed <-chan fed) bool {
	var deadline <-chan time.Time
	stopping := ctx.Done()
	for {
		select {
		case item, open := <-feed:
			if !open {
				return true
			}
			item.batch.Record.Release()
		case <-stopping:
			stopping = nil
			timer := time.NewTimer(guestPatience)
			defer timer.Stop()
			deadline = timer.C
		case <-deadline:
			return false
		}
	}
}

// guestPatience is how long a stopping worker waits for its guests to be gone.
const guestPatience = 30 * time.Second
