//go:build unix

package harness

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/go-zeromq/zmq4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	os.Exit(Main(m, func() error { return goleak.Find() }))
}

// The double is only worth something if it is as hard to please as the Sentinel.
// Here a worker that makes every mistake talks to it.

// sloppy is a DEALER that sends what it is told to.
type sloppy struct {
	t      *testing.T
	socket zmq4.Socket
}

func connect(t *testing.T, s *Sentinel, identity string) *sloppy {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	socket := zmq4.NewDealer(ctx, zmq4.WithID(zmq4.SocketIdentity(identity)))
	t.Cleanup(func() { cancel(); socket.Close() })
	if err := socket.Dial(s.Endpoint); err != nil {
		t.Fatal(err)
	}
	return &sloppy{t, socket}
}

func (w *sloppy) send(op byte, job uint64, payload string) {
	w.t.Helper()
	header := make([]byte, 16)
	header[0], header[1] = 4, op
	binary.BigEndian.PutUint64(header[4:], job)
	binary.BigEndian.PutUint32(header[12:], uint32(len(payload)))
	if err := w.socket.Send(zmq4.NewMsgFrom(header, []byte(payload))); err != nil {
		w.t.Fatal(err)
	}
}

// receive gives opcode, job and payload, and whether there was a payload frame.
func (w *sloppy) receive() (op byte, job uint64, payload []byte, frames int) {
	w.t.Helper()
	message, err := w.socket.Recv()
	if err != nil {
		w.t.Fatal(err)
	}
	header := message.Frames[0]
	if len(message.Frames) > 1 {
		payload = message.Frames[1]
	}
	if int(binary.BigEndian.Uint32(header[12:])) != len(payload) {
		w.t.Fatalf("header says %d bytes, payload has %d", binary.BigEndian.Uint32(header[12:]), len(payload))
	}
	return header[1], binary.BigEndian.Uint64(header[4:]), payload, len(message.Frames)
}

func (w *sloppy) awaitJob(id uint64) map[string]any {
	w.t.Helper()
	op, job, payload, _ := w.receive()
	if op != 2 || job != id {
		w.t.Fatalf("received opcode %d for job %d, want the DISPATCH of job %d", op, job, id)
	}
	return Decode[map[string]any](w.t, payload)
}

func submit(s *Sentinel, id uint64) {
	s.Submit(Job{ID: id, Plugin: "p", Source: "x", File: "/f"})
}

// violation waits for one that has all the words.
func violation(s *Sentinel, words ...string) {
	s.t.Helper()
	s.Await("a violation about "+strings.Join(words, ", "), 0, func(m Message) bool {
		for _, word := range words {
			if !strings.Contains(m.What, word) {
				return false
			}
		}
		return m.Event == "violation"
	})
}

const (
	identify  = 1
	heartbeat = 4
	conclude  = 5
	problem   = 6
	success   = `{"status":"SUCCESS","metrics":{"rows":1},"artifacts":[{"topic":"output","uri":"parquet:///x"}]}`
)

func TestSentinelGivesOneJobAtATime(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, false)
	w := connect(t, s, "w")
	w.send(identify, 0, `{"capabilities":["p"],"worker_id":"w"}`)
	submit(s, 1)
	submit(s, 2)
	dispatch := w.awaitJob(1)
	if _, there := dispatch["artifact_hash"]; !there || dispatch["artifact_hash"] != nil {
		t.Errorf("artifact_hash is %v, want an explicit null", dispatch["artifact_hash"])
	}
	s.Reload()
	if op, _, _, frames := w.receive(); op != 7 || frames != 1 {
		t.Errorf("RELOAD came as opcode %d in %d frames, want 7 in one", op, frames)
	}
	if state := s.Snapshot().Jobs[2].Status; state != "QUEUED" {
		t.Errorf("job 2 is %s while job 1 runs", state)
	}
	w.send(conclude, 1, success)
	if sinks := w.awaitJob(2)["sinks"].([]any); len(sinks) != 2 {
		t.Errorf("after a reload job 2 has the sinks %v, want its one sink twice", sinks)
	}
	if state := s.Snapshot().Jobs[1]; state.Status != "SUCCESS" || len(state.Receipts) != 1 {
		t.Errorf("job 1 is %+v", state)
	}
}

func TestSentinelInABurst(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, true)
	w := connect(t, s, "w")
	w.send(identify, 0, `{"capabilities":["p"]}`)
	for id := uint64(1); id <= 3; id++ {
		submit(s, id)
	}
	for id := uint64(1); id <= 3; id++ {
		w.awaitJob(id)
	}
}

func TestSentinelDropsBadReceipts(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, false)
	s.TolerateViolations()
	w := connect(t, s, "w")
	w.send(identify, 0, `{"capabilities":["p"]}`)
	submit(s, 1)
	w.awaitJob(1)
	for _, c := range []struct{ payload, word string }{
		{`{"status":"SUCCESS","metrics":{"rows":1.5},"artifacts":[]}`, "rows"},
		{`{"status":"SUCCESS","metrics":{"rows":"1"},"artifacts":[]}`, "valid integer"},
		{`{"status":"SUCCESS","metrics":{}}`, "artifacts"},
		{`{"status":"SUCCESS","artifacts":[]}`, "metrics"},
		{`{"status":"SUCCESS","metrics":{},"artifacts":[{"topic":"t"}]}`, "uri"},
		{`{"metrics":{},"artifacts":[]}`, "status"},
		{`{"status":"SUCCESS"`, "JSON"},
	} {
		w.send(conclude, 1, c.payload)
		violation(s, "dropped", c.word)
	}
	snapshot := s.Snapshot()
	if snapshot.Jobs[1].Status != "RUNNING" || !snapshot.Workers["w"].Busy {
		t.Errorf("after dropped receipts: %+v, want job 1 RUNNING and the worker busy", snapshot)
	}
	// A status that the Sentinel does not know frees the worker and leaves the job.
	w.send(conclude, 1, `{"status":"REJECTED","metrics":{},"artifacts":[]}`)
	violation(s, "REJECTED")
	snapshot = s.Snapshot()
	if snapshot.Jobs[1].Status != "RUNNING" || snapshot.Workers["w"].Busy {
		t.Errorf("after REJECTED: %+v, want job 1 RUNNING and the worker idle", snapshot)
	}
}

func TestSentinelMatchesCapabilitiesLiterally(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, false)
	w := connect(t, s, "w")
	w.send(identify, 0, `{"capabilities":["*"]}`)
	s.AwaitOp("IDENTIFY", 0)
	submit(s, 1)
	s.Await("job 1 fails for want of a worker", 0, func(m Message) bool { return m.Event == "unassignable" && m.JobID == 1 })
	if state := s.Snapshot().Jobs[1]; state.Status != "FAILED" || state.Dispatches != 0 {
		t.Errorf("job 1 is %+v, want FAILED and never dispatched", state)
	}
}

func TestSentinelTakesOffence(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, false)
	s.TolerateViolations()

	nameless := connect(t, s, "\xff\xfe")
	nameless.send(identify, 0, `{"capabilities":["p"]}`)
	if op, _, payload, _ := nameless.receive(); op != problem || !strings.Contains(string(payload), "Bad IDENTIFY payload") {
		t.Errorf("an identity that is not UTF-8 was answered with opcode %d, %s", op, payload)
	}
	violation(s, "not UTF-8")

	w := connect(t, s, "w")
	w.send(heartbeat, 0, `{"status":"IDLE"}`)
	violation(s, "never identified")
	w.send(identify, 0, `{"capabilities":["p"]}`)
	submit(s, 1)
	w.awaitJob(1)
	w.send(problem, 0, `{"message":"something else"}`)
	violation(s, "ERR of job 0 while job 1 runs")
	w.send(conclude, 1, success)
	w.send(conclude, 1, strings.Replace(success, `"rows":1`, `"rows":2`, 1))
	violation(s, "contradicts")
	w.send(conclude, 77, success)
	violation(s, "job 77", "does not exist")
	w.send(heartbeat, 0, `{"status":"BUSY","current_job_id":null}`)
	violation(s, "BUSY")
	w.send(42, 0, `{}`)
	violation(s, "opcode 42")
	w.send(identify, 0, `{"capabilities":["p"],"wroker_id":"w"}`)
	violation(s, "wroker_id")
}

// A Sentinel that was restarted is back on its port, and knows no worker.
func TestSentinelComesBackOnItsPort(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, false)
	w := connect(t, s, "w")
	w.send(identify, 0, `{"capabilities":["p"]}`)
	s.AwaitOp("IDENTIFY", 0)
	s.Close()
	mark := s.Mark()
	s.Open()
	if workers := s.Snapshot().Workers; len(workers) != 0 {
		t.Errorf("the Sentinel still knows %v", workers)
	}
	again := connect(t, s, "w")
	again.send(identify, 0, `{"capabilities":["p"]}`)
	s.AwaitOp("IDENTIFY", mark)
	submit(s, 1)
	again.awaitJob(1)
	again.send(conclude, 1, success)
	if got := s.Receipt(1); got.Metrics["rows"] != 1 {
		t.Errorf("receipt %+v", got)
	}
	var answer json.RawMessage = s.do("query", nil)
	if !strings.Contains(string(answer), "SUCCESS") {
		t.Errorf("the double answers %s", answer)
	}
}
