package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/ops/drill"
)

func drillCommand() *cobra.Command {
	var config ops.Config
	var plugin drill.Plugin
	var sinks, at []string
	var broken string
	var asJSON, points bool
	d := drill.Drill{Parallel: runtime.NumCPU()}
	command := &cobra.Command{
		Use:   "drill [flags]",
		Short: "Kill workers at every step, start them again, and look for what is lost",
		Long: strings.TrimSpace(`
Rehearse crashes. Real worker processes, with an embedded Sentinel, are killed at
named points or at random moments and started again; what they publish is held
against an undisturbed run of the same load. The exit status is 1 when a job, a
receipt or a row is lost or doubled, or anything is left over.

The loads are the drill's own, which need a Python with pyarrow (--python), or a
plugin of yours on your own data (--plugin, --input). Everything happens in a
temporary folder.

Without --every-transition and --kills each point is hit once.`),
		Example: `  casparian-worker drill
  casparian-worker drill --every-transition --kills 500 --seed 7
  casparian-worker drill --plugin plugin.py --input data.csv --requirements pandas
  casparian-worker drill --load single --at sink.publish.after#1`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if points {
				return listPoints(cmd.OutOrStdout())
			}
			if d.Config, err = drillConfig(cmd, &config); err != nil {
				return err
			}
			if d.Worker, err = os.Executable(); err != nil {
				return err
			}
			if !cmd.Flags().Changed("seed") {
				d.Seed = rand.Uint64N(1 << 32)
			}
			for _, text := range at {
				kill, err := drill.ParseKill(text)
				if err != nil {
					return &usageError{err}
				}
				d.At = append(d.At, kill)
			}
			if plugin.Sinks, err = parseSinks(sinks); err != nil {
				return err
			}
			switch {
			case plugin.Path != "" && len(plugin.Inputs) == 0, plugin.Path == "" && len(plugin.Inputs) > 0:
				return &usageError{fmt.Errorf("--plugin and --input go together")}
			case plugin.Path != "" && len(d.Loads) > 0:
				return &usageError{fmt.Errorf("--load names the drill's own loads; with --plugin there are none")}
			case plugin.Path != "":
				d.Plugin = &plugin
			}
			if d.Break = crashpoint.Mutation(broken); d.Break != "" && !(crashpoint.Breakable && slices.Contains(crashpoint.Mutations, d.Break)) {
				return &usageError{fmt.Errorf("this build cannot break %q", d.Break)}
			}
			return runDrill(cmd.Context(), &d, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&d.EveryTransition, "every-transition", false, "kill at every passing of every point, and at each point 5 times at least")
	flags.IntVar(&d.Passings, "passings", 0, "with --every-transition: at most so many passings of a point in one load, drawn by the seed; 0: all, but few where a load has several jobs")
	flags.IntVar(&d.Kills, "kills", 0, "so many kills at random moments")
	flags.Uint64Var(&d.Seed, "seed", 0, "draws passings and moments; without it one is drawn, and printed")
	flags.StringArrayVar(&at, "at", nil, "kill at this point only, POINT or POINT#PASSING; given again: in the process after that")
	flags.StringSliceVar(&d.Loads, "load", nil, "only these of the drill's own loads: "+strings.Join(drill.LoadNames, ", "))
	flags.StringVar(&plugin.Path, "plugin", "", "drill this plugin instead")
	flags.StringArrayVar(&plugin.Inputs, "input", nil, "an input file of the plugin, one job each (may be repeated)")
	flags.StringSliceVar(&plugin.Requirements, "requirements", nil, "packages for the plugin's environment, as uv writes them: pandas,polars>=1")
	flags.BoolVar(&plugin.System, "system", false, "run the plugin in the machine's own Python and build nothing")
	flags.StringArrayVar(&sinks, "sink", nil, "where a topic goes, TOPIC=URI (may be repeated); topic 'output' goes to <plugin>_output.parquet")
	flags.IntVar(&d.Parallel, "parallel", d.Parallel, "rounds at once")
	flags.BoolVar(&d.Keep, "keep", false, "keep what the rounds wrote, also when all is well")
	flags.BoolVar(&asJSON, "json", false, "the report as JSON")
	flags.BoolVar(&points, "points", false, "list the points, and do nothing else")
	flags.StringVar(&broken, "break", "", "break a guarantee, in a build with the tag 'mutation'")
	_ = flags.MarkHidden("break")
	ops.Bind(flags, &config, "venvs-dir", "concurrency", "lanes", "uv", "python", "build-timeout", "warm-guests",
		"guest-shim", "guest-connect-timeout", "guest-silence-timeout", "reattach", "job-timeout",
		"compression", "row-group-rows", "row-group-bytes")
	return command
}

func drillConfig(cmd *cobra.Command, config *ops.Config) (ops.Config, error) {
	if _, err := ops.Load(cmd.Flags(), config); err != nil {
		return *config, err
	}
	err := config.Resolve()
	return *config, err
}

func listPoints(out io.Writer) error {
	for _, d := range crashpoint.All {
		if _, err := fmt.Fprintf(out, "%-22s %s\n", d.Point, d.When); err != nil {
			return err
		}
	}
	return nil
}

func runDrill(ctx context.Context, d *drill.Drill, asJSON bool, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := newProgressLine(stderr)
	line.sparing = true
	d.Progress = line.show
	line.show(fmt.Sprintf("seed %d", d.Seed), true)
	report, err := d.Run(ctx)
	line.end()
	if err != nil {
		return err
	}
	if asJSON {
		err = report.WriteJSON(stdout)
	} else {
		report.WriteText(stdout)
	}
	if err == nil && report.Failed() {
		err = fmt.Errorf("the drill failed")
	}
	return err
}
