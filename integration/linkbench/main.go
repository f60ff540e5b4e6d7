// Command linkbench measures how many messages the link carries to a libzmq ROUTER
// and back, beside a pyzmq DEALER in its place. `make bench` runs it. Ratios are of one
// run on one machine.
//
// peer.py is libzmq's side, contestant.go the two that are measured, report.go what is
// said in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"

	"github.com/casparian-flow/casparian-worker/integration/benchreport"
	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "linkbench:", err)
		os.Exit(1)
	}
}

// task is what both contestants do: so many messages of a size, one way.
type task struct {
	Way      string `json:"way"` // "there", from the DEALER to the ROUTER, or "back"
	Messages int    `json:"messages"`
	Size     int    `json:"size"` // bytes
}

// tasks take about a second each. Sealed messages take three times as long, so there
// are a third of them.
func tasks(mechanism string, shrink int) (all []task) {
	fewer := shrink
	if mechanism == "CURVE" {
		fewer *= 3
	}
	for _, way := range []string{"there", "back"} {
		for _, one := range []task{{way, 150_000, 100}, {way, 30_000, 10_000}, {way, 1500, 1_000_000}, {way, 6, 64 << 20}} {
			one.Messages, one.Size = max(one.Messages/fewer, 1), max(one.Size/shrink, 1)
			all = append(all, one)
		}
	}
	return all
}

// result is what one task took both contestants.
type result struct {
	task
	mechanism   string  // "NULL" or "CURVE"
	link, pyzmq float64 // seconds, medians of the repetitions
	ratio       float64 // median of link to pyzmq in each repetition
}

func start(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("linkbench", flag.ContinueOnError)
	python := flags.String("python", "python3", "interpreter with pyzmq")
	source := flags.String("source", "integration/linkbench", "`folder` of this program's source")
	repetitions := flags.Int("repetitions", 7, "times that each task is measured")
	shrink := flags.Int("shrink", 1, "divide the number of messages, and their size, by this")
	document := flags.String("document", "", "Markdown `file` to put the report into; none: print it")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *repetitions < 1 || *shrink < 1 || flags.NArg() > 0 {
		return errors.New("repetitions and shrink begin at 1, and there are no other arguments")
	}
	var results []result
	for _, mechanism := range []string{"NULL", "CURVE"} {
		some, err := measure(ctx, bench{*python, *source, *repetitions, mechanism}, tasks(mechanism, *shrink))
		if err != nil {
			return fmt.Errorf("%s: %w", mechanism, err)
		}
		results = append(results, some...)
	}
	text := report(results, *repetitions)
	return benchreport.Put(*document, "make linkbench", text)
}

// bench is how tasks are measured.
type bench struct {
	python, source string
	repetitions    int
	mechanism      string
}

// measure lets both contestants do every task, once unmeasured. Who is first changes,
// since the router may be at work still on what the first one left.
func measure(ctx context.Context, b bench, all []task) (results []result, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var keys *keys
	if b.mechanism == "CURVE" {
		if keys, err = newKeys(); err != nil {
			return nil, err
		}
	}
	router, endpoint, err := startRouter(ctx, b, keys)
	if err != nil {
		return nil, err
	}
	defer router.end()
	pyzmq, err := startDealer(ctx, b, keys, endpoint)
	if err != nil {
		return nil, err
	}
	defer pyzmq.end()
	own, err := startLink(ctx, keys, endpoint)
	if err != nil {
		return nil, err
	}
	defer own.end()

	contestants := []struct {
		name string
		do   func(context.Context, task) (float64, error)
	}{{"link", own.do}, {"pyzmq", pyzmq.do}}
	for _, one := range all {
		var seconds [2][]float64
		var ratios []float64
		for repetition := range b.repetitions + 1 {
			var took [2]float64
			for turn := range contestants {
				i := (repetition + turn) % 2
				if took[i], err = contestants[i].do(ctx, one); err != nil {
					return nil, fmt.Errorf("%s: %w", contestants[i].name, err)
				}
			}
			if repetition == 0 {
				continue
			}
			for i := range seconds {
				seconds[i] = append(seconds[i], took[i])
			}
			ratios = append(ratios, took[0]/took[1])
		}
		results = append(results, result{one, b.mechanism, median(seconds[0]), median(seconds[1]), median(ratios)})
	}
	return results, nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// keys are those of both ends.
type keys struct{ server, client curve.Pair }

func newKeys() (*keys, error) {
	server, err := curve.Generate()
	if err != nil {
		return nil, err
	}
	client, err := curve.Generate()
	return &keys{server, client}, err
}
