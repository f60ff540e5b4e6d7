package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
)

func journalCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "journal", Short: "Look at the journal, check it and repair it", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(inspectCommand(), exportCommand(), verifyCommand(), repairCommand())
	return command
}

// stateDir reads the state folder's option for a command that needs no other.
func stateDir(cmd *cobra.Command, config *ops.Config) (string, error) {
	if _, err := ops.Load(cmd.Flags(), config); err != nil {
		return "", err
	}
	if err := config.Resolve(); err != nil {
		return "", err
	}
	return config.StateDir, nil
}

func inspectCommand() *cobra.Command {
	var config ops.Config
	var in ops.Inspection
	var since string
	command := &cobra.Command{
		Use: "inspect", Short: "Show what happened, job by job", Args: noArguments,
		Long: "Show what happened, job by job. It asks the running worker, or reads the journal when none runs.",
		Example: `  casparian-worker journal inspect
  casparian-worker journal inspect --job 42
  casparian-worker journal inspect --since 2h --json | jq .
  casparian-worker journal inspect --follow`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if in.StateDir, err = stateDir(cmd, &config); err != nil {
				return err
			}
			if in.Since, err = ops.ParseSince(since, time.Now()); err != nil {
				return &usageError{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return ops.Inspect(ctx, in, cmd.OutOrStdout())
		},
	}
	ops.Bind(command.Flags(), &config, "state-dir")
	command.Flags().Uint64Var(&in.Job, "job", 0, "only this job")
	command.Flags().BoolVar(&in.JSON, "json", false, "the records as they are stored, one JSON object a line")
	command.Flags().StringVar(&since, "since", "", "only what happened since: a span (2h) or a time (2026-01-31T08:00:00)")
	command.Flags().BoolVar(&in.Follow, "follow", false, "stay, and show what the running worker appends")
	command.Flags().IntVar(&in.Jobs, "jobs", 100, "at most so many jobs, the latest; 0: all")
	return command
}

func exportCommand() *cobra.Command {
	var config ops.Config
	var in ops.Inspection
	var since, format, output string
	command := &cobra.Command{
		Use: "export --output FILE", Short: "Write the events to a file, for an audit", Args: noArguments,
		Long: "Write the events to a file: as Parquet, one row for each, or as JSON lines, as they are stored. " +
			"It asks the running worker, or reads the journal when none runs.",
		Example: `  casparian-worker journal export --output events.parquet
  duckdb -c "select kind, count(*) from 'events.parquet' group by kind"
  casparian-worker journal export --format jsonl --since 2026-01-01 --output events.jsonl`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if output == "" {
				return &usageError{errors.New("--output FILE is missing")}
			}
			if format != ops.ExportParquet && format != ops.ExportLines {
				return &usageError{fmt.Errorf("--format %q: give %s or %s", format, ops.ExportParquet, ops.ExportLines)}
			}
			if in.StateDir, err = stateDir(cmd, &config); err != nil {
				return err
			}
			if in.Since, err = ops.ParseSince(since, time.Now()); err != nil {
				return &usageError{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			events, err := ops.Export(ctx, in, format, output)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d events in %s\n", events, output)
			return nil
		},
	}
	ops.Bind(command.Flags(), &config, "state-dir")
	command.Flags().StringVar(&output, "output", "", "the file to write")
	command.Flags().StringVar(&format, "format", ops.ExportParquet, "parquet or jsonl")
	command.Flags().Uint64Var(&in.Job, "job", 0, "only this job")
	command.Flags().StringVar(&since, "since", "", "only what happened since: a span (2h) or a time (2026-01-31T08:00:00)")
	return command
}

func verifyCommand() *cobra.Command {
	var config ops.Config
	command := &cobra.Command{
		Use: "verify", Short: "Check the hash chain and fold every record", Args: noArguments,
		Long: "Check the hash chain, every record and every stored source and lockfile. " +
			"It exits with 1 and names the first bad record when something is wrong.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := stateDir(cmd, &config)
			if err != nil {
				return err
			}
			report, err := ops.Verify(cmd.Context(), dir)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), report)
			return nil
		},
	}
	ops.Bind(command.Flags(), &config, "state-dir")
	return command
}

func repairCommand() *cobra.Command {
	var config ops.Config
	command := &cobra.Command{
		Use: "repair", Short: "Bring a damaged journal to its last good state", Args: noArguments,
		Long: "Bring a damaged journal to its last good state: every record in front of the first bad one is kept, " +
			"the damaged file is set aside (never deleted), and the jobs that are touched are named. No worker may be running.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := stateDir(cmd, &config)
			if err != nil {
				return err
			}
			report, err := ops.Repair(cmd.Context(), dir)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), report)
			return nil
		},
	}
	ops.Bind(command.Flags(), &config, "state-dir")
	return command
}
