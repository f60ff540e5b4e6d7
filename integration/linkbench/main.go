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

// tasks take about a second each, or a few with CURVE.
func tasks(shrink int) (all []task) {
	for _, way := range []string{"there", "back"} {
		for _, one := range []task{{way, 100_000, 100}, {way, 30_000, 10_000}, {way, 500, 1_000_000}, {way, 5, 64 << 20}} {
			one.Messages, one.Size = max(one.Messages/shrink, 1), max(one.Size/shrink, 1)
			all = append(all, one)
		}
	}
	return all
}

// result is what one task took both contestants, in seconds, median of the repetitions.
type result struct {
	task
	mechanism   string // "NULL" or "CURVE"
	link, pyzmq float64
}

func start(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("linkbench", flag.ContinueOnError)
	python := flags.String("python", "python3", "interpreter with pyzmq")
	source := flags.String("source", "integration/linkbench", "`folder` of this program's source")
	repetitions := flags.Int("repetitions", 5, "times that each task is measured")
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
		some, err := measure(ctx, bench{*python, *source, *repetitions, mechanism}, tasks(*shrink))
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

// measure lets both contestants do every task, in turns, once unmeasured.
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

	for _, one := range all {
		var ofLink, ofPyzmq []float64
		for repetition := range b.repetitions + 1 {
			l, err := own.do(ctx, one)
			if err != nil {
				return nil, fmt.Errorf("link: %w", err)
			}
			p, err := pyzmq.do(one)
			if err != nil {
				return nil, fmt.Errorf("pyzmq: %w", err)
			}
			if repetition > 0 {
				ofLink, ofPyzmq = append(ofLink, l), append(ofPyzmq, p)
			}
		}
		results = append(results, result{one, b.mechanism, median(ofLink), median(ofPyzmq)})
	}
	return results, nil
}

func median(seconds []float64) float64 {
	slices.Sort(seconds)
	return seconds[len(seconds)/2]
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
