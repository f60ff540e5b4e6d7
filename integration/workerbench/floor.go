package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
)

// floor runs a scenario's guests into a host that throws their bytes away: no
// Sentinel, no journal, no Parquet. No worker with these guests can be faster.
//
// The floor of a first job is that of a later one, and what importing the
// packages takes.
func floor(ctx context.Context, python string, s scenario, input string, imports float64) (o outcome, err error) {
	folder, err := os.MkdirTemp("", "workerbench-")
	if err != nil {
		return o, err
	}
	defer os.RemoveAll(folder)
	host, err := bridge.NewHost(bridge.Options{Dir: filepath.Join(folder, "guests"), Limits: bridge.Limits{Connect: time.Minute}, Warm: bridge.Warm{Interpreters: 1}})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	var closing sync.WaitGroup
	defer closing.Wait()
	job := func(n int) error {
		guest, err := host.Start(ctx, bridge.Spec{
			Interpreter: python, JobID: uint64(n + 1), Attempt: "1.1", FilePath: input, Plugin: s.pluginName(n),
			FileVersionID: 1, Source: s.source(), Topics: []string{"output"},
		})
		if err != nil {
			return err
		}
		// A worker reports while the guest leaves, too.
		defer closing.Go(func() { guest.Close() })
		rows := int64(0)
		for {
			batch, err := guest.Next(ctx)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			rows += batch.Record.NumRows()
			batch.Record.Release()
			if err := guest.Acknowledge(batch.Serial); err != nil {
				return err
			}
		}
		if rows != s.rows {
			return fmt.Errorf("the guest gave %d rows, not %d", rows, s.rows)
		}
		return nil
	}
	if _, _, err := inTurns(max(1, s.names), 1, job); err != nil {
		return o, err
	}
	stop := watch(os.Getpid(), s.looks())
	o.jobs, o.syncs = s.jobs, -1
	o.wall, o.each, err = inTurns(s.jobs, s.inFlight, job)
	o.cpu = stop().cpu // the memory is that of the benchmark
	if s.start {
		o.wall += imports * float64(s.jobs)
	}
	return o, err
}

// forkTime is how long the bare fork of a loaded interpreter takes, in seconds.
func forkTime(ctx context.Context, python, source string, count int) (float64, error) {
	out, err := exec.CommandContext(ctx, python, filepath.Join(source, "workerbench", "fork.py"), strconv.Itoa(count)).Output()
	if err != nil {
		return 0, fmt.Errorf("measure a fork: %w", err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// importTime is how long a new interpreter takes to import pandas and pyarrow, in
// seconds: the least that a first job can take.
func importTime(ctx context.Context, python string, count int) (float64, error) {
	wall, _, err := inTurns(count, 1, func(int) error {
		return exec.CommandContext(ctx, python, "-c", "import pandas, pyarrow").Run()
	})
	return wall / float64(count), err
}
