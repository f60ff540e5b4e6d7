package drill

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// Report is what a drill found.
type Report struct {
	Seed     uint64        `json:"seed"`
	Loads    []LoadReport  `json:"loads"`
	Points   []PointReport `json:"points"`
	Problems []RoundReport `json:"problems"`
	// Missed are the points that were not hit as often as they had to be.
	Missed []crashpoint.Point `json:"missed"`
	Rounds int                `json:"rounds"`
	Kills  int                `json:"kills"`
	Took   seconds            `json:"took_s"`
	// Folder is where everything was kept, "" when it was not.
	Folder string `json:"folder,omitempty"`
}

// LoadReport describes a load and what it gives undisturbed.
type LoadReport struct {
	Name          string  `json:"name"`
	Jobs          int     `json:"jobs"`
	Files         int     `json:"files"`
	Rows          int64   `json:"rows"`
	Took          seconds `json:"took_s"`
	Deterministic bool    `json:"deterministic"`
	Note          string  `json:"note"`
}

func (l LoadReport) String() string {
	return fmt.Sprintf("%s: %d jobs, %d rows in %d files, %.1f s undisturbed; %s", l.Name, l.Jobs, l.Rows, l.Files, float64(l.Took), l.Note)
}

// PointReport sums up the rounds whose last kill was at one point, or at random
// moments in one load.
type PointReport struct {
	Point        string  `json:"point"`
	Hits         int     `json:"hits"`
	Outcome      string  `json:"outcome"`
	RowsExpected int64   `json:"rows_expected"`
	RowsFound    int64   `json:"rows_found"`
	Jobs         int     `json:"jobs"`
	Receipts     int     `json:"receipts"`
	Recover      seconds `json:"recover_median_s"`
	RecoverMax   seconds `json:"recover_max_s"`
	Lost         seconds `json:"lost_median_s"`
	LostMax      seconds `json:"lost_max_s"`
}

// RoundReport is a round with problems.
type RoundReport struct {
	Round    int       `json:"round"`
	What     string    `json:"what"`
	Problems []Problem `json:"problems"`
	Again    string    `json:"again,omitempty"` // the command that plays it once more
	Folder   string    `json:"folder"`
}

// seconds is a time that is written as a number.
type seconds float64

func inSeconds(d time.Duration) seconds { return seconds(d.Seconds()) }

// Failed reports whether the drill found anything wrong.
func (r *Report) Failed() bool { return len(r.Problems) > 0 || len(r.Missed) > 0 }

func (d *Drill) describe(load *Load, b *baseline) LoadReport {
	note := b.agrees.String()
	if d.noArrow != nil {
		note = fmt.Sprintf("only the receipts' row counts are compared (%v)", d.noArrow)
	}
	return LoadReport{
		Name: load.Name, Jobs: len(load.Inputs), Files: len(b.owners), Rows: b.rows, Took: inSeconds(b.took),
		Deterministic: b.agrees == sameRows, Note: note,
	}
}

// tally counts rounds as they end. It may be used by several goroutines.
type tally struct {
	mu         sync.Mutex
	results    []Result
	problems   []RoundReport
	hits       map[crashpoint.Point]int
	recoveries map[crashpoint.Point][]recovery
	missed     []crashpoint.Point
	before     int // rounds that were counted before the wave
}

func newTally() *tally {
	return &tally{hits: map[crashpoint.Point]int{}, recoveries: map[crashpoint.Point][]recovery{}}
}

func (t *tally) add(s *stage) (rounds int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results = append(t.results, s.result)
	for _, k := range s.round.kills[:min(s.result.Hits, len(s.round.kills))] {
		t.hits[k.Point]++
	}
	for n := 1; n < len(s.traces); n++ {
		if s.round.kills[n-1].Point == "" {
			break // cannot be led to again
		}
		for point, count := range s.traces[n].count() {
			t.recoveries[point] = append(t.recoveries[point], recovery{s.round.load, s.round.kills[:n], count})
		}
	}
	if len(s.result.Problems) > 0 {
		t.problems = append(t.problems, RoundReport{
			Round: s.round.number, What: s.round.name(), Problems: s.result.Problems, Again: s.round.again(), Folder: s.folder,
		})
	}
	return len(t.results)
}

func (t *tally) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.results)
}

func (t *tally) problemCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.problems)
}

// hopeless reports whether enough went wrong.
func (t *tally) hopeless() bool { return t.problemCount() >= tooMany }

// demand notes the points that were hit less often.
func (t *tally) demand(hits int) {
	for _, d := range crashpoint.All {
		if t.hits[d.Point] < hits {
			t.missed = append(t.missed, d.Point)
		}
	}
}

// take sums a tally up.
func (r *Report) take(t *tally) {
	r.Problems, r.Missed, r.Rounds = t.problems, t.missed, len(t.results)
	rows := map[string][]Result{}
	for _, result := range t.results {
		r.Kills += result.Hits
		if len(result.Kills) == 0 {
			continue
		}
		name := string(result.Kills[len(result.Kills)-1].Point)
		if name == "" {
			name = "random, " + result.Load
		}
		rows[name] = append(rows[name], result)
	}
	names := make([]string, 0, len(rows))
	for _, d := range crashpoint.All {
		names = append(names, string(d.Point))
	}
	for _, load := range r.Loads {
		names = append(names, "random, "+load.Name)
	}
	for _, name := range names {
		if results := rows[name]; len(results) > 0 {
			p := sumUp(name, results)
			if point := crashpoint.Point(name); crashpoint.Known(point) {
				p.Hits = t.hits[point] // also on the way to another point
			}
			r.Points = append(r.Points, p)
		}
	}
}

func sumUp(name string, results []Result) PointReport {
	p := PointReport{Point: name, Outcome: "exact"}
	var recovered, lost []time.Duration
	var kinds []string
	for _, r := range results {
		p.Hits += r.Hits
		p.RowsExpected += r.RowsExpected
		p.RowsFound += r.RowsFound
		p.Jobs += r.Jobs
		p.Receipts += r.Receipts
		recovered = append(recovered, r.Recovered...)
		lost = append(lost, r.Lost)
		for _, problem := range r.Problems {
			if kind := strings.ToUpper(string(problem.Kind)); !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	if len(kinds) > 0 {
		p.Outcome = strings.Join(kinds, ", ")
	}
	p.Recover, p.RecoverMax = spread(recovered)
	p.Lost, p.LostMax = spread(lost)
	return p
}

// spread gives the median and the most.
func spread(times []time.Duration) (median, most seconds) {
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	return inSeconds(times[len(times)/2]), inSeconds(times[len(times)-1])
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes the table, what is wrong, and a last line that sums up.
func (r *Report) WriteText(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "point\thit\toutcome\trows expected\tfound\treceipts\tto recover (most)\ttime lost (most)")
	for _, p := range r.Points {
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%d\t%d/%d\t%.1f s (%.1f)\t%.1f s (%.1f)\n", p.Point, p.Hits, p.Outcome,
			p.RowsExpected, p.RowsFound, p.Receipts, p.Jobs, float64(p.Recover), float64(p.RecoverMax), float64(p.Lost), float64(p.LostMax))
	}
	table.Flush()
	for _, round := range r.Problems {
		fmt.Fprintf(out, "\nround %d, %s:\n", round.Round, round.What)
		for _, problem := range round.Problems {
			fmt.Fprintf(out, "  %s: %s\n", strings.ToUpper(string(problem.Kind)), strings.ReplaceAll(problem.Text, "\n", "\n    "))
		}
		if round.Again != "" {
			fmt.Fprintf(out, "  again: %s\n", round.Again)
		}
		fmt.Fprintf(out, "  kept: %s\n", round.Folder)
	}
	for _, point := range r.Missed {
		fmt.Fprintf(out, "\nMISSED: point %s was not hit as often as it had to be\n", point)
	}
	fmt.Fprintf(out, "\n%s\n", r.summary())
	if r.Folder != "" {
		fmt.Fprintf(out, "everything is kept in %s\n", r.Folder)
	}
}

func (r *Report) summary() string {
	var jobs, receipts int
	var expected, found int64
	for _, p := range r.Points {
		jobs, receipts = jobs+p.Jobs, receipts+p.Receipts
		expected, found = expected+p.RowsExpected, found+p.RowsFound
	}
	kinds := map[Kind]int{}
	for _, round := range r.Problems {
		for _, problem := range round.Problems {
			kinds[problem.Kind]++
		}
	}
	verdict := "nothing lost, nothing doubled, nothing left over"
	if r.Failed() {
		var parts []string
		for _, kind := range []Kind{Lost, Doubled, Wrong, Early, LeftOver, Journal, Worker} {
			if kinds[kind] > 0 {
				parts = append(parts, fmt.Sprintf("%d × %s", kinds[kind], kind))
			}
		}
		if len(r.Missed) > 0 {
			parts = append(parts, fmt.Sprintf("%d points missed", len(r.Missed)))
		}
		verdict = "FAILED: " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%d kills in %d rounds, seed %d, %.0f s: %d of %d rows, %d of %d receipts; %s",
		r.Kills, r.Rounds, r.Seed, float64(r.Took), found, expected, receipts, jobs, verdict)
}
