//go:build unix

package drill

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/protocol"
)

// planted is a round that went well, as far as its folder, journal and receipts
// tell, for a test to plant a failure in: job 1 published out/a_1.parquet.
func planted(t *testing.T) (*stage, *baseline) {
	t.Helper()
	// Not t.TempDir: the path of a socket is short.
	folder, err := os.MkdirTemp("", "drill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	load := &Load{Name: "planted", Inputs: []string{"/in"}}
	b := &baseline{
		folder:   filepath.Join(folder, "expected"),
		owners:   map[string]uint64{"a_1.parquet": 1},
		receipts: map[uint64]protocol.Conclude{1: {Status: protocol.Success, Metrics: map[string]int64{"rows": 3, "rows.output": 3}}},
		rows:     3,
	}
	s := &stage{
		drill:    &Drill{bases: map[*Load]*baseline{load: b}},
		round:    round{number: 1, load: load, kills: []Kill{{Point: crashpoint.SinkSyncAfter, Passing: 1}}},
		folder:   filepath.Join(folder, "round-1"),
		receipts: map[uint64]protocol.Conclude{1: {Status: protocol.Success, Metrics: map[string]int64{"rows": 3, "rows.output": 3, "duration_ms": 9}}},
	}
	for _, folder := range []string{s.output(), s.temp(), b.folder} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(b.folder, "a_1.parquet"), threeRows)
	write(t, filepath.Join(s.output(), "a_1.parquet"), threeRows)
	return s, b
}

const threeRows = `{"id": [1, 2, 3], "x": [0.5, nan, None]}`

// written are the files made so far, by their columns: starting Python takes long.
var written = map[string][]byte{}

// write makes a Parquet file of columns, in Python's words.
func write(t *testing.T, path, columns string) {
	t.Helper()
	if content, known := written[columns]; known {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	script := "import sys, pyarrow as pa, pyarrow.parquet as pq\nnan = float('nan')\npq.write_table(pa.table(" + columns + "), sys.argv[1])"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, parts.Python(t), "-c", script, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	written[columns] = content
}

// record writes a journal with these events.
func (s *stage) record(t *testing.T, events ...journal.Event) {
	t.Helper()
	j, err := journal.Open(s.state(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events {
		if _, err := j.Append(t.Context(), event, []byte("pass")); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// life is job 1's, step by step.
func life() []journal.Event {
	attempt := journal.Attempt{JobID: 1, Generation: 1, Attempt: 1}
	spec := journal.JobSpec{Plugin: "planted", FilePath: "/in", EnvHash: "system", Source: journal.DigestOf([]byte("pass")),
		Sinks: []journal.SinkSpec{{Topic: "output", URI: "parquet://a.parquet", Mode: "append"}}}
	receipt := journal.Receipt{Status: journal.Success, Metrics: map[string]int64{"rows": 3}, Artifacts: []journal.Artifact{}}
	return []journal.Event{
		journal.WorkerStarted{WorkerID: "drill", Version: "test", PID: 1},
		journal.JobAccepted{JobID: 1, Generation: 1, Spec: spec, Origin: journal.OriginNew},
		journal.AttemptStarted{Attempt: attempt, Interpreter: "python3"},
		journal.GuestStarted{Attempt: attempt, Guest: journal.Guest{PID: 1, Marker: "m"}},
		journal.OutputSealed{Attempt: attempt, Outputs: []journal.Output{{Sink: spec.Sinks[0], Token: []byte(`{}`), Rows: 3}}, Metrics: receipt.Metrics},
		journal.JobConcluded{JobID: 1, Generation: 1, Receipt: receipt},
		journal.ReceiptSent{JobID: 1, Generation: 1, Connection: 1},
		journal.ReceiptConfirmed{JobID: 1, Generation: 1, Evidence: "test"},
	}
}

func problems(s *stage) string {
	var all []string
	for _, p := range s.result.Problems {
		all = append(all, fmt.Sprintf("%s: %s", p.Kind, p.Text))
	}
	return strings.Join(all, "; ")
}

// The judge finds nothing in a good round, and each failure that is planted in one.
func TestJudgeFindsWhatIsPlanted(t *testing.T) {
	c, err := newComparer(parts.Python(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	output := func(s *stage) string { return filepath.Join(s.output(), "a_1.parquet") }
	for name, test := range map[string]struct {
		plant func(t *testing.T, s *stage, b *baseline)
		want  string // "" for none
	}{
		"nothing": {func(*testing.T, *stage, *baseline) {}, ""},
		"a missing row": {func(t *testing.T, s *stage, _ *baseline) {
			write(t, output(s), `{"id": [1, 3], "x": [0.5, None]}`)
		}, "lost: a_1.parquet: 1 of 3 rows are missing"},
		"a doubled row": {func(t *testing.T, s *stage, _ *baseline) {
			write(t, output(s), `{"id": [1, 2, 2, 3], "x": [0.5, nan, nan, None]}`)
		}, "doubled: a_1.parquet: 1 rows are too many"},
		"another value": {func(t *testing.T, s *stage, _ *baseline) {
			write(t, output(s), `{"id": [1, 2, 3], "x": [0.25, nan, None]}`)
		}, "lost: a_1.parquet: 1 of 3 rows are missing; doubled: a_1.parquet: 1 rows are too many"},
		"another order": {func(t *testing.T, s *stage, _ *baseline) {
			write(t, output(s), `{"id": [3, 2, 1], "x": [None, nan, 0.5]}`)
		}, "wrong: a_1.parquet: its rows come in another order"},
		"another order, where two undisturbed runs differ in it": {func(t *testing.T, s *stage, b *baseline) {
			b.agrees = sameSet
			write(t, output(s), `{"id": [3, 2, 1], "x": [None, nan, 0.5]}`)
		}, ""},
		"another value, where two undisturbed runs differ in them": {func(t *testing.T, s *stage, b *baseline) {
			b.agrees = sameCount
			write(t, output(s), `{"id": [1, 2, 3], "x": [0.25, nan, None]}`)
		}, ""},
		"another count, where two undisturbed runs differ in values": {func(t *testing.T, s *stage, b *baseline) {
			b.agrees = sameCount
			write(t, output(s), `{"id": [1], "x": [0.5]}`)
		}, "wrong: a_1.parquet has 1 rows, undisturbed 3"},
		"another type": {func(t *testing.T, s *stage, _ *baseline) {
			write(t, output(s), `{"id": ["1", "2", "3"], "x": [0.5, nan, None]}`)
		}, "wrong: a_1.parquet: the columns are id string, x double, want id int64, x double"},
		"a file that is cut short": {func(t *testing.T, s *stage, _ *baseline) {
			if err := os.Truncate(output(s), 100); err != nil {
				t.Fatal(err)
			}
		}, "wrong: a_1.parquet: ArrowInvalid"},
		"a file that is missing": {func(t *testing.T, s *stage, _ *baseline) {
			if err := os.Remove(output(s)); err != nil {
				t.Fatal(err)
			}
		}, "lost: a_1.parquet is not published"},
		"a file too many": {func(t *testing.T, s *stage, _ *baseline) {
			write(t, filepath.Join(s.output(), "a_1-1.parquet"), threeRows)
		}, "doubled: a_1-1.parquet is published, and undisturbed is not"},
		"no receipt": {func(_ *testing.T, s *stage, _ *baseline) { clear(s.receipts) }, "lost: job 1 has no receipt"},
		"a FAILED receipt": {func(_ *testing.T, s *stage, _ *baseline) {
			s.receipts[1] = protocol.Conclude{Status: protocol.Failed, ErrorMessage: "no room"}
		}, "wrong: job 1 is FAILED, undisturbed SUCCESS: no room"},
		"a receipt with other figures": {func(_ *testing.T, s *stage, _ *baseline) { s.receipts[1].Metrics["rows"] = 6 },
			"wrong: the receipt of job 1 says rows: 6, undisturbed 3"},
		"a damaged journal": {func(t *testing.T, s *stage, _ *baseline) {
			if err := os.WriteFile(filepath.Join(s.state(), "journal.db"), make([]byte, 1<<16), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "journal: "},
		"a staged file": {func(t *testing.T, s *stage, _ *baseline) {
			if err := os.WriteFile(filepath.Join(s.output(), ".casparian-1.part"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "left over: staged file out/.casparian-1.part"},
		"a socket": {func(t *testing.T, s *stage, _ *baseline) {
			listener, err := net.Listen("unix", filepath.Join(s.state(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
		}, "left over: socket state/s"},
		"a temporary file": {func(t *testing.T, s *stage, _ *baseline) {
			if err := os.Mkdir(filepath.Join(s.temp(), "casp"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "left over: temporary file tmp/casp"},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := planted(t)
			s.record(t, life()...)
			test.plant(t, s, b)
			if err := s.judge(t.Context(), b, c); err != nil {
				t.Fatal(err)
			}
			got := problems(s)
			if test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
				t.Errorf("it finds %q, want %q", got, test.want)
			}
		})
	}
}

func TestJudgeFindsAndEndsAProcessLeftOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere only what the journal knows of is found")
	}
	s, _ := planted(t)
	left := exec.Command("sleep", "600")
	left.Env = []string{roundVariable + "=" + s.folder}
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { left.Process.Kill() })
	// Start returns a moment before the process has the environment to be found by, and
	// the kernel tells nobody when it has.
	for deadline := time.Now().Add(time.Minute); len(s.processes()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not found")
		}
	}
	s.cleanliness()
	if got, want := problems(s), fmt.Sprintf("left over: process %d sleep 600", left.Process.Pid); got != want {
		t.Errorf("it finds %q, want %q", got, want)
	}
	if err := left.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the process ended with %v", err)
	}
}

// Between two worker processes, what happened must be in the journal already.
func TestLaws(t *testing.T) {
	for name, test := range map[string]struct {
		steps  int  // of the job's life are in the journal
		again  bool // the job was accepted once more
		plant  func(s *stage)
		traced trace
		want   string
	}{
		"all is told":                 {steps: 8},
		"nothing has happened":        {steps: 0, plant: func(s *stage) { clear(s.receipts); os.RemoveAll(s.output()) }},
		"a receipt before the result": {steps: 5, want: "early: the Sentinel has a receipt of job 1, and the journal no result"},
		"a file before the seal":      {steps: 4, plant: func(s *stage) { clear(s.receipts) }, want: "early: a_1.parquet has its final name"},
		"a guest before its attempt":  {steps: 2, plant: func(s *stage) { clear(s.receipts); os.RemoveAll(s.output()) }, traced: trace{crashpoint.GuestStartBefore}, want: "early: 1 guests were started, and the journal knows of 0 attempts"},
		"a guest after its attempt":   {steps: 8, traced: trace{crashpoint.GuestStartBefore}},
		"a job taken on twice":        {steps: 8, again: true, want: "doubled: job 1 was taken on 2 times"},
		"complete without a sync":     {steps: 8, traced: trace{crashpoint.SinkWriteAfter, crashpoint.SinkSyncAfter, crashpoint.SinkWriteAfter, crashpoint.SinkSealAfter}, want: "early: a staged file was called complete before it was synced"},
		"complete after its sync":     {steps: 8, traced: trace{crashpoint.SinkWriteAfter, crashpoint.SinkSyncAfter, crashpoint.SinkSealAfter}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := planted(t)
			events := life()[:test.steps]
			if test.again {
				accepted := events[1].(journal.JobAccepted)
				accepted.Generation, accepted.Origin = 2, journal.OriginRetry
				conclusion := events[5].(journal.JobConcluded)
				conclusion.Generation, conclusion.Receipt.Status = 2, journal.Failed
				events = append(events, accepted, conclusion)
			}
			s.record(t, events...)
			if test.plant != nil {
				test.plant(s)
			}
			s.traces = []trace{test.traced}
			s.inspect()
			if got := problems(s); test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
				t.Errorf("it finds %q, want %q", got, test.want)
			}
		})
	}
}
