// Command encoderbench measures the row-group encoder beside other Parquet
// writers: arrow-go's pqarrow, pyarrow, and Rust's ArrowWriter. `make bench`
// runs it. Ratios are of one run on one machine; seconds of two machines say
// nothing about the encoders.
//
// tables.go has the data, contestant.go what a contestant is, run.go who
// encodes when, report.go what is said in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/casparian-flow/casparian-worker/integration/benchreport"
)

// contestCommand makes this program a contestant:
//
//	encoderbench contest NAME TABLE.arrow CODEC OPTION
const contestCommand = "contest"

var executableSuffix = map[string]string{"windows": ".exe"}[runtime.GOOS]

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "encoderbench:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, arguments []string) error {
	if len(arguments) == 5 && arguments[0] == contestCommand {
		return contest(arguments[1], arguments[2], arguments[3], arguments[4], os.Stdin, os.Stdout)
	}
	flags := flag.NewFlagSet("encoderbench", flag.ContinueOnError)
	python := flags.String("python", "python3", "interpreter with pyarrow")
	source := flags.String("source", "integration/encoderbench", "`folder` of this program's source")
	build := flags.String("build", "bin/encoderbench", "`folder` for what cargo builds")
	rust := flags.Bool("rust", true, "let Rust's writer take part, if there is a cargo")
	turns := flags.Int("turns", 5, "`turns` of each contestant, table and codec; three encodings of a turn are measured")
	shrink := flags.Int("shrink", 1, "divide the rows of all tables by this")
	names := flags.String("tables", "", "`names` of the tables to encode, a,b,c; none: all")
	document := flags.String("document", "", "Markdown `file` to put the report into; none: print it")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *turns < 1 || *shrink < 1 || *shrink > 1000 || flags.NArg() > 0 {
		return errors.New("turns and shrink begin at 1, shrink ends at 1000, and there are no other arguments")
	}
	all, err := chosen(tables(*shrink), *names)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	p := programs{self: self, python: *python, source: *source}
	if *rust {
		folder, err := filepath.Abs(*build)
		if err != nil {
			return err
		}
		if p.rust, err = buildRust(ctx, *source, folder); err != nil {
			return err
		}
		if p.rust == "" {
			fmt.Fprintln(os.Stderr, "encoderbench: there is no cargo: Rust's writer takes no part")
		}
	}
	folder, err := os.MkdirTemp("", "encoderbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	heats, err := run(ctx, p, all, *turns, folder, os.Stderr)
	if err != nil {
		return err
	}
	text := report(all, heats, p.contestants(), *turns)
	return benchreport.Put(*document, "make bench", text)
}

// chosen are the tables of these names.
func chosen(all []table, names string) ([]table, error) {
	if names == "" {
		return all, nil
	}
	var some []table
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(t table) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no table %q", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}
