package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
)

// staging is the output of one attempt while it grows: one writer for each
// target, and the routing of batches to them. It is used by one goroutine.
type staging struct {
	sinks   *sink.Registry
	job     journal.Attempt
	plugin  string
	version int64
	outputs []*stagedOutput
	rows    int64
	batches int64
}

// stagedOutput is one target; writer is nil until its first batch.
type stagedOutput struct {
	target sink.Target
	driver sink.Driver
	writer sink.Writer
	stats  sink.Stats
}

func newStaging(sinks *sink.Registry, a *assignment) *staging {
	s := &staging{sinks: sinks, job: a.attempt, plugin: a.spec.Plugin, version: a.spec.FileVersionID}
	for _, target := range a.targets {
		s.outputs = append(s.outputs, &stagedOutput{target: target})
	}
	return s
}

// takeAll writes the feed until the runner closes it. After an error the feed
// may hold more.
func (s *staging) takeAll(ctx context.Context, a *assignment) error {
	for {
		select {
		case item, open := <-a.feed:
			if !open {
				return nil
			}
			err := s.take(ctx, a, item.batch)
			item.batch.Record.Release()
			if err != nil {
				return err
			}
			item.acknowledge()
		case <-ctx.Done():
			return errStopping
		}
	}
}

// take writes one batch to every sink of its topic.
func (s *staging) take(ctx context.Context, a *assignment, batch bridge.Batch) error {
	outputs, err := s.route(batch)
	if err != nil {
		return err
	}
	for _, out := range outputs {
		if out.writer == nil {
			if out.driver == nil {
				if out.driver, err = s.sinks.For(out.target.URI); err != nil {
					return err
				}
			}
			if out.writer, err = out.driver.Open(ctx, out.target, nil); err != nil {
				return fmt.Errorf("open the sink of topic %q: %w", out.target.Topic, err)
			}
		}
		if err := out.writer.Write(ctx, batch.Record); err != nil {
			return fmt.Errorf("write batch %d to the sink of topic %q: %w", batch.Serial, out.target.Topic, err)
		}
	}
	s.rows += batch.Record.NumRows()
	s.batches++
	a.progress.Rows.Add(batch.Record.NumRows())
	a.progress.Bytes.Add(batch.Bytes)
	a.progress.Batches.Add(1)
	return nil
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
	if batch.DefaultURI == "" {
		return nil, &NoSinkError{Topic: batch.Topic, Known: s.topics()}
	}
	driver, err := s.sinks.For(batch.DefaultURI)
	if err != nil {
		return nil, fmt.Errorf("default sink of topic %q: %w", batch.Topic, err)
	}
	target := sink.Target{
		JobID: s.job.JobID, Generation: s.job.Generation, Attempt: s.job.Attempt,
		Topic: batch.Topic, URI: batch.DefaultURI, Mode: sink.Append, Plugin: s.plugin, FileVersionID: s.version,
	}
	if err := errors.Join(driver.Check(target), distinct(append(s.targets(), target))); err != nil {
		return nil, fmt.Errorf("default sink of topic %q: %w", batch.Topic, err)
	}
	out := &stagedOutput{target: target, driver: driver}
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
	sealed := make([]journal.Output, 0, len(s.outputs))
	for _, out := range s.outputs {
		o := journal.Output{Sink: journal.SinkSpec{Topic: out.target.Topic, URI: out.target.URI, Mode: string(out.target.Mode)}}
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
func (s *staging) metrics(a *assignment, took time.Duration) map[string]int64 {
	m := map[string]int64{
		"rows":        s.rows,
		"batches":     s.batches,
		"bytes":       0,
		"files":       0,
		"attempts":    int64(a.attempt.Attempt),
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
	for _, out := range s.outputs {
		if out.writer != nil {
			out.writer.Close()
		}
	}
}

// abandon removes what was staged.
func (s *staging) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, guestPatience)
	defer cancel()
	var errs []error
	for _, out := range s.outputs {
		if out.driver != nil {
			errs = append(errs, out.driver.Abandon(ctx, out.target))
		}
	}
	return errors.Join(errs...)
}

// targetsOf gives the targets of a job's next or latest attempt. For a sealed job
// they are those of its outputs, which may be more than were asked for.
func targetsOf(job *journal.Job) []sink.Target {
	specs := job.Spec.Sinks
	if len(job.Outputs) > 0 {
		specs = make([]journal.SinkSpec, 0, len(job.Outputs))
		for _, o := range job.Outputs {
			specs = append(specs, o.Sink)
		}
	}
	return targetsFor(job, specs)
}

// staleTargets are those that a replaced generation of the job may have staged
// output for.
func staleTargets(job *journal.Job) []sink.Target { return targetsFor(job, job.Stale) }

func targetsFor(job *journal.Job, specs []journal.SinkSpec) []sink.Target {
	earlier := make([]string, 0, len(job.Earlier))
	for _, a := range job.Earlier {
		earlier = append(earlier, a.URI)
	}
	targets := make([]sink.Target, 0, len(specs))
	for _, spec := range specs {
		targets = append(targets, sink.Target{
			JobID: job.ID, Generation: job.Generation, Attempt: job.Attempts,
			Topic: spec.Topic, URI: spec.URI, Mode: sink.Mode(cmp.Or(spec.Mode, string(sink.Append))),
			Plugin: job.Spec.Plugin, FileVersionID: job.Spec.FileVersionID, Earlier: earlier,
		})
	}
	return targets
}

// distinct refuses targets that would write to the same place.
func distinct(targets []sink.Target) error {
	type place struct {
		path    string
		replace bool
	}
	taken := map[place]string{}
	for _, t := range targets {
		uri, _, _ := strings.Cut(t.URI, "?")
		scheme, rest, _ := strings.Cut(uri, "://")
		p := place{scheme + "://" + path.Clean("/"+strings.TrimLeft(rest, "/")), t.Mode == sink.Replace}
		if other, ok := taken[p]; ok {
			return fmt.Errorf("topics %q and %q both write to %s: give each a place of its own", other, t.Topic, uri)
		}
		taken[p] = t.Topic
	}
	return nil
}
