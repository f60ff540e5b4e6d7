package sentinel

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within is the deadline of every wait that must succeed.
const within = time.Minute

// remote is a worker's end of the wire, without anything behind it.
type remote struct {
	t        *testing.T
	write    func(frames [][]byte) error
	messages chan [][]byte
	leave    func() // ends its connection; may be called twice
}

// kinds are the ways in which a worker may be connected: through our own link, and
// through real libzmq.
var kinds = map[string]func(t *testing.T, endpoint, identity string) *remote{
	"link":   linked,
	"libzmq": dealer,
}

// linked is a worker on a real link.
func linked(t *testing.T, endpoint, identity string) *remote {
	t.Helper()
	l, err := link.New(link.Config{Endpoint: endpoint, Identity: identity,
		MinBackoff: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	up := make(chan uint64, 1)
	w := &remote{t: t, messages: make(chan [][]byte, 64)}
	go func() {
		for {
			select {
			case event := <-l.Events():
				switch e := event.(type) {
				case link.Up:
					select {
					case up <- e.Connection: // only the first is waited for
					default:
					}
				case link.Received:
					w.took(e.Frames)
				}
			case <-ended:
				return
			}
		}
	}()
	w.leave = func() { stop(); <-ended }
	t.Cleanup(w.leave)
	select {
	case connection := <-up:
		w.write = func(frames [][]byte) error { return l.Send(context.Background(), connection, frames) }
	case <-time.After(within):
		t.Fatalf("the link did not come up: %+v", l.Status())
	}
	return w
}

// dealer is a worker on a pyzmq DEALER.
func dealer(t *testing.T, endpoint, identity string) *remote {
	t.Helper()
	process := exec.Command(parts.Python(t), "testdata/dealer.py", endpoint, base64.StdEncoding.EncodeToString([]byte(identity)))
	process.Stderr = os.Stderr
	out, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	w := &remote{t: t, messages: make(chan [][]byte, 64)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewReader(in)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var frames [][]byte
			if err := json.Unmarshal(line, &frames); err != nil {
				t.Error(err)
				return
			}
			w.took(frames)
		}
	}()
	w.write = func(frames [][]byte) error {
		line, err := json.Marshal(frames)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	}
	w.leave = func() {
		out.Close() // ends the script
		timer := time.AfterFunc(within, func() { _ = process.Process.Kill() })
		defer timer.Stop()
		<-ended
		_ = process.Wait()
	}
	t.Cleanup(w.leave)
	return w
}

// took keeps a message for the test.
func (w *remote) took(frames [][]byte) {
	select {
	case w.messages <- frames:
	default:
		w.t.Errorf("more messages than any test asks for: %q", frames)
	}
}

func (w *remote) say(job uint64, payload protocol.Payload) {
	w.t.Helper()
	frames, err := protocol.Encode(protocol.Message{JobID: job, Payload: payload})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.write(frames); err != nil {
		w.t.Fatal(err)
	}
}

func (w *remote) identify(capabilities ...string) {
	w.t.Helper()
	w.say(0, protocol.Identify{Capabilities: capabilities, WorkerID: "w"})
}

func (w *remote) conclude(job uint64) {
	w.t.Helper()
	w.say(job, protocol.Conclude{Status: protocol.Success, Metrics: map[string]int64{"rows": int64(job)},
		Artifacts: []map[string]string{{"topic": "output", "uri": "parquet:///x"}}})
}

func (w *remote) next() protocol.Message {
	w.t.Helper()
	select {
	case frames := <-w.messages:
		message, err := protocol.Decode(frames)
		if err != nil {
			w.t.Fatal(err)
		}
		return message
	case <-time.After(within):
		w.t.Fatal("the worker got nothing")
		panic("unreachable")
	}
}

// nextJob expects a DISPATCH of that job.
func (w *remote) nextJob(job uint64) protocol.Dispatch {
	w.t.Helper()
	message := w.next()
	dispatch, ok := message.Payload.(protocol.Dispatch)
	if !ok || message.JobID != job {
		w.t.Fatalf("got %+v, want a DISPATCH of job %d", message, job)
	}
	return dispatch
}

// hasNothing asserts that the worker has got nothing so far. Ask when the Sentinel has
// shown that it dealt with what was said before.
func (w *remote) hasNothing() {
	w.t.Helper()
	select {
	case frames := <-w.messages:
		w.t.Fatalf("got %q", frames)
	default:
	}
}
