package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/digest"
)

// staging is the output of one attempt while it grows: one writer for each
// target, and the routing of batches to them. It is used by one goroutine.
//
// An attempt may begin behind rows that an earlier one made durable (resume.go),
// and makes its own durable on the way (checkpoint.go).
type staging struct {
	sinks   *sink.Registry
	journal *journal.Journal
	log     *slog.Logger
	a       *assignment
	outputs []*stagedOutput
	// chosen are outputs that the plugin named itself in an earlier attempt, and
	// has not come back to yet.
	chosen []*stagedOutput

	rows    int64
	batches uint64
	digest  digest.Sum // of these batches

	// awaited is what the batches have to agree with before the attempt may go on
	// behind it; nil when there is nothing durable, or they did.
	awaited *journal.Checkpoint
	// milestones are batches behind wholeUpTo, which is durable in all outputs.
	milestones []milestone
	wholeUpTo  milestone
	// toldDurable tells the guest how far that is; nil before its first batch.
	toldDurable func(batches uint64)
	// syncing gives the result of the checkpoint under way; nil when none is.
	syncing chan error
	// every is the time from one checkpoint to the next, unless much comes meanwhile.
	every   time.Duration
	last    time.Time        // when a checkpoint began, or the attempt
	unsaved int64            // bytes from the guest since then
	alarm   <-chan time.Time // when it is time for another; nil when nobody asked

	began  time.Time        // when the first batch was taken, or a guest that is gone on with began
	given  int64            // bytes from the guest
	silent <-chan time.Time // when a guest that may have let go of its batches is silent; nil: it is not such a one
	cut    bool             // the next checkpoint is to cover every batch
}

// stagedOutput is one target; writer is nil until its first row.
type stagedOutput struct {
	target sink.Target
	driver sink.Driver
	writer sink.Writer
	stats  sink.Stats
	// unannounced: the journal does not know the target yet.
	unannounced bool
	// skip counts the rows to come that are durable already.
	skip int64
	// taken counts the rows so far, durable or not.
	taken int64
	// durable is the target's part of the last checkpoint, also of one under way.
	durable *journal.Output
}

func newStaging(sinks *sink.Registry, j *journal.Journal, log *slog.Logger, every time.Duration, a *assignment) *staging {
	s := &staging{sinks: sinks, journal: j, log: log, a: a, every: every, last: time.Now()}
	for _, target := range a.targets {
		s.outputs = append(s.outputs, &stagedOutput{target: target})
	}
	for _, target := range a.chosen {
		s.chosen = append(s.chosen, &stagedOutput{target: target})
	}
	return s
}

// takeAll writes the feed until the runner closes it. After an error the feed
// may hold more.
func (s *staging) takeAll(ctx context.Context) error {
	for {
		select {
		case item, open := <-s.a.feed:
			if !open {
				return nil
			}
			err := s.take(ctx, item)
			item.batch.Record.Release()
			if err != nil {
				return err
			}
			item.acknowledge()
		case err := <-s.syncing:
			s.syncing = nil
			if err == nil {
				err = s.checkpoint(ctx) // more may be complete by now
			}
			if err != nil {
				return err
			}
		case <-s.alarm:
			s.alarm = nil
			if err := s.checkpoint(ctx); err != nil {
				return err
			}
		case <-s.silent:
			s.silent, s.cut = nil, true
			if err := s.checkpoint(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return errStopping
		}
	}
}

// take writes one batch to every sink of its topic.
func (s *staging) take(ctx context.Context, item fed) error {
	outputs, err := s.route(item.batch)
	if err != nil {
		return err
	}
	for _, out := range outputs {
		if err := s.write(ctx, out, item.batch); err != nil {
			return err
		}
		out.taken += item.batch.Record.NumRows()
	}
	if item.unsummed != nil {
		return fmt.Errorf("batch %d of topic %q: %w", item.batch.Serial, item.batch.Topic, item.unsummed)
	}
	s.rows += item.batch.Record.NumRows()
	s.unsaved += item.batch.Bytes
	s.batches++
	s.digest = s.digest.Then(item.sum)
	s.toldDurable = item.durable
	s.passed()
	s.listen(item.batch.Bytes)
	s.a.progress.Rows.Add(item.batch.Record.NumRows())
	s.a.progress.Bytes.Add(item.batch.Bytes)
	s.a.progress.Batches.Add(1)
	if err := s.compare(ctx); err != nil {
		return err
	}
	return s.checkpoint(ctx)
}

// write writes one batch, or the part of it that is not durable yet, to one sink.
func (s *staging) write(ctx context.Context, out *stagedOutput, batch bridge.Batch) error {
	record, rows := batch.Record, batch.Record.NumRows()
	if out.skip >= rows {
		out.skip -= rows
		return nil
	}
	if out.skip > 0 {
		record = record.NewSlice(out.skip, rows)
		defer record.Release()
		out.skip = 0
	}
	if out.unannounced {
		// Whoever cleans up after a crash must know where rows may lie.
		if err := s.append(ctx, journal.SinkChosen{Attempt: s.a.attempt, Sink: sinkSpecOf(out.target)}); err != nil {
			return err
		}
		out.unannounced = false
	}
	if out.writer == nil {
		if err := s.open(ctx, out, nil); err != nil {
			return fmt.Errorf("open the sink of topic %q: %w", out.target.Topic, err)
		}
	}
	if err := out.writer.Write(ctx, record); err != nil {
		return fmt.Errorf("write batch %d to the sink of topic %q: %w", batch.Serial, out.target.Topic, err)
	}
	return nil
}

func (s *staging) open(ctx context.Context, out *stagedOutput, token sink.Token) (err error) {
	if out.driver, err = s.sinks.For(out.target.URI); err != nil {
		return err
	}
	out.writer, err = out.driver.Open(ctx, out.target, token)
	return err
}

// append appends an event of the attempt. It waits no longer than the attempt is
// wanted; that an abort or a newer dispatch came first is told by their errors.
func (s *staging) append(ctx context.Context, event journal.Event) error {
	ctx, cancel := joined(ctx, s.a.ctx)
	defer cancel()
	_, err := s.journal.Append(ctx, event)
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		return causeOr(s.a.ctx, errSuperseded)
	}
	return err
}

// route finds the sinks of a batch: those of its topic; without a topic (a bare
// result, or a guest of the field) all of them. A topic that nobody configured
// goes where the plugin said when it registered it, and is an error otherwise:
// rows are never dropped without a word.
func (s *staging) route(batch bridge.Batch) ([]*stagedOutput, error) {
	if batch.Topic == "" {
		return s.outputs, nil
	}
	var outputs []*stagedOutput
	for _, out := range s.outputs {
		if out.target.Topic == batch.Topic {
			outputs = append(outputs, out)
		}
	}
	if len(outputs) > 0 {
		return outputs, nil
	}
	for i, out := range s.chosen {
		if out.target.Topic == batch.Topic && out.target.URI == batch.DefaultURI {
			s.chosen = slices.Delete(s.chosen, i, i+1)
			s.outputs = append(s.outputs, out)
			return []*stagedOutput{out}, nil
		}
	}
	if batch.DefaultURI == "" {
		return nil, &NoSinkError{Topic: batch.Topic, Known: s.topics()}
	}
	driver, err := s.sinks.For(batch.DefaultURI)
	if err != nil {
		return nil, fmt.Errorf("default sink of topic %q: %w", batch.Topic, err)
	}
	target := sink.Target{
		JobID: s.a.attempt.JobID, Generation: s.a.attempt.Generation, Attempt: s.a.attempt.Attempt,
		Topic: batch.Topic, URI: batch.DefaultURI, Mode: sink.Append, Plugin: s.a.spec.Plugin, FileVersionID: s.a.spec.FileVersionID,
	}
	if err := errors.Join(driver.Check(target), distinct(append(s.targets(), target))); err != nil {
		return nil, fmt.Errorf("default sink of topic %q: %w", batch.Topic, err)
	}
	out := &stagedOutput{target: target, unannounced: true}
	s.outputs = append(s.outputs, out)
	return []*stagedOutput{out}, nil
}

// NoSinkError says that a plugin published to a topic that leads nowhere.
type NoSinkError struct {
	Topic string
	Known []string
}

func (e *NoSinkError) Error() string {
	return fmt.Sprintf("the plugin published to topic %q, which has no sink (configured: %s): "+
		"configure a sink for it, or register the topic with a default_uri", e.Topic, strings.Join(e.Known, ", "))
}

func (s *staging) topics() []string {
	topics := make([]string, 0, len(s.outputs))
	for _, out := range s.outputs {
		topics = append(topics, out.target.Topic)
	}
	return topics
}

func (s *staging) targets() []sink.Target {
	targets := make([]sink.Target, 0, len(s.outputs)+1)
	for _, out := range s.outputs {
		targets = append(targets, out.target)
	}
	return targets
}

// seal makes every output durable and complete.
func (s *staging) seal(ctx context.Context) ([]journal.Output, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if s.awaited != nil {
		return nil, &otherDataError{want: *s.awaited, batches: s.batches, digest: s.digest}
	}
	sealed := make([]journal.Output, 0, len(s.outputs))
	for _, out := range s.outputs {
		o := journal.Output{Sink: sinkSpecOf(out.target)}
		if out.writer != nil {
			token, err := out.writer.Seal(ctx)
			if err != nil {
				return nil, fmt.Errorf("seal the sink of topic %q: %w", out.target.Topic, err)
			}
			out.stats = out.writer.Stats()
			o.Token, o.Rows, o.Bytes = token, out.stats.Rows, out.stats.Bytes
		}
		sealed = append(sealed, o)
	}
	return sealed, nil
}

// metrics are the receipt's figures: integers only, since the Sentinel drops a
// receipt with any other number (observed).
func (s *staging) metrics(took time.Duration) map[string]int64 {
	m := map[string]int64{
		"rows":        s.rows,
		"batches":     int64(s.batches),
		"bytes":       0,
		"files":       0,
		"attempts":    int64(s.a.attempt.Attempt),
		"duration_ms": took.Milliseconds(),
	}
	for _, out := range s.outputs {
		// A topic with several sinks counts its rows once.
		m["rows."+out.target.Topic] = max(m["rows."+out.target.Topic], out.stats.Rows)
		m["bytes"] += out.stats.Bytes
		if out.stats.Rows > 0 {
			m["files"]++
		} else {
			m["sinks_without_file"]++
		}
	}
	return m
}

// close lets go of the writers. What they staged stays. It may be called twice.
func (s *staging) close() {
	_ = s.settle() // whoever cares has asked before
	for _, out := range s.all() {
		if out.writer != nil {
			out.writer.Close()
		}
	}
}

func (s *staging) all() []*stagedOutput { return slices.Concat(s.outputs, s.chosen) }

// abandon removes what was staged; with durable, only what is part of no checkpoint.
func (s *staging) abandon(ctx context.Context, keepDurable bool) error {
	ctx, cancel := context.WithTimeout(ctx, guestPatience)
	defer cancel()
	var errs []error
	for _, out := range s.all() {
		if out.driver != nil && !(keepDurable && out.durable != nil) {
			errs = append(errs, out.driver.Abandon(ctx, out.target))
		}
	}
	return errors.Join(errs...)
}
