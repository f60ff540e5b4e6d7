// Command workerbench measures the whole worker, from a Sentinel's DISPATCH to
// its receipt, beside a plain worker in Python (reference.py) and beside the
// floor: the same guests into a host that throws their bytes away. `make
// workerbench` runs it. Compare ratios of one run.
//
// scenario.go has the loads, contestant.go who does them, floor.go what cannot be
// beaten, report.go and chart.go what is said in the end, many.go the long run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/casparian-flow/casparian-worker/integration/benchreport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "workerbench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	worker, python, source string
	profiles               string // folder; with one only the worker takes part
	shrink                 int
}

func start(ctx context.Context, arguments []string) error {
	var o options
	flags := flag.NewFlagSet("workerbench", flag.ContinueOnError)
	flags.StringVar(&o.worker, "worker", "bin/casparian-worker", "the worker's `binary`")
	flags.StringVar(&o.python, "python", "python3", "interpreter with pyzmq, pyarrow and pandas")
	flags.StringVar(&o.source, "source", "integration", "`folder` of reference.py's folder and of testdata")
	flags.IntVar(&o.shrink, "shrink", 1, "divide rows and jobs by this")
	flags.StringVar(&o.profiles, "profiles", "", "only profile the worker, into a `folder` for each load")
	names := flags.String("scenarios", "", "`names` of the loads, a,b,c; none: all")
	long := flags.Bool("long", false, "a stream of 100 million rows, too")
	many := flags.Int("many", 0, "only a run of so many small jobs: does anything grow?")
	document := flags.String("document", "", "Markdown `file` to put the report into; none: print it")
	chart := flags.String("chart", "", "SVG `file` for the chart; none: no chart")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if o.shrink < 1 || *many < 0 || flags.NArg() > 0 {
		return errors.New("shrink begins at 1, many at 0, and there are no other arguments")
	}
	if *many > 0 {
		text, err := manyJobs(ctx, o, *many)
		if err != nil {
			return err
		}
		return benchreport.Put(*document, "make manyjobs", text)
	}
	chosen, err := choose(*names, *long)
	if err != nil {
		return err
	}
	if o.profiles != "" {
		return profile(ctx, o, chosen)
	}
	results, err := run(ctx, o, chosen)
	if err != nil {
		return err
	}
	if *chart != "" {
		if err := os.WriteFile(*chart, []byte(chartOf(results)), 0o644); err != nil {
			return err
		}
	}
	return benchreport.Put(*document, "make workerbench", results.report())
}

func choose(names string, long bool) ([]scenario, error) {
	all := slices.Clone(scenarios)
	if long {
		all = append(all, longScenario)
	}
	if names == "" {
		return all, nil
	}
	var some []scenario
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no load %q", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// result is what everybody needed for one load.
type result struct {
	scenario
	floor, worker outcome
	reference     *outcome // nil: it took no part
}

// results are those of one run.
type results struct {
	all           []result
	fork, imports float64 // seconds: of a bare fork, of importing the packages
}

func run(ctx context.Context, o options, chosen []scenario) (r results, err error) {
	if r.fork, err = forkTime(ctx, o.python, o.source, 50); err != nil {
		return r, err
	}
	if r.imports, err = importTime(ctx, o.python, 3); err != nil {
		return r, err
	}
	folder, err := os.MkdirTemp("", "workerbench-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(folder)
	ours, plain := ourWorker(o.worker, o.python, ""), referenceWorker(o.python, o.source)
	for _, s := range chosen {
		s = s.shrunk(o.shrink)
		input, err := s.input(folder)
		if err != nil {
			return r, err
		}
		one := result{scenario: s}
		if one.floor, err = floor(ctx, o.python, s, input, r.imports); err == nil {
			one.worker, err = measure(ctx, ours, s, input, s.jobs)
		}
		if err == nil && s.slow > 0 {
			one.reference = new(outcome)
			*one.reference, err = measure(ctx, plain, s, input, s.slow)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintln(os.Stderr, one)
		r.all = append(r.all, one)
	}
	return r, nil
}

// profile lets only the worker do the loads, and leaves its profiles.
func profile(ctx context.Context, o options, chosen []scenario) error {
	folder, err := os.MkdirTemp("", "workerbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	ours := ourWorker(o.worker, o.python, o.profiles)
	for _, s := range chosen {
		s = s.shrunk(o.shrink)
		input, err := s.input(folder)
		if err != nil {
			return err
		}
		done, err := measure(ctx, ours, s, input, s.jobs)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-12s %.4f s, cpu %.4f s, %d MB\n", s.name, done.perJob(), done.cpu/float64(done.jobs), done.peak>>20)
	}
	return nil
}

// String is for the person who waits.
func (r result) String() string {
	line := fmt.Sprintf("%-12s floor %.4f s, worker %.4f s (p50 %.4f, p99 %.4f, cpu %.4f, %d MB, %.1f syncs)", r.name, r.floor.perJob(), r.worker.perJob(),
		r.worker.quantile(0.5), r.worker.quantile(0.99), r.worker.cpu/float64(r.worker.jobs), r.worker.peak>>20, r.worker.syncs)
	if r.reference != nil {
		line += fmt.Sprintf(", reference %.4f s (%d MB)", r.reference.perJob(), r.reference.peak>>20)
	}
	return line
}
