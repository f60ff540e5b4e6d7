//go:build unix

package integration

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// The job ends while the Sentinel is away; its receipt comes when it is back,
// after IDENTIFY.
func TestReceiptWaitsForTheSentinel(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	s.sentinel.Close()
	gate.Open()
	s.awaitFile("out/frames_1.parquet")
	mark := s.sentinel.Mark()
	s.sentinel.Open()
	identify := s.sentinel.AwaitOp("IDENTIFY", mark)
	if identify.Identity != s.worker.Identity {
		t.Errorf("the worker came back as %s, it was %s", identify.Identity, s.worker.Identity)
	}
	s.succeeded(s.sentinel.ReceiptAfter(1, mark), 100)
	s.inOrder(mark, "IDENTIFY", "CONCLUDE")
	if state := s.sentinel.Snapshot().Jobs[1]; state.Status != "SUCCESS" {
		t.Errorf("in the Sentinel's eyes job 1 is %s", state.Status)
	}
}

// awaitFile waits until an output file is there under its final name.
func (s *story) awaitFile(name string) {
	s.Helper()
	s.site.Eventually(name+" is published", func() error {
		_, err := os.Stat(filepath.Join(s.site.Output, name))
		return err
	})
}

// The worker dies after its receipt went out and before anything proves that it
// was taken: the next one sends it again, after IDENTIFY, and nothing runs.
func TestUnconfirmedReceiptIsSentAgainAfterARestart(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	first := s.run(s.job(1, "frames", wish{"rows": 100, "chunk": 50}))
	s.succeeded(first, 100)
	s.worker.Kill()

	mark := s.sentinel.Mark()
	s.worker = s.site.Start()
	again := s.sentinel.ReceiptAfter(1, mark)
	s.succeeded(again, 100)
	s.inOrder(mark, "IDENTIFY", "CONCLUDE")
	if n := s.events("attempt-started", 1); n != 1 {
		t.Errorf("the journal has %d attempts of job 1, want 1", n)
	}

	// Job 2 may have been given right after IDENTIFY and proves nothing. Job 3 is
	// given only after a receipt was read, and the first was that of job 1: a third
	// worker does not owe it any more.
	s.succeeded(s.run(s.job(2, "frames", wish{"rows": 10, "chunk": 10})), 10)
	s.succeeded(s.run(s.job(3, "frames", wish{"rows": 10, "chunk": 10})), 10)
	s.worker.Kill()
	mark = s.sentinel.Mark()
	s.worker = s.site.Start()
	s.sentinel.ReceiptAfter(3, mark)
	s.heartbeat()
	if repeats := s.sentinel.CountAfter(mark, func(m harness.Message) bool { return m.Op == "CONCLUDE" && m.JobID == 1 }); repeats != 0 {
		t.Errorf("the receipt of job 1 came %d times more after it was confirmed", repeats)
	}
}

// inOrder fails the test unless the first messages behind the mark have these
// opcodes, heartbeats aside.
func (s *story) inOrder(mark int, ops ...string) {
	s.Helper()
	var seen []string
	s.sentinel.CountAfter(mark, func(m harness.Message) bool {
		if m.Op != "" && m.Op != "HEARTBEAT" {
			seen = append(seen, m.Op)
		}
		return false
	})
	for i, op := range ops {
		if i >= len(seen) || seen[i] != op {
			s.Errorf("the worker sent %v, want it to begin with %v", seen, ops)
			return
		}
	}
}

// One IDENTIFY for each connection, and always the same UTF-8 identity.
func TestTheIdentityOutlivesConnectionsAndProcesses(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	identities := map[string]int{}
	count := func() int {
		clear(identities)
		return s.sentinel.Count(func(m harness.Message) bool {
			if m.Op == "IDENTIFY" {
				identities[m.Identity]++
			}
			return m.Op == "IDENTIFY"
		})
	}
	s.sentinel.Close()
	mark := s.sentinel.Mark()
	s.sentinel.Open()
	s.sentinel.AwaitOp("IDENTIFY", mark)
	s.worker.Terminate()
	if code := s.worker.Wait(); code != 0 {
		t.Errorf("status %d after SIGTERM", code)
	}
	s.worker = s.site.Start()
	s.succeeded(s.run(s.job(1, "frames", wish{"rows": 10, "chunk": 10})), 10)
	if n := count(); n != 3 || len(identities) != 1 {
		t.Errorf("%d IDENTIFY under %v, want three under one identity", n, identities)
	}
	identify := harness.Decode[struct {
		Capabilities []string `json:"capabilities"`
		WorkerID     string   `json:"worker_id"`
	}](t, s.sentinel.AwaitOp("IDENTIFY", 0).Payload)
	if len(identify.Capabilities) != 1 || identify.Capabilities[0] != "frames" {
		t.Errorf("capabilities %q, want exactly the plugins that --plugins lists", identify.Capabilities)
	}
	if identify.WorkerID != s.worker.Identity {
		t.Errorf("worker_id %q, identity %q", identify.WorkerID, s.worker.Identity)
	}
}

// header is a message's first frame. The length is what it claims, true or not.
func header(version, op byte, job uint64, length int) []byte {
	h := make([]byte, 16)
	h[0], h[1] = version, op
	binary.BigEndian.PutUint64(h[4:], job)
	binary.BigEndian.PutUint32(h[12:], uint32(length))
	return h
}

// Messages that nobody promised: all are passed over, and the work goes on.
func TestStrangeMessagesDoNoHarm(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()

	to := s.worker.Identity
	s.sentinel.Reload()                                                              // one frame
	s.sentinel.Raw(to, header(4, 42, 0, 2), []byte("{}"))                            // an opcode of tomorrow
	s.sentinel.Raw(to, header(4, 0, 0, 0), nil)                                      // UNKNOWN
	s.sentinel.Raw(to, header(3, 2, 5, 2), []byte("{}"))                             // another version
	s.sentinel.Raw(to, []byte("short"))                                              // no header
	s.sentinel.Raw(to, header(4, 3, 6, 99), []byte("{}"))                            // a false length
	s.sentinel.Raw(to, header(4, 8, 0, 4), []byte("null"))                           // no PREPARE_ENV
	s.sentinel.Raw(to, header(4, 6, 0, 15), []byte(`{"message":"x"}`))               // an ERR of the Sentinel
	s.sentinel.Raw(to, header(4, 10, 0, 2), []byte(`{}`))                            // DEPLOY, never for a worker
	s.sentinel.Raw(to, header(4, 4, 0, 0), nil)                                      // HEARTBEAT without a payload
	s.sentinel.Raw(to, header(4, 4, 0, 2), []byte(`{}`), []byte("a frame too much")) //
	s.sentinel.Raw(to, header(4, 7, 0, 0), nil)                                      // RELOAD in two frames
	s.heartbeat()
	gate.Open()
	s.succeeded(s.sentinel.Receipt(1), 100)
	if errs := s.sentinel.Count(func(m harness.Message) bool { return m.Op == "ERR" && m.JobID == 0 }); errs != 0 {
		t.Errorf("%d ERR of job 0 while a job ran: the Sentinel would take the worker for idle", errs)
	}
	if !s.worker.Running() {
		t.Error("the worker is gone")
	}
}

// A DISPATCH that names a job and cannot be read must not stay RUNNING for ever.
func TestUnreadableDispatchIsAnswered(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	s.sentinel.TolerateViolations() // the double never dispatched job 8
	payload := []byte(`{"plugin_name": "frames", "file_path": 3}`)
	s.sentinel.Raw(s.worker.Identity, header(4, 2, 8, len(payload)), payload)
	answer := s.sentinel.Await("an answer about job 8", 0, func(m harness.Message) bool {
		return m.JobID == 8 && (m.Op == "CONCLUDE" || m.Op == "ERR")
	})
	if answer.Op == "CONCLUDE" {
		s.failed(harness.Decode[harness.Receipt](t, answer.Payload))
	}
}

// A garbled DISPATCH of a job in hand must not take the good one's place.
func TestUnreadableDispatchOfARunningJobIsIgnored(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	s.sentinel.Raw(s.worker.Identity, header(4, 2, 1, 2), []byte(`{}`))
	s.heartbeat()
	gate.Open()
	s.succeeded(s.sentinel.Receipt(1), 100)
}

// While the Sentinel is busy, its ROUTER does not free the identity of a worker
// that died. The next worker's connection is a zombie then: the handshake and all
// sends succeed, pings are answered, and nothing ever reaches the Sentinel. The
// worker has to come by again.
func TestRestartWhileTheSentinelIsBusy(t *testing.T) {
	t.Parallel()
	s := beginWith(t, false, harness.Options{Plugins: []string{"frames"}, Arguments: []string{"--heartbeat", "10s"}}) // its TTL is waited for
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	mark := s.sentinel.Mark()
	s.sentinel.Hold()
	s.worker.Kill()
	s.worker = s.site.Launch()
	s.site.Eventually("the new worker has its connection", func() error {
		if !strings.Contains(s.worker.Log(), "link up") {
			return errors.New("its log does not say so")
		}
		return nil
	})
	s.sentinel.Resume()
	gate.Open()
	s.worker.Identity = s.sentinel.AwaitOp("IDENTIFY", mark).Identity
	s.succeeded(s.sentinel.ReceiptAfter(1, mark), 100)
	s.files("out/frames_1.parquet")
	s.succeeded(s.run(s.job(2, "frames", wish{"rows": 10, "chunk": 10})), 10)
}
