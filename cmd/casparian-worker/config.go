package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
)

func configCommand() *cobra.Command {
	var config ops.Config
	command := &cobra.Command{
		Use: "config", Short: "Show the options in force and where each comes from", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := ops.Load(cmd.Flags(), &config)
			if err != nil {
				return err
			}
			if err := config.Resolve(); err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, o := range options {
				fmt.Fprintf(table, "%s\t%s\t%s\n", cmp.Or(o.Flag, o.Variable), cmp.Or(config.Value(o.Variable), "-"), o.Origin)
			}
			if err := table.Flush(); err != nil {
				return err
			}
			if len(config.Connect) == 0 {
				config.Connect = ops.List{"tcp://127.0.0.1:5555"} // not given is not wrong here
			}
			return config.Check()
		},
	}
	command.Flags().SortFlags = false
	ops.Bind(command.Flags(), &config)
	return command
}

func statusCommand() *cobra.Command {
	var config ops.Config
	var asJSON bool
	command := &cobra.Command{
		Use: "status", Short: "Ask the running worker how it is", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := stateDir(cmd, &config)
			if err != nil {
				return err
			}
			status, err := ops.AskStatus(cmd.Context(), dir)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				encoder := json.NewEncoder(out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(status)
			}
			table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			row := func(name string, value any) { fmt.Fprintf(table, "%s\t%v\n", name, value) }
			row("worker", fmt.Sprintf("%s (pid %d, up %s)", status.WorkerID, status.PID, time.Since(status.Since).Round(time.Second)))
			row("sentinel", status.Connect)
			for _, lane := range status.Lanes {
				row("lane "+lane.Identity, lane)
			}
			row("jobs", fmt.Sprintf("%d running, %d queued, %d concluded since start (%d failed)",
				len(status.Running), status.Queued, status.Concluded, status.Failed))
			for _, warm := range status.Warm {
				row("warm guests", warm)
			}
			row("receipts", fmt.Sprintf("%d not confirmed, %d given up as undelivered", status.Owed, status.Undelivered))
			if status.Paused != "" {
				row("PAUSED", status.Paused)
			}
			if status.Held != "" {
				row("NO JOB STARTS", status.Held)
			}
			for _, job := range status.Running {
				outlived := ""
				if job.Reattached > 0 {
					outlived = fmt.Sprintf(", its guest outlived %d workers", job.Reattached)
				}
				row(fmt.Sprintf("job %d", job.Job), fmt.Sprintf("%s: %d rows, %s%s", job.Plugin, job.Rows, ops.Bytes(job.Bytes), outlived))
			}
			return table.Flush()
		},
	}
	ops.Bind(command.Flags(), &config, "state-dir")
	command.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return command
}
