//go:build unix

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Worker is one run of the binary at a site.
type Worker struct {
	// Identity is the routing id under which the Sentinel knows it.
	Identity string

	t       testing.TB
	site    *Site
	process *exec.Cmd
	logPath string
	exited  chan struct{}
	killed  bool
}

// Start starts a worker at the site and waits until the Sentinel knows it. One that
// comes after another has also heard from the Sentinel then: it does not take its
// connection for one that reaches nobody, and make it anew in the middle of a test.
//
// At the test's end it is stopped with SIGTERM, must leave with status 0, and
// must leave nothing behind: see [Site.CheckNothingLeft].
func (s *Site) Start() *Worker {
	s.t.Helper()
	mark := s.sentinel.Mark()
	w := s.Launch()
	w.Identity = s.sentinel.await("IDENTIFY", mark, w.exited, func(m Message) bool { return m.Op == "IDENTIFY" }).Identity
	if s.runs > 1 && !s.sentinel.operated { // to an operator an idle worker's answer means more
		mark = s.sentinel.Mark()
		s.sentinel.AskHeartbeat(w.Identity)
		s.sentinel.await("HEARTBEAT", mark, w.exited, func(m Message) bool { return m.Op == "HEARTBEAT" && m.Identity == w.Identity })
	}
	return w
}

// Launch starts a worker and does not wait for anything.
func (s *Site) Launch() *Worker {
	s.t.Helper()
	s.runs++
	w := &Worker{
		t: s.t, site: s, exited: make(chan struct{}),
		logPath: s.path(fmt.Sprintf("worker-%d.log", s.runs)),
	}
	w.process = exec.Command(Binary(s.t, s.options.Plain), s.Flags()...)
	w.process.Env = s.Environ()
	w.process.Dir = s.root
	log, err := os.Create(w.logPath)
	if err != nil {
		s.t.Fatal(err)
	}
	w.process.Stdout, w.process.Stderr = log, log
	err = w.process.Start()
	log.Close() // the process has its own descriptor
	if err != nil {
		s.t.Fatalf("start the worker: %v", err)
	}
	go func() {
		_ = w.process.Wait() // the status is read from ProcessState
		close(w.exited)
	}()
	s.t.Cleanup(w.finish)
	return w
}

// finish stops a worker that the test left running, and judges how it ended.
func (w *Worker) finish() {
	select {
	case <-w.exited:
	default:
		w.Terminate()
		if code, err := w.wait(Patience); err != nil {
			w.t.Errorf("the worker did not leave after SIGTERM: %v", err)
			w.Kill()
		} else if code != 0 {
			w.t.Errorf("the worker left with status %d after SIGTERM", code)
		}
	}
	log := w.Log()
	if report := strings.Index(log, "WARNING: DATA RACE"); report >= 0 {
		w.t.Errorf("the race detector spoke up in the worker:\n%s", head(log[report:], 8000))
	}
	if report := strings.Index(log, "\ngoroutine "); report >= 0 && strings.Contains(log, "panic: ") {
		w.t.Errorf("the worker panicked:\n%s", head(log[strings.Index(log, "panic: "):], 8000))
	}
	if w.t.Failed() {
		w.t.Logf("log of worker %s (process %d):\n%s", w.Identity, w.PID(), tail(log, 12000))
	}
	if !w.killed {
		w.site.CheckNothingLeft()
	}
}

// PID is the worker's process id.
func (w *Worker) PID() int { return w.process.Process.Pid }

// Log is what the worker has written so far to stdout and stderr.
func (w *Worker) Log() string {
	log, err := os.ReadFile(w.logPath)
	if err != nil {
		w.t.Errorf("read the worker's log: %v", err)
	}
	return string(log)
}

// Kill kills the worker with SIGKILL and waits until it is gone. The processes
// that it started are left to their fate, as in a crash.
func (w *Worker) Kill() {
	w.t.Helper()
	w.killed = true
	if err := w.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.t.Fatalf("kill -9 the worker: %v", err)
	}
	if _, err := w.wait(Patience); err != nil {
		w.t.Fatalf("kill -9 the worker: %v", err)
	}
}

// Terminate sends SIGTERM, which asks the worker to drain.
func (w *Worker) Terminate() {
	w.t.Helper()
	w.Signal(syscall.SIGTERM)
}

// Signal sends a signal.
func (w *Worker) Signal(signal syscall.Signal) {
	w.t.Helper()
	if err := w.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.t.Fatalf("send %v to the worker: %v", signal, err)
	}
}

// Running tells whether the process is there.
func (w *Worker) Running() bool {
	select {
	case <-w.exited:
		return false
	default:
		return true
	}
}

// Wait waits for the worker's end and gives its exit status, -1 after a signal.
func (w *Worker) Wait() int {
	w.t.Helper()
	code, err := w.wait(Patience)
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

func (w *Worker) wait(patience time.Duration) (int, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.exited:
		return w.process.ProcessState.ExitCode(), nil
	case <-timer.C:
		return 0, fmt.Errorf("process %d still runs after %v", w.PID(), patience)
	}
}

// Command runs the binary with other arguments (a sub-command, usually) at the
// site, to its end.
func (s *Site) Command(arguments ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	command := exec.Command(Binary(s.t, s.options.Plain), arguments...)
	command.Env = s.Environ()
	command.Dir = s.root
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	command.WaitDelay = time.Second
	timer := time.AfterFunc(Patience, func() { _ = command.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	if err := command.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			s.t.Fatalf("run the worker with %q: %v", arguments, err)
		}
	}
	return out.String(), problems.String(), command.ProcessState.ExitCode()
}

// Follow starts a sub-command that runs until the test ends, and gives its
// stdout.
func (s *Site) Follow(arguments ...string) io.Reader {
	s.t.Helper()
	command := exec.Command(Binary(s.t, s.options.Plain), arguments...)
	command.Env = s.Environ()
	command.Dir = s.root
	var problems bytes.Buffer
	command.Stderr = &problems
	reader, writer, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	command.Stdout = writer
	err = command.Start()
	writer.Close()
	if err != nil {
		s.t.Fatalf("run the worker with %q: %v", arguments, err)
	}
	if err := reader.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGINT)
		timer := time.AfterFunc(Patience, func() { _ = command.Process.Kill() })
		defer timer.Stop()
		_ = command.Wait() // ended by the signal
		reader.Close()
		if s.t.Failed() {
			s.t.Logf("%q on stderr:\n%s", arguments, problems.String())
		}
	})
	return reader
}

func head(text string, limit int) string {
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}

func tail(text string, limit int) string {
	if len(text) > limit {
		return "…" + text[len(text)-limit:]
	}
	return text
}
