package actors

import (
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/protocol"
)

func specOf(d protocol.Dispatch) journal.JobSpec {
	spec := journal.JobSpec{
		Plugin: d.PluginName, FilePath: d.FilePath, FileVersionID: d.FileVersionID,
		EnvHash: d.EnvHash, ArtifactHash: d.ArtifactHash,
	}
	for _, s := range d.Sinks {
		spec.Sinks = append(spec.Sinks, journal.SinkSpec{Topic: s.Topic, URI: s.URI, Mode: s.Mode, Schema: s.SchemaDef})
	}
	spec.Sinks = journal.DistinctSinks(spec.Sinks)
	return spec
}

func concludeOf(r *journal.Receipt) protocol.Conclude {
	conclude := protocol.Conclude{Status: protocol.JobStatus(r.Status), Metrics: r.Metrics, ErrorMessage: r.Error}
	for _, a := range r.Artifacts {
		conclude.Artifacts = append(conclude.Artifacts, map[string]string{"topic": a.Topic, "uri": a.URI})
	}
	return conclude
}
