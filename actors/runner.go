package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/sink/digest"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Runner is the bridge actor: it runs plugins in guest processes.
//
// Owns: the guest processes, and holds their environments against eviction.
// Receives: assignments from the coordinator.
// Emits: batches into the assignment's feed, and on closing it how the guest ended.
type Runner struct {
	host         *bridge.Host
	environments *venv.Store
	journal      *journal.Journal
	mailbox      chan *assignment
}

// NewRunner makes a runner for at most concurrency guests at once.
func NewRunner(host *bridge.Host, environments *venv.Store, j *journal.Journal, concurrency int) *Runner {
	return &Runner{host: host, environments: environments, journal: j, mailbox: make(chan *assignment, concurrency)}
}

// Run starts a guest for each assignment, until ctx ends. It returns when all
// guests are gone. An error means that the journal cannot be written.
func (r *Runner) Run(ctx context.Context) error {
	var guests sync.WaitGroup
	defer guests.Wait()
	defer r.turnAway()
	failed := make(chan error, 1)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case a := <-r.mailbox:
			guests.Go(func() {
				r.run(ctx, a, func(e ending) {
					if err := storageFailure(e.err); err != nil {
						select {
						case failed <- err:
						default:
						}
					}
					a.end(e)
				})
			})
		}
	}
}

// turnAway ends the assignments that nobody will run any more.
func (r *Runner) turnAway() {
	for {
		select {
		case a := <-r.mailbox:
			a.end(ending{err: errStopping})
		default:
			return
		}
	}
}

// run takes one guest from start to end. When it returns, no process of the
// guest's tree is left. end is called once: after a good end as soon as the guest
// has said so, otherwise when the tree is gone, since what follows may remove its
// files and start its successor.
func (r *Runner) run(ctx context.Context, a *assignment, end func(ending)) {
	ctx, cancel := joined(ctx, a.ctx)
	defer cancel()
	if err := context.Cause(ctx); err != nil {
		end(ending{err: without(a, err)})
		return
	}
	environment, release, err := r.environments.Acquire(a.spec.EnvHash)
	if err != nil {
		end(ending{err: without(a, err)})
		return
	}
	defer release()
	guest, err := r.begin(ctx, a, environment.Interpreter)
	if err != nil {
		end(ending{err: without(a, causeOr(ctx, err))})
		return
	}
	defer guest.Close()
	stopped := context.AfterFunc(ctx, func() { guest.Close() })
	defer stopped()

	if a.left == nil {
		process, claim := guest.Process(), guest.Claim()
		// It rides with the next commit. A guest that the journal has not heard of when
		// the worker dies is killed by the next one as a stray.
		_, err = r.journal.AppendLater(ctx, journal.GuestStarted{Attempt: a.attempt, Guest: journal.Guest{
			PID: process.PID, StartTime: process.StartTime, Marker: process.Marker,
			Address: claim.Address, Token: claim.Token, StartedAt: time.Now().UTC().Truncate(time.Microsecond)}})
	}
	if err == nil {
		err = feedFrom(ctx, guest, a.feed)
	}
	a.progress.Peak.Store(guest.PeakMemory())
	if err != nil {
		guest.Close()
		end(ending{err: causeOr(ctx, err), output: guest.Output()})
		return
	}
	end(ending{})
	// Should the worker die before the rows are sealed, the guest gives them again.
	select {
	case <-a.settled:
	case <-ctx.Done():
	}
}

// killStrays kills what earlier processes of the worker left and no journal knows of: a
// guest that was just starting, or what one that is gone had started. It spares the
// guests that are gone on with.
func (r *Runner) killStrays(left map[uint64]*bridge.Left) error {
	if crashpoint.Broken(crashpoint.OrphanStays) {
		return nil
	}
	spared := make([]bridge.Process, 0, len(left))
	for _, guest := range left {
		spared = append(spared, guest.Process)
	}
	if err := r.host.KillStrays(spared, guestPatience); err != nil {
		return fmt.Errorf("stop what the process before left: %w", err)
	}
	return nil
}

// begin starts the guest of an attempt, or goes on with the one that is left.
func (r *Runner) begin(ctx context.Context, a *assignment, interpreter string) (*bridge.Guest, error) {
	if a.left == nil {
		return r.host.Start(ctx, guestSpec(a, interpreter))
	}
	left := *a.left
	left.Agreed = func() error {
		_, err := r.journal.Append(ctx, journal.GuestReattached{Attempt: a.attempt, Batches: left.Batches})
		return err
	}
	return r.host.Attach(ctx, guestSpec(a, interpreter), left)
}

// without makes sure that an attempt which ends before there is a guest leaves none: the
// one that outlived the worker before is killed.
func without(a *assignment, why error) error {
	if a.left == nil {
		return why
	}
	return errors.Join(why, bridge.KillTree(a.left.Process, guestPatience))
}

// notAttached tells that the guest which was left could not be gone on with: the
// job runs again.
func notAttached(err error) bool {
	failure, is := errors.AsType[*bridge.GuestError](err)
	return is && failure.Kind == bridge.NotAttached
}

func guestSpec(a *assignment, interpreter string) bridge.Spec {
	topics := make([]string, 0, len(a.targets))
	for _, t := range a.targets {
		topics = append(topics, t.Topic)
	}
	return bridge.Spec{
		Interpreter:   interpreter,
		JobID:         a.attempt.JobID,
		Attempt:       fmt.Sprintf("%d.%d", a.attempt.Generation, a.attempt.Attempt),
		FilePath:      a.spec.FilePath,
		Plugin:        a.spec.Plugin,
		FileVersionID: a.spec.FileVersionID,
		Source:        a.source,
		Topics:        topics,
	}
}

// feedFrom passes batches on until the guest ends. nil means that it said so.
func feedFrom(ctx context.Context, guest *bridge.Guest, feed chan<- fed) error {
	for {
		batch, err := guest.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return causeOr(ctx, err)
		}
		item := fed{batch: batch, acknowledge: func() {
			// A guest that cannot be told has ended, and Next will say so.
			_ = guest.Acknowledge(batch.Serial)
		}, durable: guest.LetGo}
		// Here, beside the writer's encoding of the batch before.
		item.sum, item.unsummed = digest.Batch(batch.Topic, batch.Record)
		select {
		case feed <- item:
		case <-ctx.Done():
			batch.Record.Release()
			return context.Cause(ctx)
		}
	}
}

// joined ends when either context does, with the cause of the one that did.
func joined(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(nil) }
}

// causeOr prefers why the context ended over the error that this led to.
func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// storageFailure tells an error that the worker cannot go on with.
func storageFailure(err error) error {
	if errors.Is(err, journal.ErrFailed) {
		return err
	}
	return nil
}
