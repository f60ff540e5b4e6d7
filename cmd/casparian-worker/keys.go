package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
)

func keysCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "keys", Short: "Make keys for an encrypted link", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(&cobra.Command{
		Use: "generate FILE", Short: "Make a pair of CURVE keys, in FILE and FILE.pub",
		Long: "Make a pair of CURVE keys in libzmq's form, Z85: the secret one in FILE, which only its owner " +
			"may read, and the public one in FILE.pub, for the other side. It never writes over a file.",
		Example: "  casparian-worker keys generate /etc/casparian/worker.key",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("give one file: casparian-worker keys generate FILE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := ops.GenerateKeys(args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "secret key  %s (give it to this worker: --curve-secret-key-file)\n", args[0])
			fmt.Fprintf(out, "public key  %s.pub (give it to the Sentinel)\n", args[0])
			fmt.Fprintln(out, public)
			return nil
		},
	})
	return command
}
