package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/protocol"
)

func localCommand() *cobra.Command {
	var config ops.Config
	var requirements, sinks []string
	var system, verbose bool
	command := &cobra.Command{
		Use:   "local PLUGIN.py INPUT... [flags]",
		Short: "Run a plugin on files, without a Sentinel",
		Long: strings.TrimSpace(`
Run a plugin on files, without a Sentinel elsewhere: an embedded one gives one job
for each input to the same worker that the daemon is, over a real socket. uv builds
the environment, from --requirements, or from the plugin's own script metadata
(PEP 723), or with pandas.`),
		Example: `  casparian-worker local plugin.py data.csv
  casparian-worker local plugin.py *.csv --output out --requirements polars
  casparian-worker local plugin.py data.csv --sink 'daily=parquet://daily.parquet?compression=zstd'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return &usageError{fmt.Errorf("give a plugin and at least one input: casparian-worker local PLUGIN.py INPUT")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := ops.Load(cmd.Flags(), &config); err != nil {
				return err
			}
			if !cmd.Flags().Changed("output") {
				config.Output = "output"
			}
			if !cmd.Flags().Changed("state-dir") {
				config.StateDir = ""
			}
			if err := config.Resolve(); err != nil {
				return err
			}
			local := &ops.Local{
				Plugin: args[0], Inputs: args[1:], Requirements: requirements, System: system,
				Config: config, Version: version,
			}
			var err error
			if local.Sinks, err = parseSinks(sinks); err != nil {
				return err
			}
			if !verbose && !cmd.Flags().Changed("log-level") {
				config.LogLevel = "error"
			}
			local.Log = newLogger(config, cmd.ErrOrStderr())
			return runLocal(cmd.Context(), local, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	command.Flags().SortFlags = false
	command.Flags().StringSliceVar(&requirements, "requirements", nil, "packages for the environment, as uv writes them: pandas,polars>=1")
	command.Flags().StringArrayVar(&sinks, "sink", nil, "where a topic goes, TOPIC=URI (may be repeated); topic 'output' goes to <plugin>_output.parquet")
	command.Flags().BoolVar(&system, "system", false, "use the machine's own Python and build nothing")
	command.Flags().BoolVar(&verbose, "verbose", false, "show the worker's log")
	ops.Bind(command.Flags(), &config, "output", "state-dir", "venvs-dir", "concurrency", "uv", "python", "build-timeout",
		"guest-shim", "guest-connect-timeout", "guest-silence-timeout", "job-timeout",
		"compression", "row-group-rows", "row-group-bytes", "log-level", "log-format")
	command.Flags().Lookup("output").DefValue = "output"
	state := command.Flags().Lookup("state-dir")
	state.DefValue, state.Usage = "", "folder to keep the journal in; without it the journal goes when the run is over"
	return command
}

// parseSinks reads TOPIC=URI.
func parseSinks(texts []string) ([]protocol.Sink, error) {
	var sinks []protocol.Sink
	for _, s := range texts {
		topic, uri, ok := strings.Cut(s, "=")
		if !ok || topic == "" || uri == "" {
			return nil, &usageError{fmt.Errorf("--sink %q: give TOPIC=URI, for example daily=parquet://daily.parquet", s)}
		}
		sinks = append(sinks, protocol.Sink{Topic: topic, URI: uri, Mode: "append"})
	}
	return sinks, nil
}

func runLocal(ctx context.Context, local *ops.Local, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := newProgressLine(stderr)
	local.Progress = line.hear
	result, err := local.Run(ctx)
	line.end()
	if err != nil {
		return err
	}
	var artifacts []string
	failures := 0
	for _, job := range result.Jobs {
		if job.Outcome.Status != protocol.Success {
			failures++
			fmt.Fprintf(stdout, "%s: %s\n%s\n\n", job.Input, job.Outcome.Status, indent(job.Outcome.ErrorMessage))
			continue
		}
		fmt.Fprintf(stdout, "%s: %s, %d rows in %s\n", job.Input, job.Outcome.Status,
			job.Outcome.Metrics["rows"], time.Duration(job.Outcome.Metrics["duration_ms"])*time.Millisecond)
		for _, a := range job.Outcome.Artifacts {
			artifacts = append(artifacts, a["uri"])
		}
	}
	if len(artifacts) > 0 {
		fmt.Fprintln(stdout)
		if err := ops.Preview(ctx, result.Interpreter, artifacts, stdout); err != nil {
			return err
		}
	}
	if failures > 0 {
		return fmt.Errorf("%d of %d jobs failed", failures, len(result.Jobs))
	}
	return nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
