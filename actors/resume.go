package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/digest"
)

// A job that goes on behind durable rows is given all of its batches again. Each
// output leaves out as many rows as it has; and once as many batches have come as
// went into the durable rows, their digest has to be the same. Until then nothing
// new becomes durable. When it is another, the file cannot be gone on with: it is
// set aside and the job starts over.

// otherDataError: the plugin gave other data than in the attempt before.
type otherDataError struct {
	want    journal.Checkpoint
	batches uint64
	digest  digest.Sum
	damage  error // the file is not what it was: nil when it is the plugin's batches
}

func (e *otherDataError) Error() string {
	if e.damage != nil {
		return e.damage.Error()
	}
	if e.batches < e.want.Batches {
		return fmt.Sprintf("the plugin gave other data than before: it ended after %d batches, and %d were durable", e.batches, e.want.Batches)
	}
	return fmt.Sprintf("the plugin gave other data than before: the digest of batches 1 to %d is %s and was %s", e.batches, e.digest, e.want.Digest)
}

// resume takes up what earlier attempts made durable. What cannot be gone on with
// is set aside, and the attempt begins with nothing.
func (s *staging) resume(ctx context.Context) error {
	if s.a.checkpoint == nil {
		return nil
	}
	err := s.reopen(ctx, s.a.checkpoint)
	var damage *sink.DamageError
	var token *sink.TokenError
	if errors.As(err, &damage) || errors.As(err, &token) {
		if s.a.behind != nil { // this guest does not give its first batches again
			return &otherDataError{damage: err}
		}
		return s.startOver(ctx, err)
	}
	s.awaited = s.a.checkpoint
	if err == nil && s.a.behind != nil {
		err = s.goOn(s.a.behind)
	}
	return err
}

func (s *staging) reopen(ctx context.Context, checkpoint *journal.Checkpoint) error {
	for _, part := range checkpoint.Outputs {
		out := s.find(part.Sink)
		if out == nil {
			return &sink.TokenError{Reason: fmt.Sprintf("the job has no sink %s for topic %q any more", part.Sink.URI, part.Sink.Topic)}
		}
		if err := s.open(ctx, out, part.Token); err != nil {
			return fmt.Errorf("open the sink of topic %q again: %w", part.Sink.Topic, err)
		}
		out.skip, out.durable = part.Rows, &part
		if crashpoint.Broken(crashpoint.ResumeRepeats) {
			out.skip = 0
		}
	}
	return nil
}

func (s *staging) find(spec journal.SinkSpec) *stagedOutput {
	for _, out := range s.all() {
		if sinkSpecOf(out.target).Same(spec) {
			return out
		}
	}
	return nil
}

// compare looks at the batches so far once they are as many as went into the
// durable rows.
func (s *staging) compare(ctx context.Context) error {
	if s.awaited == nil || s.batches < s.awaited.Batches {
		return nil
	}
	if s.digest.String() != s.awaited.Digest {
		return &otherDataError{want: *s.awaited, batches: s.batches, digest: s.digest}
	}
	s.awaited = nil
	s.log.Info("the plugin gave the same batches again: the job goes on behind them", "job", s.a.attempt.JobID, "batches", s.batches)
	if err := s.append(ctx, journal.OutputResumed{Attempt: s.a.attempt, Batches: s.batches}); err != nil {
		return err
	}
	// Of this guest, too, so much is durable.
	if whole := s.a.checkpoint.Whole.Batches; whole > 0 {
		s.toldDurable(whole)
	}
	return nil
}

// startOver sets aside what is durable. Nothing of it is looked at again.
func (s *staging) startOver(ctx context.Context, why error) error {
	_, err := s.journal.Append(ctx, journal.OutputSetAside{Attempt: s.a.attempt, Reason: head(why.Error(), messageLimit)})
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		return errSuperseded
	}
	if err != nil {
		return err
	}
	s.close()
	for _, part := range s.a.checkpoint.Outputs {
		out := s.find(part.Sink)
		if out == nil {
			continue // nobody knows any more where that was
		}
		out.writer, out.skip, out.durable = nil, 0, nil
		driver, err := s.sinks.For(out.target.URI)
		if err != nil {
			return err
		}
		places, err := driver.SetAside(ctx, out.target)
		s.log.Warn("what was durable of a job cannot be gone on with: it is set aside, and the job starts over",
			"job", s.a.attempt.JobID, "topic", out.target.Topic, "reason", why, "set_aside", places, "error", err)
	}
	s.awaited = nil
	return nil
}
