//go:build unix

package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// Patience bounds every wait of a test. It is long: with the race detector on two busy
// cores a cold guest alone takes seconds, and packages may have to be fetched.
const Patience = 4 * time.Minute

// Sentinel is a running double of the Python Sentinel.
type Sentinel struct {
	Endpoint string

	t         testing.TB
	arguments []string
	process   *exec.Cmd
	stdin     io.WriteCloser
	read      chan struct{} // closed when stdout has ended

	mu        sync.Mutex
	commands  int
	messages  []Message
	answers   map[int]answer
	changed   chan struct{} // closed and replaced with every line read
	ended     bool
	tolerated bool
	operated  bool
	errors    bytes.Buffer // stderr, whole only after the process ended
}

type answer struct {
	Event  string          `json:"event"`
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
}

// StartSentinel starts a double that ends with the test. With burst it hands
// out jobs without waiting for earlier ones.
//
// At the test's end every violation that the double recorded fails the test,
// unless [Sentinel.TolerateViolations] was called.
func StartSentinel(t testing.TB, burst bool) *Sentinel {
	t.Helper()
	if burst {
		return start(t, "--burst")
	}
	return start(t)
}

// StartOperatedSentinel starts a double that gives one job at a time and can be
// killed, see [Sentinel.Kill]. Its operator gives out again what a worker, after it
// came anew, does not hold.
func StartOperatedSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := start(t, "--operator", "--books", filepath.Join(t.TempDir(), "books"))
	s.operated = true
	return s
}

func start(t testing.TB, options ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{
		t: t, answers: map[int]answer{}, changed: make(chan struct{}),
		// Its port is held, so that nobody has it while the double is closed or dead.
		arguments: append([]string{"-u", script(t, "sentinel", "double.py"), "--bind", "tcp://" + parts.HeldPort(t)}, options...),
	}
	s.launch()
	t.Cleanup(func() {
		s.stdin.Close() // the double ends with its stdin
		timer := time.AfterFunc(Patience, func() { _ = s.process.Process.Kill() })
		<-s.read
		err := s.process.Wait()
		timer.Stop()
		if err != nil || s.errors.Len() > 0 {
			t.Errorf("the Sentinel double ended with %v:\n%s", err, s.errors.String())
		}
		s.report()
	})
	return s
}

// launch starts the process and waits until it listens.
func (s *Sentinel) launch() {
	s.t.Helper()
	mark := s.Mark()
	s.process = exec.Command(parts.Python(s.t), s.arguments...)
	s.process.Stderr = &s.errors
	stdin, err := s.process.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	stdout, err := s.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("start the Sentinel double: %v", err)
	}
	s.stdin, s.read = stdin, make(chan struct{})
	go func() {
		defer close(s.read)
		s.follow(stdout)
	}()
	s.Endpoint = s.Await("the double's port", mark, func(m Message) bool { return m.Event == "open" }).Endpoint
}

// Kill kills the double with SIGKILL. [Sentinel.Relaunch] brings it back on its port;
// what is in its books it knows then, and none of its workers.
func (s *Sentinel) Kill() {
	s.t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		s.t.Fatalf("kill -9 the Sentinel double: %v", err)
	}
	<-s.read
	_ = s.process.Wait() // it ended by the signal
}

// Relaunch starts the double again after [Sentinel.Kill].
func (s *Sentinel) Relaunch() {
	s.t.Helper()
	s.mu.Lock()
	s.ended = false
	s.mu.Unlock()
	s.launch()
}

// Signal sends a signal to the double.
func (s *Sentinel) Signal(signal os.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatalf("send %v to the Sentinel double: %v", signal, err)
	}
}

func (s *Sentinel) follow(stdout io.Reader) {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		s.mu.Lock()
		if err != nil {
			s.ended = true
			close(s.changed)
			s.changed = make(chan struct{})
			s.mu.Unlock()
			return
		}
		var message Message
		var done answer
		switch err := json.Unmarshal(line, &message); {
		case err != nil:
			message = Message{Event: "violation", What: fmt.Sprintf("unreadable line %q: %v", line, err)}
			s.messages = append(s.messages, message)
		case message.Event == "done":
			if err := json.Unmarshal(line, &done); err != nil {
				done.Error = err.Error()
			}
			s.answers[done.ID] = done
		default:
			s.messages = append(s.messages, message)
		}
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// report fails the test for violations, and on any failure shows what passed.
func (s *Sentinel) report() {
	for _, m := range s.messages {
		if m.Event == "violation" && !s.tolerated {
			s.t.Errorf("the Sentinel saw what no worker should do: %s", m.What)
		}
	}
	if !s.t.Failed() {
		return
	}
	const shown = 60
	from := max(0, len(s.messages)-shown)
	for _, m := range s.messages[from:] {
		payload := m.Payload
		if len(payload) > 600 {
			payload = append(payload[:600:600], "…"...)
		}
		s.t.Logf("Sentinel %.3f %s %s job %d %s %s%s", m.At, m.Event, m.Op, m.JobID, m.Identity, payload, m.What)
	}
}

// TolerateViolations is for a test that provokes them, and looks at
// [Snapshot.Violations] itself.
func (s *Sentinel) TolerateViolations() { s.tolerated = true }

// Mark is the place in the double's log behind all that it has seen, for
// [Sentinel.Await].
func (s *Sentinel) Mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// Since gives what the double has seen at and behind a mark.
func (s *Sentinel) Since(mark int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[mark:len(s.messages):len(s.messages)]
}

// Await returns the first message at or behind a mark that match accepts, and
// waits for it. What it waits for is named in the failure.
func (s *Sentinel) Await(what string, mark int, match func(Message) bool) Message {
	s.t.Helper()
	return s.await(what, mark, nil, match)
}

// await is Await that gives up when the process that it waits for is gone.
func (s *Sentinel) await(what string, mark int, gone <-chan struct{}, match func(Message) bool) Message {
	s.t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for next := mark; ; {
		s.mu.Lock()
		seen, changed, ended := s.messages, s.changed, s.ended
		s.mu.Unlock()
		for ; next < len(seen); next++ {
			if match(seen[next]) {
				return seen[next]
			}
		}
		if ended {
			s.t.Fatalf("the Sentinel double ended while the test waited for %s", what)
		}
		select {
		case <-changed:
		case <-gone:
			s.t.Fatalf("the worker ended while the test waited for %s", what)
		case <-deadline.C:
			s.t.Fatalf("waited %v for %s", Patience, what)
		}
	}
}

// AwaitOp waits for a worker's message of one opcode.
func (s *Sentinel) AwaitOp(op string, mark int) Message {
	s.t.Helper()
	return s.Await(op, mark, func(m Message) bool { return m.Op == op })
}

// Count counts the messages so far that match accepts.
func (s *Sentinel) Count(match func(Message) bool) int {
	return s.CountAfter(0, match)
}

// CountAfter counts the messages at or behind a mark that match accepts.
func (s *Sentinel) CountAfter(mark int, match func(Message) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, m := range s.messages[mark:] {
		if match(m) {
			count++
		}
	}
	return count
}

// Receipt waits for a job's first receipt.
func (s *Sentinel) Receipt(jobID uint64) Receipt {
	s.t.Helper()
	return s.ReceiptAfter(jobID, 0)
}

// ReceiptAfter waits for a job's first receipt at or behind a mark.
func (s *Sentinel) ReceiptAfter(jobID uint64, mark int) Receipt {
	s.t.Helper()
	message := s.Await(fmt.Sprintf("the receipt of job %d", jobID), mark, func(m Message) bool {
		return m.Op == "CONCLUDE" && m.JobID == jobID
	})
	return Decode[Receipt](s.t, message.Payload)
}

// Receipts counts the receipts of a job so far.
func (s *Sentinel) Receipts(jobID uint64) int {
	return s.Count(func(m Message) bool { return m.Op == "CONCLUDE" && m.JobID == jobID })
}

// Decode reads a message's payload.
func Decode[T any](t testing.TB, payload json.RawMessage) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(payload, &value); err != nil {
		t.Fatalf("payload %s: %v", payload, err)
	}
	return value
}
