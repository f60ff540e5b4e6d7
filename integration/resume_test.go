//go:build unix

package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// Bar: after kill -9 the durable row groups are not written again, and the rows are
// exact, in two files with nested columns that are cut at different points.

// nested is a job of frames of 100 rows: two to topic wide for each to topic deep.
func (s *story) nested(w wish) harness.Job {
	job := s.job(1, "nested", w)
	job.Sinks = []harness.Sink{
		{Topic: "wide", URI: "parquet://wide.parquet?row_group_rows=430&bloom=id,point.name"},
		{Topic: "deep", URI: "parquet://deep.parquet?row_group_rows=270&page_bytes=1024", Mode: "replace"},
	}
	return job
}

// awaitDurable waits for another checkpoint of job 1.
func (s *story) awaitDurable(before int) int {
	s.Helper()
	checkpoints := before
	s.site.Eventually("more rows are durable", func() error {
		if checkpoints = s.events("output-checkpointed", 1); checkpoints <= before {
			return fmt.Errorf("there are %d checkpoints", checkpoints)
		}
		return nil
	})
	return checkpoints
}

func TestKillAndGoOnBehindTheDurableRows(t *testing.T) {
	t.Parallel()
	s := beginWith(t, false, harness.Options{Plugins: []string{"nested"}, Arguments: rerun})
	gate := harness.NewGate(t)
	const frames = 60
	job := s.nested(wish{"frames": frames, "gate": gate, "gate_after": 30})
	s.sentinel.Submit(job)
	gate.AwaitReached()
	checkpoints := s.awaitDurable(0)
	s.worker.Kill()
	before := map[string][]byte{}
	for _, path := range s.site.Staged() {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before[path] = content
	}
	if len(before) != 2 {
		t.Fatalf("staged: %q", s.site.Staged())
	}
	// Killed again in the middle of the comparison, and once more behind it.
	s.worker = s.site.Start()
	gate.AwaitReached()
	s.worker.Kill()
	mark := s.sentinel.Mark()
	s.worker = s.site.Start()
	gate.AwaitReached()
	gate.Open()
	s.succeeded(s.sentinel.ReceiptAfter(1, mark), frames*100)
	s.files("deep.parquet", "wide_1.parquet")
	s.holds(job, "wide", "wide_1.parquet")
	s.holds(job, "deep", "deep.parquet")
	s.site.CheckNoStaging()
	if n := s.events("output-resumed", 1); n == 0 {
		t.Error("the journal does not say that the job was resumed")
	}
	if n := s.events("output-checkpointed", 1); n <= checkpoints {
		t.Error("nothing was durable between the resumption and the end")
	}
	// A row group that was durable lies in the published file as it was.
	for _, file := range []string{"wide_1.parquet", "deep.parquet"} {
		content, err := os.ReadFile(filepath.Join(s.site.Output, file))
		if err != nil {
			t.Fatal(err)
		}
		if !hasPrefixOf(content, before) {
			t.Errorf("%s does not begin with what was durable before the kill", file)
		}
	}
	s.verified()
}

// hasPrefixOf tells whether one of the staged files, less what was not durable, is
// the beginning of content: at least its first row group and checkpoint.
func hasPrefixOf(content []byte, staged map[string][]byte) bool {
	for _, before := range staged {
		if end := bytes.Index(before, []byte("CWCP")); end > 4 && bytes.HasPrefix(content, before[:end+4]) {
			return true
		}
	}
	return false
}

// A plugin that gives other data the second time: the rows of the two runs are
// never mixed, the partial file is kept, and the journal tells.
func TestKillAndTheSecondRunDiffers(t *testing.T) {
	t.Parallel()
	s := beginWith(t, false, harness.Options{Plugins: []string{"nested"}, Arguments: rerun})
	gate := harness.NewGate(t)
	job := s.nested(wish{"frames": 60, "gate": gate, "gate_after": 30, "salt": t.TempDir()})
	s.sentinel.Submit(job)
	gate.AwaitReached()
	s.awaitDurable(0)
	s.worker.Kill()
	gate.Open()
	mark := s.sentinel.Mark()
	s.worker = s.site.Start()
	s.succeeded(s.sentinel.ReceiptAfter(1, mark), 6_000)
	if n := s.events("output-set-aside", 1); n != 1 {
		t.Errorf("set aside %d times", n)
	}
	if n := s.events("attempt-started", 1); n != 3 {
		t.Errorf("%d attempts, want the killed one, the one that differed, and a third", n)
	}
	aside := 0
	for _, path := range s.site.Staged() {
		if filepath.Ext(path) != ".aside" {
			t.Errorf("left over: %s", path)
		}
		aside++
		if err := os.Remove(path); err != nil { // they are the operator's to remove
			t.Error(err)
		}
	}
	if aside != 2 {
		t.Errorf("%d files were set aside, want 2", aside)
	}
	// All rows are of the third start: the first id is its salt.
	program := "import sys, pyarrow.parquet as pq; ids = pq.read_table(sys.argv[1])['id'].to_pylist(); print(ids[0], len(ids), len(set(ids)))"
	out := string(bytes.TrimSpace(harness.Python(s, nil, "-c", program, filepath.Join(s.site.Output, "wide_1.parquet"))))
	if out != "2 4000 4000" {
		t.Errorf("first id, rows and distinct ids are %s, want 2 4000 4000", out)
	}
}
