// Package actors is the worker at work: five actors, each with its own mailbox
// and state, joined by a coordinator, and one that tidies the journal.
//
//	Sentinel ──events──► Coordinator ──wishes──► Environments
//	    ▲                 │      ▲ ▲                 │
//	    └────letters──────┘      │ └────answers──────┘
//	                  assignment │ ends of attempts
//	                      ▼      │
//	                   Runner ──feed──► Writer
//
// Every decision is appended to the journal before it is acted on. Channels are
// bounded, and no two actors ever wait for each other: the coordinator sends only
// where there is room by construction.
package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/run"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Worker is the group of actors of one daemon.
type Worker struct {
	Journal      *journal.Journal
	Source       Source
	Environments *Environments
	Runner       *Runner
	Writer       *Writer
	Coordinator  *Coordinator
	Retention    *Retention
	// Started are the first events of this process: WorkerStarted, and what there is to
	// say of its lanes.
	Started []journal.Event
}

// Run recovers what the process before left, and then serves until the
// coordinator has drained (nil), ctx ends (nil), or something failed that the
// worker cannot go on without.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.Coordinator.Recover(ctx, w.Started...); err != nil {
		return fmt.Errorf("take over from the worker process before: %w", err)
	}
	if err := w.Runner.killStrays(w.Coordinator.left); err != nil {
		return fmt.Errorf("take over from the worker process before: %w", err)
	}
	var group run.Group
	add := func(name string, serve func(context.Context) error) {
		ctx, cancel := context.WithCancel(ctx)
		group.Add(func() error {
			if err := serve(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}, func(error) { cancel() })
	}
	add("coordinator", w.Coordinator.Run)
	add("sentinel", w.Source.Run)
	add("environments", w.Environments.Run)
	add("runner", w.Runner.Run)
	add("writer", w.Writer.Run)
	add("retention", w.Retention.Run)
	add("journal", func(ctx context.Context) error {
		select {
		case <-w.Journal.Failed():
			return journal.ErrFailed
		case <-ctx.Done():
			return nil
		}
	})
	err := group.Run()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
