package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/casparian-flow/casparian-worker/ops"
)

// slices of a long run that are compared.
const manyParts = 10

// manyPart is one part of a run of many jobs, and what the worker has at its end.
type manyPart struct {
	outcome
	census
	goroutines int
	journal    int64 // bytes of the journal's file
}

// manyJobs runs so many small jobs, one at a time, and compares the parts of the
// run: nothing but the journal may grow.
func manyJobs(ctx context.Context, o options, count int) (text string, err error) {
	folder, err := os.MkdirTemp("", "workerbench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	s := scenarios[0]
	input, err := s.input(folder)
	if err != nil {
		return "", err
	}
	at, err := begin(ctx, ourWorker(o.worker, o.python, ""), s, input)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, at.stop()) }()
	if _, _, err := at.jobs(ctx, 1); err != nil {
		return "", err
	}
	var parts []manyPart
	for range manyParts {
		var part manyPart
		if part.outcome, err = at.observe(ctx, max(1, count/manyParts)); err != nil {
			return "", err
		}
		status, err := ops.AskStatus(ctx, filepath.Join(at.home, "state"))
		if err != nil {
			return "", err
		}
		part.census, part.goroutines = censusOf(at.pid), status.Goroutines
		info, err := os.Stat(filepath.Join(at.home, "state", "journal.db"))
		if err != nil {
			return "", err
		}
		part.journal = info.Size()
		fmt.Fprintf(os.Stderr, "%d jobs: %.4f s each, %d MB, %d descriptors, %d goroutines, journal %d KB\n", len(parts)+1,
			part.perJob(), part.resident>>20, part.descriptors, part.goroutines, part.journal>>10)
		parts = append(parts, part)
	}
	return manyReport(parts), nil
}

func manyReport(parts []manyPart) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d small jobs, one at a time. What the worker has at the end of each tenth:\n\n", machine(), parts[0].jobs*len(parts))
	b.WriteString("| tenth | ms per job | p50 | p99 | CPU ms per job, whole tree | resident MB | descriptors | threads | goroutines | journal, KB per job so far |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for i, p := range parts {
		fmt.Fprintf(&b, "| %d | %.1f | %.1f | %.1f | %.1f | %.0f | %d | %d | %d | %.2f |\n", i+1, p.perJob()*1e3, p.quantile(0.5)*1e3, p.quantile(0.99)*1e3,
			p.cpu/float64(p.jobs)*1e3, float64(p.resident)/1e6, p.descriptors, p.threads, p.goroutines, float64(p.journal)/1e3/float64((i+1)*p.jobs))
	}
	return b.String()
}
