package ops

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol"
)

//go:embed manifest.py
var manifestScript string

// ManifestSinks reads the sinks that a plugin names in its MANIFEST, as a Sentinel
// does when the plugin is deployed.
func ManifestSinks(ctx context.Context, interpreter string, source []byte) ([]protocol.Sink, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, interpreter, "-I", "-c", manifestScript)
	command.Stdin = bytes.NewReader(source)
	command.WaitDelay = time.Second
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("read the plugin's MANIFEST with %s: %w", interpreter, err)
	}
	var found map[string]string
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("read the plugin's MANIFEST: %w", err)
	}
	var sinks []protocol.Sink
	for topic, uri := range found {
		sinks = append(sinks, protocol.Sink{Topic: topic, URI: uri, Mode: "append"})
	}
	slices.SortFunc(sinks, func(a, b protocol.Sink) int { return cmp.Compare(a.Topic, b.Topic) })
	return sinks, nil
}
