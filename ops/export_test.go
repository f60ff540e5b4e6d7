package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/journal"
)

// TestAnExportIsTheJournal: duckdb finds in the Parquet file what the log holds, and
// the lines are the log's own bytes.
func TestAnExportIsTheJournal(t *testing.T) {
	python := parts.Python(t)
	dir := t.TempDir()
	j, err := journal.Open(dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 700 // more events than a batch has
	source := []byte("x")
	for job := uint64(1); job <= jobs; job++ {
		for _, event := range []journal.Event{
			journal.JobAccepted{JobID: job, Generation: 1, Origin: journal.OriginNew,
				Spec: journal.JobSpec{Plugin: "größe <&>", Source: journal.DigestOf(source)}},
			journal.JobConcluded{JobID: job, Generation: 1, Receipt: journal.Receipt{Status: journal.Failed, Error: "x"}},
		} {
			if _, err := j.Append(t.Context(), event, source); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := journal.JobAccepted{JobID: 1<<64 - 1, Generation: 1, Origin: journal.OriginNew, Spec: journal.JobSpec{Source: journal.DigestOf(source)}}
	for _, event := range []journal.Event{last, journal.AttemptStarted{Attempt: journal.Attempt{JobID: 1<<64 - 1, Generation: 1, Attempt: 1}},
		journal.WorkerStopped{Reason: "done"}} {
		if _, err := j.Append(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	var want bytes.Buffer
	if err := j.Records(1, func(r journal.Record) error { _, err := want.Write(append(r.Raw, '\n')); return err }); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	lines, table := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "events.parquet")
	for path, format := range map[string]string{lines: ExportLines, table: ExportParquet} {
		if n, err := Export(t.Context(), Inspection{StateDir: dir}, format, path); err != nil || n != 2*jobs+3 {
			t.Fatalf("%s: %d events, %v", format, n, err)
		}
	}
	if content, err := os.ReadFile(lines); err != nil || !bytes.Equal(content, want.Bytes()) {
		t.Errorf("the lines are not the log: %v", err)
	}
	const query = `
import duckdb, json, sys
con = duckdb.connect()
rows = con.execute("select seq, job, generation, attempt, kind, version, event, prev, digest, epoch_ns(time) from '%s' order by seq" % sys.argv[1]).fetchall()
failed = con.execute("select count(*) from '%s' where event->>'$.receipt.status' = 'FAILED'" % sys.argv[1]).fetchone()[0]
json.dump({"failed": failed, "rows": rows}, sys.stdout)
`
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, "-c", query, table)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Failed int
		Rows   [][]any
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Failed != jobs || len(got.Rows) != 2*jobs+3 {
		t.Fatalf("%d rows, %d of them FAILED", len(got.Rows), got.Failed)
	}
	records := bytes.Split(bytes.TrimSpace(want.Bytes()), []byte("\n"))
	for i, row := range got.Rows {
		r, err := journal.ParseRecord(records[i])
		if err != nil {
			t.Fatal(err)
		}
		var stored struct{ Event json.RawMessage }
		if err := json.Unmarshal(records[i], &stored); err != nil {
			t.Fatal(err)
		}
		job, generation, attempt := any(nil), any(nil), any(nil)
		if r.Job != 0 {
			job, generation = fmt.Sprint(r.Job), "1"
		}
		if r.Kind == "attempt-started" {
			attempt = "1"
		}
		wanted := fmt.Sprint([]any{r.Seq, job, generation, attempt, r.Kind, r.Version, string(stored.Event), r.Prev, journal.DigestOf(r.Raw), r.Time.UnixNano()})
		if fmt.Sprint(row) != wanted {
			t.Fatalf("row %d is\n%v, want\n%v", i, row, wanted)
		}
	}

	if n, err := Export(t.Context(), Inspection{StateDir: dir, Job: 7}, ExportParquet, table); err != nil || n != 2 {
		t.Errorf("one job: %d events, %v", n, err)
	}
	if _, err := Export(t.Context(), Inspection{StateDir: t.TempDir()}, ExportParquet, filepath.Join(dir, "none")); err == nil {
		t.Error("there is no journal, and it was exported")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
