// Command casparian-worker runs a Casparian Flow worker, and looks after its journal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/casparian-flow/casparian-worker/ops"
)

// version is set by the linker.
var version = "dev"

// memoryTarget keeps the garbage collector from letting the heap grow to twice
// its size under load: the worker's live memory is far below it. GOMEMLIMIT
// overrides it.
const memoryTarget = 96 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryTarget)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// exit codes: 0 done, 1 failed, 2 the call was wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "casparian-worker: %v\n", err)
	var usage *usageError
	var option *ops.OptionError
	if errors.As(err, &usage) || errors.As(err, &option) {
		fmt.Fprintln(stderr, "Run 'casparian-worker --help' for the options.")
		return 2
	}
	return 1
}

// usageError is a wrong call.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func rootCommand() *cobra.Command {
	var config ops.Config
	var profile string
	root := &cobra.Command{
		Use:   "casparian-worker --connect tcp://HOST:PORT [flags]",
		Short: "Run plugins for a Casparian Flow Sentinel, and lose nothing when the power goes",
		Long: strings.TrimSpace(`
casparian-worker takes jobs from a Casparian Flow Sentinel, runs each plugin in a
Python environment of its own, and writes what it yields to Parquet. Every step
is in a journal first: kill it at any moment, start it again, and it goes on.

Each flag has a variable, named in brackets; a flag beats its variable.
'casparian-worker config' shows the values in force.`),
		Example: strings.TrimRight(`
  casparian-worker --connect tcp://127.0.0.1:5555 --plugins sales,weather
  casparian-worker local examples/minimal/plugin.py data.csv
  casparian-worker journal inspect --since 1h`, "\n"),
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if _, err := ops.Load(cmd.Flags(), &config); err != nil {
				return err
			}
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
			return daemon(cmd.Context(), config, cmd.ErrOrStderr())
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Flags().SortFlags = false
	root.AddCommand(drillCommand())
	ops.Bind(root.Flags(), &config)
	root.Flags().StringVar(&profile, "profile", "", "folder for CPU and heap profiles of this run")
	_ = root.Flags().MarkHidden("profile") // for those who work on the worker: make profile
	root.AddCommand(localCommand(), journalCommand(), statusCommand(), configCommand(),
		doctorCommand(), keysCommand(), versionCommand())
	return root
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%q is neither a command nor a flag", args[0])}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "casparian-worker", version)
		},
	}
}

func newLogger(config ops.Config, out io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(config.LogLevel)) // checked before
	options := &slog.HandlerOptions{Level: level}
	if config.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
