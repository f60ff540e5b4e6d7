package drill

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Kind says what sort of promise was broken.
type Kind string

const (
	Lost     Kind = "lost"      // a job, a receipt or a row is missing
	Doubled  Kind = "doubled"   // a job ran for good twice, or rows appear twice
	Wrong    Kind = "wrong"     // values, files or figures are others than undisturbed
	Early    Kind = "early"     // something happened before the journal had it
	LeftOver Kind = "left over" // files, sockets, processes
	Journal  Kind = "journal"   // the journal does not hold together
	Worker   Kind = "worker"    // a worker process panicked, raced or left by itself
)

// Problem is a broken promise.
type Problem struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

// Result is what became of one round.
type Result struct {
	Round        int
	Load         string
	Kills        []Kill
	Hits         int // kills that were carried out
	Jobs         int
	Receipts     int
	RowsExpected int64
	RowsFound    int64
	Recovered    []time.Duration // from each death to the next process's IDENTIFY
	Took         time.Duration   // from the first process's start to the last receipt
	Lost         time.Duration   // Took beyond the undisturbed time
	Problems     []Problem
}

// judge holds a round that is over against the undisturbed run.
func (s *stage) judge(ctx context.Context, b *baseline, c *comparer) error {
	s.result.RowsExpected = b.rows
	s.result.Lost = max(0, s.result.Took-b.took)
	if len(s.result.Problems) == 0 { // else it was not played to its end
		s.judgeReceipts(b)
		if err := s.judgeRows(b, c); err != nil {
			return err
		}
		if _, err := journal.Verify(ctx, s.state()); err != nil {
			s.problem(Journal, "%v", err)
		}
	}
	s.cleanliness()
	return nil
}

// cleanliness reports what is left over, and ends the processes among it.
func (s *stage) cleanliness() {
	broken := len(s.result.Problems) > 0
	for _, left := range s.leftovers() {
		if !broken { // a round that was cut short leaves its things behind
			s.problem(LeftOver, "%s", left)
		}
	}
}

func (s *stage) judgeReceipts(b *baseline) {
	taken := s.received()
	for job, want := range b.receipts {
		got, delivered := taken[job]
		switch {
		case !delivered:
			s.problem(Lost, "job %d has no receipt", job)
		case got.Status != want.Status:
			s.problem(Wrong, "job %d is %s, undisturbed %s: %s", job, got.Status, want.Status, got.ErrorMessage)
		case b.agrees < nothingAlike:
			for name, figure := range want.Metrics {
				if (name == "rows" || strings.HasPrefix(name, "rows.")) && got.Metrics[name] != figure {
					s.problem(Wrong, "the receipt of job %d says %s: %d, undisturbed %d", job, name, got.Metrics[name], figure)
				}
			}
		}
	}
}

// judgeRows compares every published file with its undisturbed counterpart.
func (s *stage) judgeRows(b *baseline, c *comparer) error {
	found := s.files()
	if b.agrees == nothingAlike || c == nil {
		for _, receipt := range s.received() {
			s.result.RowsFound += receipt.Metrics["rows"]
		}
	}
	for _, file := range found {
		if _, known := b.owners[file]; !known && b.agrees < nothingAlike {
			s.problem(Doubled, "%s is published, and undisturbed is not", file)
		}
	}
	if b.agrees == nothingAlike {
		return nil
	}
	for _, file := range b.files() {
		if !slices.Contains(found, file) {
			s.problem(Lost, "%s is not published", file)
			continue
		}
		if c == nil {
			continue
		}
		diff, err := c.compare(filepath.Join(b.folder, file), filepath.Join(s.output(), file))
		if err != nil {
			return err
		}
		s.result.RowsFound += diff.Found
		s.judgeFile(file, diff, b.agrees)
	}
	return nil
}

func (s *stage) judgeFile(file string, diff difference, agrees agreement) {
	if diff.Problem != "" {
		s.problem(Wrong, "%s: %s", file, diff.Problem)
		return
	}
	if agrees == sameCount {
		if diff.Found != diff.Expected {
			s.problem(Wrong, "%s has %d rows, undisturbed %d", file, diff.Found, diff.Expected)
		}
		return
	}
	if diff.Missing > 0 {
		s.problem(Lost, "%s: %d of %d rows are missing", file, diff.Missing, diff.Expected)
	}
	if diff.Extra > 0 {
		s.problem(Doubled, "%s: %d rows are too many", file, diff.Extra)
	}
	if agrees == sameRows && !diff.Order && diff.Missing+diff.Extra == 0 {
		s.problem(Wrong, "%s: its rows come in another order", file)
	}
}
