package drill

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// counted is a report of three rounds: a good one, a bad one, and one at a random
// moment.
func counted() *Report {
	load := &Load{Name: "single", Own: true, Inputs: []string{"a"}}
	at := func(point crashpoint.Point, n int) []Kill { return []Kill{{Point: point, Passing: n}} }
	tally := newTally()
	for _, s := range []*stage{
		{round: round{number: 3, load: load, kills: at(crashpoint.SinkSyncAfter, 1)}, result: Result{Hits: 1, Jobs: 1, Receipts: 1,
			RowsExpected: 250, RowsFound: 250, Recovered: []time.Duration{400 * time.Millisecond}, Lost: 300 * time.Millisecond}},
		{round: round{number: 4, load: load, kills: at(crashpoint.SinkSyncAfter, 2)}, folder: "/tmp/round-4", result: Result{Hits: 1, Jobs: 1, Receipts: 0,
			RowsExpected: 250, RowsFound: 247, Recovered: []time.Duration{800 * time.Millisecond}, Lost: 500 * time.Millisecond,
			Problems: []Problem{{Lost, "job 1 has no receipt"}, {LeftOver, "socket state/s"}}}},
		{round: round{number: 5, load: load, kills: []Kill{{After: 20 * time.Millisecond}, {After: time.Second}}}, result: Result{Load: "single", Hits: 2, Jobs: 1, Receipts: 1,
			RowsExpected: 250, RowsFound: 250}},
	} {
		s.result.Kills = s.round.kills
		tally.add(s)
	}
	report := &Report{Seed: 7, Took: 12, Loads: []LoadReport{{Name: "single"}}}
	report.take(tally)
	return report
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	report := counted()
	report.Missed = []crashpoint.Point{crashpoint.SinkRemoveAfter}
	report.WriteText(&out)
	want := `point            hit  outcome          rows expected  found  receipts  to recover (most)  time lost (most)
sink.sync.after  2    LOST, LEFT OVER  500            497    1/2       0.8 s (0.8)        0.5 s (0.5)
random, single   2    exact            250            250    1/1       0.0 s (0.0)        0.0 s (0.0)

round 4, single sink.sync.after#2:
  LOST: job 1 has no receipt
  LEFT OVER: socket state/s
  again: casparian-worker drill --load single --at sink.sync.after#2
  kept: /tmp/round-4

MISSED: point sink.remove.after was not hit as often as it had to be

4 kills in 3 rounds, seed 7, 12 s: 747 of 750 rows, 2 of 3 receipts; FAILED: 1 × lost, 1 × left over, 1 points missed
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if !report.Failed() {
		t.Error("the report does not fail")
	}
}

func TestTableOfAGoodDrill(t *testing.T) {
	var out bytes.Buffer
	report := &Report{Seed: 7, Points: []PointReport{{Point: "sink.sync.after", Hits: 1, Outcome: "exact", RowsExpected: 2, RowsFound: 2, Jobs: 1, Receipts: 1}}, Rounds: 1, Kills: 1}
	report.WriteText(&out)
	if want := "2 of 2 rows, 1 of 1 receipts; nothing lost, nothing doubled, nothing left over\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
	if report.Failed() {
		t.Error("the report fails")
	}
	// A point that was missed is a failure by itself.
	report.Missed = []crashpoint.Point{crashpoint.SinkSyncAfter}
	if !report.Failed() {
		t.Error("a report with a missed point does not fail")
	}
}

func TestReportForMachines(t *testing.T) {
	var out bytes.Buffer
	if err := counted().WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Seed   uint64
		Points []struct {
			Point     string
			Hits      int
			RowsFound int64   `json:"rows_found"`
			Recover   float64 `json:"recover_median_s"`
		}
		Problems []struct{ Problems []struct{ Kind, Text string } }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Seed != 7 || len(got.Points) != 2 || got.Points[0].RowsFound != 497 || got.Points[0].Recover != 0.8 ||
		len(got.Problems) != 1 || got.Problems[0].Problems[0].Kind != "lost" {
		t.Errorf("got %s", out.String())
	}
}

func TestTraceEndsWhereTheProcessDid(t *testing.T) {
	path := t.TempDir() + "/trace"
	writeFile(t, path, "17 sink.sync.before\n18 sink.sync.after\n19 sink.se")
	got := readTrace(path)
	if len(got) != 2 || got[1] != crashpoint.SinkSyncAfter || got.count()[crashpoint.SinkSyncBefore] != 1 {
		t.Errorf("got %q", got)
	}
}
