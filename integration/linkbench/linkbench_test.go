package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/benchreport"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Both contestants do a few messages of every task, and the report has a line for each.
func TestBenchmarkOfFewMessages(t *testing.T) {
	document := filepath.Join(t.TempDir(), "benchmarks.md")
	begin, end := benchreport.Marks("make linkbench")
	if err := os.WriteFile(document, []byte("before\n"+begin+"\nan earlier run\n"+end+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := start(t.Context(), []string{"-python", parts.Python(t), "-source", ".", "-repetitions", "1", "-shrink", "1000", "-document", document}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	if !strings.HasPrefix(text, "before\n") || !strings.HasSuffix(text, "\nafter\n") || strings.Contains(text, "an earlier run") {
		t.Errorf("what is around the report has changed:\n%s", text)
	}
	if lines := strings.Count(text, "\n| NULL | ") + strings.Count(text, "\n| CURVE | "); lines != 16 {
		t.Errorf("%d lines of results:\n%s", lines, text)
	}
}
