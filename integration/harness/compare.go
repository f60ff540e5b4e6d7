//go:build unix

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// Comparison says what a Parquet file must hold: what a plugin yields under a
// topic for an input file, and the lineage of the job.
type Comparison struct {
	Plugin        string `json:"plugin"` // the plugin's file
	Input         string `json:"input"`
	Topic         string `json:"topic"`
	File          string `json:"file"`
	JobID         uint64 `json:"job_id"`
	FileVersionID int64  `json:"file_version_id"`
}

// CheckFile runs the plugin once more without any worker, and fails the test
// unless pyarrow, duckdb and polars read exactly its rows from the file. It
// returns how many those are.
func CheckFile(t testing.TB, c Comparison) int {
	t.Helper()
	if c.Topic == "" {
		c.Topic = "output"
	}
	request, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Rows     int      `json:"rows"`
		Problems []string `json:"problems"`
	}
	output := Python(t, request, script(t, "harness", "compare.py"))
	if err := json.Unmarshal(output, &answer); err != nil {
		t.Fatalf("compare %s: unreadable answer %q: %v", c.File, output, err)
	}
	for _, problem := range answer.Problems {
		t.Errorf("%s: %s", c.File, problem)
	}
	return answer.Rows
}

// Python runs the real parts' interpreter to its end and gives its stdout.
func Python(t testing.TB, stdin []byte, arguments ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	command := exec.CommandContext(ctx, parts.Python(t), append([]string{"-B"}, arguments...)...)
	command.WaitDelay = time.Second
	command.Stdin = bytes.NewReader(stdin)
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		t.Fatalf("python %s: %v\n%s", strings.Join(arguments, " "), err, problems.String())
	}
	return output
}

// ArtifactPath is the file that an artifact's URI names, which must be of the
// form parquet:///ABSOLUTE/PATH.
func ArtifactPath(t testing.TB, artifact map[string]string) string {
	t.Helper()
	location, err := url.Parse(artifact["uri"])
	if err != nil {
		t.Fatalf("artifact %v: %v", artifact, err)
	}
	if location.Scheme != "parquet" || location.Host != "" || !strings.HasPrefix(location.Path, "/") {
		t.Fatalf("artifact %v is not parquet:///ABSOLUTE/PATH", artifact)
	}
	return location.Path
}
