package sentinel

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// serving is a Sentinel under Run, and whoever gives it jobs.
type serving struct {
	t *testing.T
	*Sentinel
	stop func() // waits for Run; may be called twice
}

func serve(t *testing.T, listen string) *serving {
	t.Helper()
	return serveWith(t, Config{Listen: listen})
}

func serveWith(t *testing.T, config Config) *serving {
	t.Helper()
	s, err := Listen(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	r := &serving{t: t, Sentinel: s, stop: func() { cancel(); <-ended }}
	t.Cleanup(r.stop)
	return r
}

func local(t *testing.T) *serving { t.Helper(); return serve(t, "tcp://127.0.0.1:0") }

func (s *serving) submit(job uint64, plugin string) *Ticket {
	s.t.Helper()
	ticket, err := s.Submit(s.t.Context(), job, protocol.Dispatch{
		PluginName: plugin, FilePath: "/in", EnvHash: "system", SourceCode: "pass",
		Sinks: []protocol.Sink{{Topic: "output", URI: "parquet://o", Mode: "append"}}, FileVersionID: 3,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return ticket
}

func result(t *testing.T, ticket *Ticket) (protocol.Conclude, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return ticket.Wait(ctx)
}

func succeeds(t *testing.T, ticket *Ticket, rows int64) {
	t.Helper()
	outcome, err := result(t, ticket)
	if err != nil || outcome.Status != protocol.Success || outcome.Metrics["rows"] != rows {
		t.Fatalf("got %+v, %v", outcome, err)
	}
}

// receive waits for what must come.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(within):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// open tells that a ticket has no result yet.
func open(t *testing.T, ticket *Ticket) {
	t.Helper()
	select {
	case <-ticket.done:
		t.Fatalf("job %d has ended: %+v, %v", ticket.job, ticket.outcome, ticket.err)
	default:
	}
}

// A worker makes an environment and runs three jobs that were submitted together:
// one at a time, each after the receipt of the one before.
func TestJobsOneAfterAnother(t *testing.T) {
	for kind, connect := range kinds {
		t.Run(kind, func(t *testing.T) {
			s := local(t)
			w := connect(t, s.Endpoint(), "wörker")
			w.identify("other", "plug")

			type answer struct {
				ready protocol.EnvReady
				err   error
			}
			answers := make(chan answer, 1)
			go func() {
				ready, err := s.Prepare(t.Context(), protocol.PrepareEnv{EnvHash: "abc", LockfileContent: "lock", PythonVersion: "3.12"})
				answers <- answer{ready, err}
			}()
			asked, ok := w.next().Payload.(protocol.PrepareEnv)
			if !ok || asked.LockfileContent != "lock" {
				t.Fatalf("got %+v", asked)
			}
			w.say(0, protocol.EnvReady{EnvHash: "abc", InterpreterPath: "/py", Cached: true})
			if got := receive(t, answers); got.err != nil || !got.ready.Cached || got.ready.InterpreterPath != "/py" {
				t.Fatalf("got %+v", got)
			}

			first, second, third := s.submit(1, "plug"), s.submit(2, "plug"), s.submit(3, "other")
			if d := w.nextJob(1); d.SourceCode != "pass" || d.FileVersionID != 3 || len(d.Sinks) != 1 {
				t.Errorf("got %+v", d)
			}
			w.say(0, protocol.Heartbeat{Status: protocol.Busy})
			w.conclude(1)
			succeeds(t, first, 1)
			w.nextJob(2)
			w.hasNothing()
			open(t, third)
			w.conclude(2)
			succeeds(t, second, 2)
			w.nextJob(3)
			w.conclude(3)
			succeeds(t, third, 3)

			again := s.submit(1, "plug") // a retry: the job has its result
			w.nextJob(1)
			w.conclude(1)
			succeeds(t, again, 1)
		})
	}
}

func TestJobWaitsForAWorkerAndTwoWorkersShare(t *testing.T) {
	s := local(t)
	a, b := s.submit(1, "plug"), s.submit(2, "plug")
	one := linked(t, s.Endpoint(), "one")
	one.identify("plug")
	one.nextJob(1)
	two := linked(t, s.Endpoint(), "two")
	two.identify("plug")
	two.nextJob(2)
	two.conclude(1) // the sender is not compared
	succeeds(t, a, 1)
	open(t, b)
	one.conclude(2)
	succeeds(t, b, 2)
}

func TestCapabilitiesAreLiteral(t *testing.T) {
	s := local(t)
	w := linked(t, s.Endpoint(), "w")
	w.identify("*", "Plug")
	// A job of its own says when the IDENTIFY was dealt with.
	ready := s.submit(1, "Plug")
	w.nextJob(1)
	w.conclude(1)
	succeeds(t, ready, 1)
	if _, err := result(t, s.submit(2, "plug")); !errors.Is(err, ErrNoCapableWorker) {
		t.Errorf("got %v", err)
	}
	w.hasNothing()
}

func TestErrEndsAJobAndFreesItsWorker(t *testing.T) {
	s := local(t)
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	broken, next := s.submit(1, "plug"), s.submit(2, "plug")
	w.nextJob(1)
	w.say(1, protocol.Error{Message: "no", Traceback: "where"})
	var reported *WorkerError
	if _, err := result(t, broken); !errors.As(err, &reported) || reported.Message != "no" || reported.Traceback != "where" {
		t.Errorf("got %v", err)
	}
	w.nextJob(2)
	w.say(2, protocol.Conclude{Status: protocol.Failed, ErrorMessage: "bad input"})
	if outcome, err := result(t, next); err != nil || outcome.Status != protocol.Failed || outcome.ErrorMessage != "bad input" {
		t.Errorf("got %+v, %v", outcome, err)
	}
}

func TestAbort(t *testing.T) {
	s := local(t)
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	runs, waits := s.submit(1, "plug"), s.submit(2, "plug")
	w.nextJob(1)
	if err := s.Abort(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := result(t, waits); !errors.Is(err, ErrAborted) {
		t.Errorf("got %v", err)
	}
	if err := s.Abort(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if message := w.next(); message.JobID != 1 || message.Payload != (protocol.Abort{}) {
		t.Errorf("got %+v", message)
	}
	open(t, runs)
	w.say(1, protocol.Conclude{Status: protocol.Failed, ErrorMessage: "aborted"})
	if outcome, err := result(t, runs); err != nil || outcome.ErrorMessage != "aborted" {
		t.Errorf("got %+v, %v", outcome, err)
	}
	if err := s.Abort(t.Context(), 1); !errors.Is(err, ErrUnknownJob) {
		t.Errorf("got %v", err)
	}
}

// A worker that is gone leaves its job RUNNING. When it comes back, its IDENTIFY
// makes it idle, so it gets the next job, and may still conclude the one it had.
func TestWorkerComesBackWithItsJob(t *testing.T) {
	s := local(t)
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	first, second := s.submit(1, "plug"), s.submit(2, "plug")
	w.nextJob(1)
	w.leave()
	open(t, first)

	w = linked(t, s.Endpoint(), "w")
	w.identify("plug")
	w.nextJob(2)
	w.conclude(1)
	w.conclude(2)
	succeeds(t, first, 1)
	succeeds(t, second, 2)
}

func TestWorkerThatComesBackIsAskedForTheEnvironmentAgain(t *testing.T) {
	s := local(t)
	answers := make(chan error, 1)
	go func() {
		_, err := s.Prepare(t.Context(), protocol.PrepareEnv{EnvHash: "abc", LockfileContent: "lock"})
		answers <- err
	}()
	for range 2 {
		w := linked(t, s.Endpoint(), "w")
		w.identify("plug")
		if _, ok := w.next().Payload.(protocol.PrepareEnv); !ok {
			t.Fatal("not asked")
		}
		w.leave()
	}
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	w.next()
	w.say(0, protocol.Error{Message: "cannot be resolved"})
	var reported *WorkerError
	if err := receive(t, answers); !errors.As(err, &reported) {
		t.Errorf("got %v", err)
	}
}

func TestIdentityThatIsNotUTF8IsRefused(t *testing.T) {
	s := local(t)
	w := dealer(t, s.Endpoint(), "\xff\xfe")
	w.identify("plug")
	if refused, ok := w.next().Payload.(protocol.Error); !ok || refused.Message != "Bad IDENTIFY payload" {
		t.Errorf("got %+v", refused)
	}
}

// Clients that stay silent or talk nonsense do not get in a worker's way.
func TestBadClientsAreNotInTheWay(t *testing.T) {
	s := local(t)
	for _, says := range []string{"", "GET / HTTP/1.1\r\n\r\n"} {
		client, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte(says)); err != nil {
			t.Fatal(err)
		}
	}
	w := linked(t, s.Endpoint(), "w")
	if err := w.write([][]byte{[]byte("not a header")}); err != nil {
		t.Fatal(err)
	}
	w.identify("plug")
	ticket := s.submit(1, "plug")
	w.nextJob(1)
	w.conclude(1)
	succeeds(t, ticket, 1)
}

func TestSubmitRefuses(t *testing.T) {
	s := local(t)
	s.submit(1, "plug")
	good := protocol.Dispatch{PluginName: "p", FilePath: "/f", EnvHash: "system"}
	for _, c := range []struct {
		name string
		job  uint64
		what protocol.Dispatch
		is   error
	}{
		{"job 0", 0, good, nil},
		{"a job that is open", 1, good, ErrJobOpen},
		{"a dispatch without a plugin", 2, protocol.Dispatch{FilePath: "/f", EnvHash: "system"}, protocol.ErrJSON},
	} {
		if _, err := s.Submit(t.Context(), c.job, c.what); err == nil || (c.is != nil && !errors.Is(err, c.is)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestStopEndsEveryWait(t *testing.T) {
	s := local(t)
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	runs, waits := s.submit(1, "plug"), s.submit(2, "plug")
	w.nextJob(1)
	prepared := make(chan error, 1)
	go func() {
		_, err := s.Prepare(t.Context(), protocol.PrepareEnv{EnvHash: "abc", LockfileContent: "lock"})
		prepared <- err
	}()
	w.next() // it was asked
	s.stop()
	for _, ticket := range []*Ticket{runs, waits} {
		if _, err := result(t, ticket); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	}
	if err := receive(t, prepared); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Submit(t.Context(), 3, protocol.Dispatch{PluginName: "p", FilePath: "/f", EnvHash: "system"}); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestGivingUpAPreparation(t *testing.T) {
	s := local(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Prepare(ctx, protocol.PrepareEnv{EnvHash: "abc", LockfileContent: "l"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	s.submit(1, "plug")
	w.nextJob(1) // and no PREPARE_ENV before it
}

func TestListen(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:0", "udp://127.0.0.1:0", "tcp://", "tcp://nowhere.invalid:1"} {
		if _, err := Listen(Config{Listen: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	s, err := Listen(Config{Listen: "tcp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if runtime.GOOS == "windows" {
		return // libzmq's ipc is for Unix sockets
	}
	ipc := serve(t, "ipc://"+filepath.Join(t.TempDir(), "s.sock"))
	w := linked(t, ipc.Endpoint(), "w")
	w.identify("plug")
	ticket := ipc.submit(1, "plug")
	w.nextJob(1)
	w.conclude(1)
	succeeds(t, ticket, 1)
}

func TestRepeatGivesAJobToItsWorkerAgain(t *testing.T) {
	heard := make(chan protocol.OpCode, 64)
	s := serveWith(t, Config{Listen: "tcp://127.0.0.1:0", Heard: func(_ uint64, payload protocol.Payload) { heard <- payload.Op() }})
	if err := s.Repeat(t.Context(), 1); !errors.Is(err, ErrUnknownJob) {
		t.Errorf("got %v", err)
	}
	ticket := s.submit(1, "plug")
	if err := s.Repeat(t.Context(), 1); !errors.Is(err, ErrUnknownJob) { // it is only queued
		t.Errorf("got %v", err)
	}
	w := linked(t, s.Endpoint(), "w")
	w.identify("plug")
	w.nextJob(1)
	if err := s.Repeat(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.nextJob(1)
	w.conclude(1)
	succeeds(t, ticket, 1)
	if err := s.Repeat(t.Context(), 1); !errors.Is(err, ErrUnknownJob) {
		t.Errorf("got %v", err)
	}
	for _, want := range []protocol.OpCode{protocol.OpIdentify, protocol.OpConclude} {
		if got := receive(t, heard); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
}
