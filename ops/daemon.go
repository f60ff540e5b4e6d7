package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/actors"
	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/protocol/link"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/parquet"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Daemon is a worker with everything it owns on this machine.
type Daemon struct {
	ID      string
	Monitor *actors.Monitor

	config       Config
	worker       *actors.Worker
	sentinel     *actors.Sentinel
	environments *venv.Store
	journal      *journal.Journal
	host         *bridge.Host
	syncs        atomic.Uint64 // of sinks: see countSync
	control      *Control
	started      time.Time
}

// Open takes over the state folder and builds the worker. Nothing is dialled and
// no job runs before Run. progress gets uv's output lines and may be nil.
func Open(config Config, version string, log *slog.Logger, progress func(env, line string)) (*Daemon, error) {
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return nil, &OptionError{"state-dir", config.StateDir, "cannot be made: " + err.Error()}
	}
	for flag, dir := range map[string]string{"output": config.Output, "venvs-dir": config.VenvsDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, &OptionError{flag, dir, "cannot be made: " + err.Error()}
		}
	}
	d := &Daemon{config: config, Monitor: actors.NewMonitor(), started: time.Now()}
	if err := d.open(version, log, progress); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Daemon) open(version string, log *slog.Logger, progress func(env, line string)) (err error) {
	config := d.config
	kept, err := keptIdentity(config.StateDir)
	if err != nil {
		return err
	}
	d.journal, err = journal.Open(config.StateDir, journal.Options{Logger: log, Owner: journal.Owner{WorkerID: cmp.Or(config.WorkerID, kept)}})
	if err != nil {
		return err
	}
	// From here on nobody else uses the state folder.
	if d.ID, err = Identity(config.StateDir, config.WorkerID); err != nil {
		return err
	}
	if d.host, err = bridge.NewHost(bridge.Options{
		Dir: filepath.Join(config.StateDir, "guests"), Shim: config.GuestShim, Logger: log, Patience: time.Duration(config.Reattach),
		Warm: bridge.Warm{Interpreters: int(config.WarmGuests), Learn: bool(config.LearnImports)},
		Limits: bridge.Limits{
			Connect: time.Duration(config.ConnectLimit), Silence: orNone(config.SilenceLimit),
			Total: time.Duration(config.JobLimit), Frame: int64(config.FrameLimit),
		},
	}); err != nil {
		return err
	}
	if d.environments, err = OpenEnvironments(config, d.ID, progress); err != nil {
		return err
	}
	swept, err := d.environments.Sweep()
	if err != nil {
		return fmt.Errorf("remove half-built environments: %w", err)
	}
	for _, env := range swept {
		log.Info("half-built environment removed", "env", env)
	}
	files, err := parquet.New(parquet.Config{
		Root: config.Output, Compression: config.Compression,
		RowGroupRows: config.RowGroupRows, RowGroupBytes: int64(config.RowGroupBytes), WorkerVersion: version,
		Disk: d.countSync,
	})
	if err != nil {
		return err
	}
	sinks := sink.NewRegistry()
	sinks.Register(parquet.Scheme, files)

	curve, plain, err := config.credentials()
	if err != nil {
		return err
	}
	before := d.journal.State()
	started := []journal.Event{journal.WorkerStarted{WorkerID: d.ID, Version: version, PID: os.Getpid()}}
	lanes, news := planLanes(config, before, log)
	started = append(started, news...)
	var links []link.Config
	for lane := range lanes {
		identity := laneIdentity(d.ID, lane)
		links = append(links, link.Config{
			Endpoint: config.Connect[0], Fallback: config.Connect[1:], Identity: identity,
			Curve: curve, Plain: plain, MaxMessage: int64(config.MaxMessage),
			HeartbeatInterval: time.Duration(config.Heartbeat), Logger: log.With("lane", identity),
			Echo: true, // tells a DISPATCH that crosses a receipt from one that asks again
			// No connection number is used twice under one journal: ReceiptSent names one.
			FirstConnection: (before.Starts+1)<<32 + uint64(lane)<<24 + 1,
			Suspect:         before.Starts > 0 && !before.Stopped && lane < max(before.Lanes, 1),
		})
	}
	d.sentinel, err = actors.NewSentinel(actors.SentinelConfig{
		Links: links, Plugins: config.Plugins, Heartbeat: time.Duration(config.Heartbeat), Logger: log,
	})
	if err != nil {
		return &OptionError{"connect", config.Connect.String(), err.Error()}
	}
	builder := actors.NewEnvironments(d.environments, d.host, d.journal, log)
	runner := actors.NewRunner(d.host, d.environments, d.journal, config.Concurrency)
	writer := actors.NewWriter(sinks, d.journal, config.Concurrency, time.Duration(config.CheckpointEvery), log)
	d.worker = &actors.Worker{
		Journal: d.journal, Source: d.sentinel, Environments: builder, Runner: runner, Writer: writer,
		Coordinator: actors.NewCoordinator(d.sentinel, builder, runner, writer, d.journal, d.Monitor, actors.CoordinatorConfig{
			Concurrency: config.Concurrency, Reattach: config.Reattach > 0, MemoryLimit: int64(config.MemoryLimit), MaxCrashes: uint32(config.MaxCrashes),
			ArtifactCheck: actors.ArtifactCheck(config.ArtifactCheck),
			DrainTimeout:  time.Duration(config.DrainTimeout), ReceiptTimeout: time.Duration(config.ReceiptLimit), Logger: log,
		}),
		Retention: actors.NewRetention(d.journal, journal.Retention{For: time.Duration(config.JournalKeep), Bytes: int64(config.JournalMax)}, log),
		Started:   started,
	}
	if d.control, err = ListenControl(config.StateDir, d); err != nil {
		return err
	}
	if err := d.warmUp(); err != nil {
		log.Warn("the environments used last are not warmed up", "error", err)
	}
	return nil
}

// countSync counts what the sinks sync, for the status.
func (d *Daemon) countSync(call disk.Call) error {
	if call.Op == disk.Sync || call.Op == disk.SyncFolder {
		d.syncs.Add(1)
	}
	return nil
}

// OpenEnvironments opens the folder of environments for an owner; only what was built
// under that name is ever evicted. progress gets uv's output lines and may be nil.
func OpenEnvironments(config Config, owner string, progress func(env, line string)) (*venv.Store, error) {
	return venv.Open(venv.Config{
		Owner: owner, Dir: config.VenvsDir, UV: config.UV, SystemPython: config.Python,
		MaxBytes: int64(config.VenvsMax), BuildTimeout: time.Duration(config.BuildLimit), Progress: progress,
	})
}

// orNone turns our 0, no limit, into the bridge's.
func orNone(limit Period) time.Duration {
	if limit == 0 {
		return -1
	}
	return time.Duration(limit)
}

// Run serves until Drain or Halt has done its work (nil), ctx ends (nil), or the
// worker cannot go on.
func (d *Daemon) Run(ctx context.Context) error { return d.worker.Run(ctx) }

// Drain asks for an end in good order, Halt for one at once.
func (d *Daemon) Drain() { d.worker.Coordinator.Drain() }
func (d *Daemon) Halt()  { d.worker.Coordinator.Halt() }

// Close lets go of everything that Open took. It is called after Run has returned.
func (d *Daemon) Close() error {
	var errs []error
	if d.control != nil {
		errs = append(errs, d.control.Close())
	}
	if d.host != nil {
		errs = append(errs, d.host.Close())
	}
	if d.journal != nil {
		errs = append(errs, d.journal.Close())
	}
	return errors.Join(errs...)
}
