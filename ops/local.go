package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/sentinel"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Local runs one plugin on files, without a Sentinel elsewhere: an embedded one
// gives the jobs, over a real socket, to the very same worker. Its journal goes
// with it, unless Config.StateDir says where to keep it.
type Local struct {
	Plugin       string          // path of the plugin's source
	Inputs       []string        // one job each
	Requirements []string        // empty: those in the plugin's script metadata, else pandas
	System       bool            // the machine's own Python instead of a built environment
	Sinks        []protocol.Sink // before those of the plugin's MANIFEST
	Config       Config          // Output, VenvsDir, UV, Concurrency …; Connect and Plugins are set here
	Version      string
	Log          *slog.Logger
	// Progress hears what is going on; it is called from one goroutine at a time.
	Progress func(LocalProgress)
}

// LocalProgress is a step of a local run.
type LocalProgress struct {
	Note   string  // a line about the environment, or empty
	Daemon *Daemon // once the worker runs: its Monitor shows the jobs
}

// LocalResult is how a local run ended.
type LocalResult struct {
	Interpreter string
	Jobs        []LocalJob // in the order of Inputs
}

// LocalJob is the result of one input.
type LocalJob struct {
	Input   string
	Outcome protocol.Conclude
}

// Run runs the plugin on all inputs. It returns once every job has its result; a
// FAILED job is no error of Run.
func (l *Local) Run(ctx context.Context) (result LocalResult, err error) {
	source, err := os.ReadFile(l.Plugin)
	if err != nil {
		return result, fmt.Errorf("read the plugin: %w", err)
	}
	inputs := make([]string, len(l.Inputs))
	for i, input := range l.Inputs {
		if inputs[i], err = filepath.Abs(input); err != nil {
			return result, err
		}
		if _, err := os.Stat(inputs[i]); err != nil {
			return result, fmt.Errorf("input: %w", err)
		}
	}
	config := l.Config
	if config.StateDir == "" {
		if config.StateDir, err = os.MkdirTemp("", "casparian-local-"); err != nil {
			return result, err
		}
		defer os.RemoveAll(config.StateDir)
	}
	server, err := sentinel.Listen(sentinel.Config{Listen: "tcp://127.0.0.1:0", Logger: l.Log})
	if err != nil {
		return result, fmt.Errorf("embedded Sentinel: %w", err)
	}
	serving := false
	defer func() {
		if !serving {
			server.Close()
		}
	}()
	name := PluginName(l.Plugin)
	config.Connect, config.Plugins = List{server.Endpoint()}, List{name}
	config.Reattach = 0 // nobody would go on with its guests
	config.Lanes = 1    // the embedded Sentinel does not wait for one job to give the next
	// The embedded Sentinel listens on this machine and asks for no credentials.
	config.CurveServerKey, config.CurveSecretFile, config.CurveSecret, config.RequireCurve = "", "", "", false
	config.PlainUsername, config.PlainFile, config.PlainPassword = "", "", ""
	if config.WorkerID == "" {
		config.WorkerID = "local"
	}
	if err := config.Check(); err != nil {
		return result, err
	}
	var progressing sync.Mutex
	report := func(p LocalProgress) {
		progressing.Lock()
		defer progressing.Unlock()
		if l.Progress != nil {
			l.Progress(p)
		}
	}
	daemon, err := Open(config, l.Version, l.Log, func(_, line string) { report(LocalProgress{Note: line}) })
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, daemon.Close()) }()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var listening sync.WaitGroup
	defer listening.Wait()
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServer()
	serving = true
	listening.Go(func() {
		if err := server.Run(serverCtx); err != nil {
			cancel(fmt.Errorf("embedded Sentinel: %w", err))
		}
	})
	var working sync.WaitGroup
	working.Go(func() {
		if err := daemon.Run(serverCtx); err != nil {
			cancel(err)
		}
	})
	// The worker goes first, so that it can say goodbye.
	defer working.Wait()
	defer daemon.Halt()

	dispatch := protocol.Dispatch{PluginName: name, SourceCode: string(source), EnvHash: "system"}
	if l.System {
		environment, err := daemon.environments.Lookup(dispatch.EnvHash)
		if err != nil {
			return result, err
		}
		result.Interpreter = environment.Interpreter
	} else {
		requirements := Requirements(l.Requirements, source)
		report(LocalProgress{Note: "resolving " + strings.Join(requirements, ", ")})
		lockfile, err := venv.Lock(ctx, config.UV, requirements, "")
		if err != nil {
			return result, err
		}
		dispatch.EnvHash = venv.HashLockfile(lockfile)
		ready, err := server.Prepare(ctx, protocol.PrepareEnv{EnvHash: dispatch.EnvHash, LockfileContent: lockfile})
		if err != nil {
			return result, cause(ctx, err)
		}
		result.Interpreter = ready.InterpreterPath
		note := "environment built"
		if ready.Cached {
			note = "environment was there already"
		}
		report(LocalProgress{Note: note})
	}
	named, err := ManifestSinks(ctx, result.Interpreter, source)
	if err != nil {
		return result, err
	}
	dispatch.Sinks = Sinks(name, l.Sinks, named)
	report(LocalProgress{Daemon: daemon})
	var tickets []*sentinel.Ticket
	known := uint64(daemon.journal.State().JobCount()) // of earlier runs, when the state is kept
	for i, input := range inputs {
		dispatch.FilePath, dispatch.FileVersionID = input, int64(i+1)
		ticket, err := server.Submit(ctx, known+uint64(i+1), dispatch)
		if err != nil {
			return result, cause(ctx, err)
		}
		tickets = append(tickets, ticket)
	}
	for i, ticket := range tickets {
		outcome, err := ticket.Wait(ctx)
		if err != nil {
			return result, cause(ctx, err)
		}
		result.Jobs = append(result.Jobs, LocalJob{Input: l.Inputs[i], Outcome: outcome})
	}
	return result, nil
}

func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}
