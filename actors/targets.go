package actors

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
)

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

// stagedTargets are all that a job, or a generation of it that was replaced, may
// have staged output for.
func stagedTargets(job *journal.Job) []sink.Target {
	return targetsFor(job, journal.DistinctSinks(slices.Concat(job.Spec.Sinks, job.Chosen, job.Stale)))
}

// undurable leaves out the targets of a checkpoint.
func undurable(targets []sink.Target, checkpoint *journal.Checkpoint) []sink.Target {
	if checkpoint == nil {
		return targets
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t sink.Target) bool {
		return slices.ContainsFunc(checkpoint.Outputs, func(o journal.Output) bool { return o.Sink.Same(sinkSpecOf(t)) })
	})
}

// sinkSpecOf names a target in the journal.
func sinkSpecOf(t sink.Target) journal.SinkSpec {
	return journal.SinkSpec{Topic: t.Topic, URI: t.URI, Mode: string(t.Mode)}
}

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
