package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
)

func doctorCommand() *cobra.Command {
	var config ops.Config
	command := &cobra.Command{
		Use: "doctor", Short: "Check this installation before it goes live", Args: noArguments,
		Long: "Check the options, the folders and their room, uv and Python, the security and whether the " +
			"Sentinel answers. It changes nothing and may be run beside a worker. It exits with 1 when something FAILED.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := ops.Load(cmd.Flags(), &config); err != nil {
				return err
			}
			if err := config.Resolve(); err != nil {
				return err
			}
			healthy := ops.Examine(cmd.Context(), config, func(f ops.Finding) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-8s %-14s %s\n", f.Verdict, f.What, f.Detail)
			})
			if !healthy {
				return errors.New("something is not as it must be: see FAILED above")
			}
			return nil
		},
	}
	command.Flags().SortFlags = false
	ops.Bind(command.Flags(), &config)
	return command
}
