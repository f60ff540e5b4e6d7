package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// daemon runs the worker until it is told to stop.
func daemon(ctx context.Context, config ops.Config, stderr io.Writer) (err error) {
	if err := errors.Join(crashpoint.Arm(), config.Resolve()); err != nil {
		return err
	}
	if err := config.Check(); err != nil {
		return err
	}
	log := newLogger(config, stderr)
	worker, err := ops.Open(config, version, log, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.Close()) }()
	log.Info("casparian-worker", "version", version, "id", worker.ID, "connect", config.Connect.String(),
		"plugins", config.Plugins.String(), "concurrency", config.Concurrency, "lanes", config.Lanes, "output", config.Output, "state", config.StateDir)
	if exposed := config.Exposed(); exposed != "" {
		log.Warn(exposed)
	}
	if len(config.Plugins) == 0 {
		log.Warn("no plugins are listed, so the Sentinel will give this worker no job: " +
			"name them with --plugins or CASPARIAN_PLUGINS")
	}
	stop := onSignals(log, worker.Drain, worker.Halt)
	defer stop()
	if err := worker.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// onSignals drains at the first SIGTERM or SIGINT and halts at the second.
func onSignals(log *slog.Logger, drain, halt func()) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	done := make(chan struct{})
	go func() {
		steps := []struct {
			word string
			do   func()
		}{{"draining, a second one stops at once", drain}, {"stopping at once", halt}}
		for {
			select {
			case s := <-signals:
				log.Info(s.String()+" received: "+steps[0].word, "signal", s.String())
				steps[0].do()
				steps = steps[len(steps)-1:]
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}
