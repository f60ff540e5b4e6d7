package actors

import (
	"errors"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
)

func TestWhereABatchGoes(t *testing.T) {
	sinks := sink.NewRegistry()
	sinks.Register("parquet", anything{})
	begin := func() *staging {
		return newStaging(sinks, nil, nil, 0, &assignment{attempt: journal.Attempt{JobID: 1, Generation: 1, Attempt: 1}, targets: []sink.Target{
			{Topic: "daily", URI: "parquet://daily.parquet"},
			{Topic: "hourly", URI: "parquet://hourly.parquet"},
			{Topic: "hourly", URI: "parquet://copy.parquet"},
		}})
	}
	for name, c := range map[string]struct {
		batch bridge.Batch
		want  string
	}{
		"without a topic, to all":          {bridge.Batch{}, "daily.parquet hourly.parquet copy.parquet"},
		"to every sink of its topic":       {bridge.Batch{Topic: "hourly"}, "hourly.parquet copy.parquet"},
		"where the plugin said":            {bridge.Batch{Topic: "errors", DefaultURI: "parquet://errors.parquet"}, "errors.parquet"},
		"a configured sink goes first":     {bridge.Batch{Topic: "daily", DefaultURI: "parquet://other.parquet"}, "daily.parquet"},
		"nowhere":                          {bridge.Batch{Topic: "errors"}, "no sink"},
		"to a place that is taken":         {bridge.Batch{Topic: "errors", DefaultURI: "parquet:///daily.parquet"}, "both write to"},
		"to a place of a kind not known":   {bridge.Batch{Topic: "errors", DefaultURI: "ftp://x"}, "scheme"},
		"to a place that is no URI at all": {bridge.Batch{Topic: "errors", DefaultURI: "errors.parquet"}, "errors.parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			outputs, err := begin().route(c.batch)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			var got []string
			for _, out := range outputs {
				got = append(got, strings.TrimPrefix(out.target.URI, "parquet://"))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	var nowhere *NoSinkError
	if _, err := begin().route(bridge.Batch{Topic: "errors"}); !errors.As(err, &nowhere) || nowhere.Topic != "errors" {
		t.Errorf("got %v", err)
	}
}

func TestTargetsMustBeDistinct(t *testing.T) {
	for name, c := range map[string]struct {
		a, b sink.Target
		ok   bool
	}{
		"two files":                  {sink.Target{URI: "parquet://a.parquet"}, sink.Target{URI: "parquet://b.parquet"}, true},
		"one file":                   {sink.Target{URI: "parquet://a.parquet"}, sink.Target{URI: "parquet://a.parquet"}, false},
		"one file, written two ways": {sink.Target{URI: "parquet://x/a.parquet"}, sink.Target{URI: "parquet:///x/./a.parquet?compression=zstd"}, false},
		"one path in two modes":      {sink.Target{URI: "parquet://a.parquet", Mode: sink.Append}, sink.Target{URI: "parquet://a.parquet", Mode: sink.Replace}, true},
		"append and error are one":   {sink.Target{URI: "parquet://a.parquet", Mode: sink.Append}, sink.Target{URI: "parquet://a.parquet", Mode: sink.Error}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := distinct([]sink.Target{c.a, c.b}); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
