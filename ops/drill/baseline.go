package drill

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// agreement is how much two undisturbed runs of a load have in common, which is all
// that a disturbed one can be held to.
type agreement int

const (
	sameRows     agreement = iota // the same rows in the same order
	sameSet                       // the same rows, in another order
	sameCount                     // as many rows, with other values
	nothingAlike                  // not even as many rows
)

func (a agreement) String() string {
	switch a {
	case sameRows:
		return "deterministic: compared value by value, in order"
	case sameSet:
		return "NOT DETERMINISTIC in its order: two undisturbed runs give the same rows in another order; compared value by value, without order"
	case sameCount:
		return "NOT DETERMINISTIC: two undisturbed runs give other values; only row counts are compared"
	}
	return "NOT DETERMINISTIC: two undisturbed runs differ in their number of rows; rows are not compared"
}

// baseline is what a load gives when nobody disturbs it.
type baseline struct {
	folder   string            // its output
	owners   map[string]uint64 // published file, relative to folder → job
	receipts map[uint64]protocol.Conclude
	passed   passings
	took     time.Duration // from the first process's start to the last receipt
	agrees   agreement
	rows     int64
}

// jobOf is the job that publishes a file.
func (b *baseline) jobOf(file string) (uint64, bool) {
	if b == nil {
		return 0, false
	}
	job, known := b.owners[file]
	return job, known
}

// files that the load publishes, in order.
func (b *baseline) files() []string {
	files := make([]string, 0, len(b.owners))
	for file := range b.owners {
		files = append(files, file)
	}
	slices.Sort(files)
	return files
}

// undisturbed runs a load twice in peace: once to know what is right, and once to
// know whether the plugin gives the same twice.
func (d *Drill) undisturbed(ctx context.Context, load *Load) (*baseline, error) {
	var first *baseline
	for n := range 2 {
		s, err := d.play(ctx, round{number: d.next(), load: load}, d.patience(nil))
		if err != nil {
			return nil, err
		}
		if first == nil {
			if first, err = d.firstRun(s); err != nil {
				return nil, err
			}
		} else if first.agrees, err = d.compareRuns(first, s); err != nil {
			return nil, err
		}
		s.cleanliness()
		if len(s.result.Problems) > 0 {
			return nil, fmt.Errorf("load %s fails without any kill (run %d): %s", load.Name, n+1, s.result.Problems[0].Text)
		}
		first.took = max(first.took, s.result.Took)
		if n == 0 {
			first.folder = filepath.Join(d.folder, "expected-"+load.Name)
			if err := os.Rename(s.output(), first.folder); err != nil {
				return nil, err
			}
		}
		if err := d.discard(s); err != nil {
			return nil, err
		}
	}
	return first, nil
}

func (d *Drill) firstRun(s *stage) (*baseline, error) {
	b := &baseline{
		owners: map[string]uint64{}, receipts: s.received(), passed: passings{},
		agrees: sameCount, // where there is nothing to compare with
	}
	if len(s.traces) > 0 {
		b.passed = s.traces[0].count()
	}
	for job, receipt := range b.receipts {
		if receipt.Status != protocol.Success {
			return nil, fmt.Errorf("load %s: job %d fails without any kill: %s", s.round.load.Name, job, receipt.ErrorMessage)
		}
		b.rows += receipt.Metrics["rows"]
		for _, artifact := range receipt.Artifacts {
			file, err := s.published(artifact["uri"])
			if err != nil {
				return nil, err
			}
			b.owners[file] = job
		}
	}
	return b, nil
}

// published is the file that an artifact names, relative to the output.
func (s *stage) published(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "parquet" {
		return "", fmt.Errorf("artifact %q: it is not a file of this worker", uri)
	}
	file, err := filepath.Rel(s.output(), filepath.FromSlash(u.Path))
	if err != nil || strings.HasPrefix(file, "..") {
		return "", fmt.Errorf("artifact %q is not below the output %s", uri, s.output())
	}
	return file, nil
}

// compareRuns tells how a second undisturbed run differs from the first.
func (d *Drill) compareRuns(b *baseline, s *stage) (agreement, error) {
	if !slices.Equal(b.files(), s.files()) {
		return nothingAlike, nil
	}
	agrees := sameRows
	if d.noArrow != nil {
		agrees = sameCount
	}
	for job, receipt := range s.received() {
		if receipt.Metrics["rows"] != b.receipts[job].Metrics["rows"] {
			agrees = nothingAlike
		}
	}
	if d.noArrow != nil {
		return agrees, nil
	}
	c, err := newComparer(d.interpreter)
	if err != nil {
		return agrees, err
	}
	defer c.close()
	for _, file := range b.files() {
		diff, err := c.compare(filepath.Join(b.folder, file), filepath.Join(s.output(), file))
		if err != nil {
			return agrees, err
		}
		switch {
		case diff.Problem != "" || diff.Expected != diff.Found:
			agrees = max(agrees, nothingAlike)
		case diff.Missing+diff.Extra > 0:
			agrees = max(agrees, sameCount)
		case !diff.Order:
			agrees = max(agrees, sameSet)
		}
	}
	return agrees, nil
}

// patience bounds a worker process's time: the load's own and much more, since the
// machine may be busy.
func (d *Drill) patience(b *baseline) time.Duration {
	if b == nil {
		return 24 * time.Hour // a plugin's own data may take that long
	}
	return 2*time.Minute + 10*b.took
}
