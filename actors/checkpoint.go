package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
)

// checkpointBytes is how much of a guest's rows there may be behind the last
// checkpoint before another is made, however soon that is.
const checkpointBytes = 256 << 20

// checkpoint begins to make durable what the outputs have complete, and to note it
// in the journal: beside the taking of batches, one at a time, and not at each row
// group of a fast guest. What becomes complete meanwhile is part of the next one. A
// job that ends before anything is complete, or before it is time, has none.
func (s *staging) checkpoint(ctx context.Context) error {
	if s.syncing != nil || s.awaited != nil || !s.cut && !s.isTime() {
		return nil
	}
	if s.cut {
		s.cut = false
		for _, out := range s.outputs {
			if out.writer == nil {
				continue
			}
			if err := out.writer.Cut(ctx); err != nil {
				return fmt.Errorf("checkpoint of the sink of topic %q: %w", out.target.Topic, err)
			}
		}
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
	s.last, s.unsaved = time.Now(), 0
	reached.Whole = s.wholeOf(reached.Outputs)
	result := make(chan error, 1)
	s.syncing = result
	told := s.toldDurable
	go func() {
		for _, sync := range syncs {
			if err := sync(); err != nil {
				result <- err
				return
			}
		}
		err := s.append(ctx, journal.OutputCheckpointed{Attempt: s.a.attempt, Checkpoint: reached})
		if err == nil && told != nil && reached.Whole.Batches > 0 {
			told(reached.Whole.Batches)
		}
		result <- err
	}()
	return nil
}

// isTime tells whether another checkpoint may be made. When it may not, the clock is
// set for when it may: the guest may have fallen silent by then.
func (s *staging) isTime() bool {
	wait := s.every - time.Since(s.last)
	if wait <= 0 || s.unsaved >= checkpointBytes {
		return true
	}
	if s.alarm == nil {
		s.alarm = time.After(wait)
	}
	return false
}

// listen sets the clock for when a guest that gave much in its first seconds has fallen
// silent. It has let go of what it gave, and may compute for hours now: what is still
// open of its rows becomes durable before it has enough for a row group. Later a guest
// keeps its batches itself.
func (s *staging) listen(bytes int64) {
	if s.began.IsZero() {
		s.began = time.Now()
		if s.a.left != nil {
			s.began = s.a.left.Started
		}
	}
	s.given += bytes
	s.silent = nil
	// Half as much, since a batch takes the guest more than its bytes; twice the time,
	// since batches wait on their way.
	if (s.given >= bridge.KeepLittle/2 || s.a.left != nil) && time.Since(s.began) < 2*bridge.KeepLate {
		s.silent = time.After(s.every)
	}
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
