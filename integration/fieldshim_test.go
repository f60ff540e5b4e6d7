//go:build unix

package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// People run their own copies of the field's shim, which speaks version 1.
func TestShimOfTheField(t *testing.T) {
	t.Parallel()
	shim := filepath.Join(parts.Root(t), "integration", "testdata", "field_shim.py")
	s := beginWith(t, false, harness.Options{
		Plugins: []string{"frames", "batches", "raises", "exits", "large"}, Arguments: []string{"--guest-shim", shim},
	})
	frames := s.job(1, "frames", wish{"rows": 20_000, "chunk": 3_000})
	s.succeeded(s.run(frames), 20_000)
	s.holds(frames, "output", "out/frames_1.parquet")

	// No topic is on the wire: every batch goes to every sink.
	batches := s.job(2, "batches", wish{"rows": 3_000, "chunk": 700})
	batches.Sinks = []harness.Sink{{Topic: "a", URI: "parquet://a"}, {Topic: "b", URI: "parquet://b"}}
	receipt := s.run(batches)
	if receipt.Status != "SUCCESS" || len(receipt.Artifacts) < 2 {
		t.Fatalf("receipt %+v, want SUCCESS with both sinks", receipt)
	}
	s.holds(batches, "output", "a/data_2.parquet")
	s.holds(batches, "output", "b/data_2.parquet")

	s.failed(s.run(s.job(3, "raises", nil)), "ValueError", "Zeile 4: »Menge« fehlt")
	s.failed(s.run(s.job(4, "exits", nil)))

	// Version 1 has the source in one environment string. That is said, not hit.
	large := s.job(5, "frames", wish{"rows": 1, "chunk": 1})
	large.Plugin, large.Source = "large", strings.Repeat("#", 200<<10)+"\n"+large.Source
	s.failed(s.run(large), "source")
	s.site.AwaitNoGuests(s.worker)
}
