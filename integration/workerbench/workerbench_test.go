//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/benchreport"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every load, with few jobs and rows, is done by the worker, the reference and
// into the floor, and has its lines in the report and its place in the chart.
func TestBenchmarkOfSmallLoads(t *testing.T) {
	folder := t.TempDir()
	worker := filepath.Join(folder, "casparian-worker")
	if out, err := exec.Command("go", "build", "-o", worker, "../../cmd/casparian-worker").CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	document, chart := filepath.Join(folder, "benchmarks.md"), filepath.Join(folder, "chart.svg")
	begin, end := benchreport.Marks("make workerbench")
	manyBegin, manyEnd := benchreport.Marks("make manyjobs")
	before := "before\n" + begin + "\nan earlier run\n" + end + "\nafter\n" + manyBegin + manyEnd
	if err := os.WriteFile(document, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	common := []string{"-worker", worker, "-python", parts.Python(t), "-source", "..", "-document", document}
	if err := start(t.Context(), append(common, "-shrink", "1000", "-chart", chart, "-scenarios", "small,first job,CSV")); err != nil {
		t.Fatal(err)
	}
	if err := start(t.Context(), append(common, "-many", "10")); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "\nafter\n", "| times as fast as the reference | small |", "10 small jobs"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("the report lacks %q:\n%s", want, content)
		}
	}
	if strings.Contains(string(content), "an earlier run") {
		t.Error("the report before is still there")
	}
	for _, load := range []string{"small", "first job", "CSV"} {
		if strings.Count(string(content), "\n| "+load+" | ") != 3 {
			t.Errorf("the report has not three lines for %s:\n%s", load, content)
		}
		if !strings.Contains(string(picture), ">"+load+"<") {
			t.Errorf("the chart has no place for %s", load)
		}
	}
}
