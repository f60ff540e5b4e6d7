//go:build unix

package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// Patience bounds every wait of a test. It is long: with the race detector on
// two busy cores a cold guest alone takes seconds.
const Patience = 90 * time.Second

// Sentinel is a running double of the Python Sentinel.
type Sentinel struct {
	Endpoint string

	t     testing.TB
	stdin io.WriteCloser

	mu        sync.Mutex
	commands  int
	messages  []Message
	answers   map[int]answer
	changed   chan struct{} // closed and replaced with every line read
	ended     bool
	tolerated bool
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
	arguments := []string{"-u", script(t, "sentinel", "double.py")}
	if burst {
		arguments = append(arguments, "--burst")
	}
	s := &Sentinel{t: t, answers: map[int]answer{}, changed: make(chan struct{})}
	process := exec.Command(parts.Python(t), arguments...)
	process.Stderr = &s.errors
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatalf("start the Sentinel double: %v", err)
	}
	s.stdin = stdin
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(stdout)
	}()
	t.Cleanup(func() {
		stdin.Close() // the double ends with its stdin
		timer := time.AfterFunc(Patience, func() { _ = process.Process.Kill() })
		<-read
		err := process.Wait()
		timer.Stop()
		if err != nil || s.errors.Len() > 0 {
			t.Errorf("the Sentinel double ended with %v:\n%s", err, s.errors.String())
		}
		s.report()
	})
	s.Endpoint = s.Await("the double's port", 0, func(m Message) bool { return m.Event == "open" }).Endpoint
	return s
}

func (s *Sentinel) read(stdout io.Reader) {
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
