package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/sentinel"
)

// outcome is what one contestant needed for the jobs of a scenario.
type outcome struct {
	jobs  int
	wall  float64   // seconds for all of them
	each  []float64 // seconds from submission to receipt, sorted
	syncs float64   // for each job; negative: not counted
	usage
}

// perJob is what is compared.
func (o outcome) perJob() float64 { return o.wall / float64(o.jobs) }

// quantile of the times of single jobs.
func (o outcome) quantile(q float64) float64 {
	return o.each[min(len(o.each)-1, int(q*float64(len(o.each))))]
}

// contestant is a worker that takes jobs from a Sentinel.
type contestant struct {
	name string
	// command gives what to run. home is a folder of its own.
	command func(endpoint, home string, s scenario) *exec.Cmd
	// syncs counts the fsyncs of a running one; nil where they cannot be told.
	syncs func(ctx context.Context, home string) (uint64, error)
}

// ourWorker is the binary at path. With a folder for profiles it leaves one for
// each scenario.
func ourWorker(path, python, profiles string) contestant {
	return contestant{
		name: "worker",
		command: func(endpoint, home string, s scenario) *exec.Cmd {
			command := exec.Command(path, "--connect", endpoint, "--plugins", strings.Join(s.pluginNames(), ","),
				"--state-dir", filepath.Join(home, "state"), "--output", filepath.Join(home, "output"),
				"--venvs-dir", filepath.Join(home, "venvs"), "--python", python, "--log-level", "warn",
				"--concurrency", fmt.Sprint(max(2, s.inFlight)))
			if profiles != "" {
				command.Args = append(command.Args, "--profile", filepath.Join(profiles, strings.ReplaceAll(s.name, " ", "-")))
			}
			return command
		},
		syncs: func(ctx context.Context, home string) (uint64, error) {
			status, err := ops.AskStatus(ctx, filepath.Join(home, "state"))
			return status.Syncs, err
		},
	}
}

// referenceWorker is reference.py with a guest program of the field.
func referenceWorker(python, source string) contestant {
	return contestant{
		name: "reference",
		command: func(endpoint, home string, s scenario) *exec.Cmd {
			return exec.Command(python, filepath.Join(source, "workerbench", "reference.py"), endpoint, "reference", home,
				filepath.Join(source, "testdata", "field_shim.py"), strings.Join(s.pluginNames(), ","))
		},
	}
}

// session is a Sentinel with one worker.
type session struct {
	contestant
	scenario
	input    string
	home     string
	sentinel *sentinel.Sentinel
	stop     func() error // the worker, then the Sentinel
	pid      int
	next     uint64 // job id
	began    time.Time
}

func begin(ctx context.Context, c contestant, s scenario, input string) (_ *session, err error) {
	home, err := os.MkdirTemp("", "workerbench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(home)
		}
	}()
	server, err := sentinel.Listen(sentinel.Config{Listen: "tcp://127.0.0.1:0"})
	if err != nil {
		return nil, err
	}
	command := c.command(server.Endpoint(), home, s)
	var log strings.Builder
	command.Stdout, command.Stderr = &log, &log
	command.WaitDelay = 10 * time.Second
	began := time.Now()
	if err := command.Start(); err != nil {
		server.Close()
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	serverCtx, stopServer := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Run(serverCtx) })
	stop := func() error {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = command.Process.Kill()
			<-ended
		}
		stopServer()
		serving.Wait()
		if left := log.String(); left != "" && c.syncs != nil {
			fmt.Fprintf(os.Stderr, "%s says:\n%s\n", c.name, left)
		}
		return os.RemoveAll(home)
	}
	return &session{contestant: c, scenario: s, input: input, home: home, sentinel: server, stop: stop, pid: command.Process.Pid, began: began}, nil
}

// job gives one job and waits for its receipt, which must be good.
func (s *session) job(ctx context.Context, id uint64) error {
	plugin := s.pluginName(int(id))
	ticket, err := s.sentinel.Submit(ctx, id, protocol.Dispatch{
		PluginName: plugin, FilePath: s.input, FileVersionID: 1, EnvHash: "system", SourceCode: string(s.source()),
		Sinks: []protocol.Sink{{Topic: "output", URI: "parquet://out/" + plugin + ".parquet", Mode: "append"}},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	receipt, err := ticket.Wait(ctx)
	switch {
	case err != nil:
		return err
	case receipt.Status != protocol.Success:
		return fmt.Errorf("job %d failed: %s", id, receipt.ErrorMessage)
	case receipt.Metrics["rows"] != s.rows:
		return fmt.Errorf("job %d has %d rows, not %d", id, receipt.Metrics["rows"], s.rows)
	}
	return nil
}

// jobs gives so many jobs, inFlight of them at once, and times each.
func (s *session) jobs(ctx context.Context, count int) (wall float64, each []float64, err error) {
	first := s.next + 1
	s.next += uint64(count)
	return inTurns(count, s.inFlight, func(n int) error { return s.job(ctx, first+uint64(n)) })
}

// inTurns calls do count times, at most so many at once, and times it.
func inTurns(count, inFlight int, do func(n int) error) (wall float64, each []float64, err error) {
	turns := make(chan int, count)
	for n := range count {
		turns <- n
	}
	close(turns)
	each = make([]float64, count)
	failures := make([]error, inFlight)
	began := time.Now()
	var all sync.WaitGroup
	for lane := range inFlight {
		all.Go(func() {
			for n := range turns {
				from := time.Now()
				if failures[lane] = do(n); failures[lane] != nil {
					return
				}
				each[n] = time.Since(from).Seconds()
			}
		})
	}
	all.Wait()
	wall = time.Since(began).Seconds()
	slices.Sort(each)
	return wall, each, errors.Join(failures...)
}

// measure lets a contestant do a scenario's jobs.
func measure(ctx context.Context, c contestant, s scenario, input string, count int) (o outcome, err error) {
	if s.start {
		return measureStarts(ctx, c, s, input, count)
	}
	at, err := begin(ctx, c, s, input)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, at.stop()) }()
	// What is measured is a worker that is at work, not one that starts.
	if _, _, err := at.jobs(ctx, max(1, s.names)); err != nil {
		return o, err
	}
	return at.observe(ctx, count)
}

// observe measures the next jobs.
func (s *session) observe(ctx context.Context, count int) (o outcome, err error) {
	before, err := s.synced(ctx)
	if err != nil {
		return o, err
	}
	stop := watch(s.pid, s.looks())
	o.jobs = count
	o.wall, o.each, err = s.jobs(ctx, count)
	o.usage = stop()
	if err != nil {
		return o, err
	}
	after, err := s.synced(ctx)
	if err != nil {
		return o, err
	}
	o.syncs = -1
	if s.contestant.syncs != nil {
		o.syncs = float64(after-before) / float64(count)
	}
	return o, nil
}

func (s *session) synced(ctx context.Context) (uint64, error) {
	if s.contestant.syncs == nil {
		return 0, nil
	}
	return s.contestant.syncs(ctx, s.home)
}

// measureStarts starts the worker anew for each job, and counts from there.
func measureStarts(ctx context.Context, c contestant, s scenario, input string, count int) (o outcome, err error) {
	o.jobs, o.syncs = count, -1
	for range count {
		at, err := begin(ctx, c, s, input)
		if err != nil {
			return o, err
		}
		stop := watch(at.pid, s.looks())
		_, _, err = at.jobs(ctx, 1)
		took := time.Since(at.began).Seconds()
		used := stop()
		if err := errors.Join(err, at.stop()); err != nil {
			return o, err
		}
		o.wall += took
		o.each = append(o.each, took)
		o.cpu += used.cpu
		o.peak, o.tree = max(o.peak, used.peak), max(o.tree, used.tree)
	}
	slices.Sort(o.each)
	return o, nil
}
