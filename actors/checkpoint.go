package actors

import (
	"context"
	"fmt"

	"github.com/casparian-flow/casparian-worker/journal"
)

// checkpoint begins to make durable what the outputs have complete, and to note it
// in the journal: beside the taking of batches, one at a time. What becomes
// complete meanwhile is part of the next one. A job that ends before anything is
// complete has none.
func (s *staging) checkpoint(ctx context.Context) error {
	if s.syncing != nil || s.awaited != nil {
		return nil
	}
	var syncs []func() error
	reached := journal.Checkpoint{Batches: s.batches, Digest: s.digest.String()}
	for _, out := range s.outputs {
		if out.writer != nil {
			part, err := out.writer.Checkpoint(ctx)
			if err != nil {
				return fmt.Errorf("checkpoint of the sink of topic %q: %w", out.target.Topic, err)
			}
			if part != nil {
				syncs = append(syncs, part.Sync)
				out.durable = &journal.Output{Sink: sinkSpecOf(out.target), Token: part.Token, Rows: part.Stats.Rows, Bytes: part.Stats.Bytes}
			}
		}
		if out.durable != nil {
			reached.Outputs = append(reached.Outputs, *out.durable)
		}
	}
	if len(syncs) == 0 {
		return nil
	}
	result := make(chan error, 1)
	s.syncing = result
	go func() {
		for _, sync := range syncs {
			if err := sync(); err != nil {
				result <- err
				return
			}
		}
		result <- s.append(ctx, journal.OutputCheckpointed{Attempt: s.a.attempt, Checkpoint: reached})
	}()
	return nil
}

// settle waits for the checkpoint under way.
func (s *staging) settle() error {
	if s.syncing == nil {
		return nil
	}
	err := <-s.syncing
	s.syncing = nil
	return err
}
