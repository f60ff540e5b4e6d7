package link

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// within is the deadline of every wait that must succeed.
const within = time.Minute

// router is a pyzmq ROUTER in a process of its own.
type router struct {
	t        *testing.T
	process  *exec.Cmd
	commands io.WriteCloser
	endpoint string
	messages chan received
	gone     chan string // identities that it has let go of
	ended    chan struct{}
}

// received is a message as the ROUTER reports it.
type received struct {
	From   string   `json:"from"`
	Frames [][]byte `json:"frames"`
}

// startRouter binds a ROUTER; bind may end in :* for a free port.
func startRouter(t *testing.T, bind string, options map[string]int) *router {
	t.Helper()
	return startRouterWith(t, map[string]any{"bind": bind, "options": options})
}

// startEcho binds a ROUTER that sends every message back.
func startEcho(t *testing.T, options map[string]int) *router {
	t.Helper()
	return startRouterWith(t, map[string]any{"bind": "tcp://127.0.0.1:*", "options": options, "echo": true})
}

func startRouterWith(t *testing.T, arguments map[string]any) *router {
	t.Helper()
	config, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	r := &router{
		t: t, process: exec.Command(parts.Python(t), "testdata/router.py", string(config)),
		messages: make(chan received, 1024), gone: make(chan string, 1), ended: make(chan struct{}),
	}
	r.process.Stderr = os.Stderr
	if r.commands, err = r.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	reports, err := r.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	started := make(chan string, 1)
	go r.follow(reports, started)
	t.Cleanup(r.kill)
	select {
	case r.endpoint = <-started:
	case <-r.ended:
		t.Fatal("the ROUTER did not start")
	case <-time.After(within):
		t.Fatal("the ROUTER did not bind")
	}
	return r
}

func (r *router) follow(reports io.Reader, started chan<- string) {
	defer close(r.ended)
	lines := bufio.NewReader(reports)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var report struct {
			Endpoint string `json:"endpoint"`
			Gone     string `json:"gone"`
			received
		}
		if err := json.Unmarshal(line, &report); err != nil {
			return
		}
		if report.Endpoint != "" {
			started <- report.Endpoint
			continue
		}
		if report.Gone != "" {
			r.gone <- report.Gone
			continue
		}
		r.messages <- report.received
	}
}

// kill is kill -9, also of a frozen process. It may be called twice.
func (r *router) kill() {
	_ = r.process.Process.Kill() // it may have ended
	r.commands.Close()
	for {
		select {
		case <-r.messages: // follow may be waiting
			continue
		case <-r.ended:
		}
		break
	}
	_ = r.process.Wait() // a killed process has an error
}

func (r *router) command(name string, value any) {
	r.t.Helper()
	line, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.commands.Write(append(line, '\n')); err != nil {
		r.t.Fatalf("command %s: %v", name, err)
	}
}

func (r *router) send(to string, frames ...[]byte) {
	r.t.Helper()
	r.command("send", map[string]any{"to": to, "frames": frames})
}

// awaitGone waits until the ROUTER has let go of an identity.
func (r *router) awaitGone(identity string) {
	r.t.Helper()
	r.command("await_gone", identity)
	select {
	case <-r.gone:
	case <-r.ended:
		r.t.Fatal("the ROUTER has ended")
	case <-time.After(within):
		r.t.Fatalf("the ROUTER still has the identity %s", identity)
	}
}

// exchange has a message go to the ROUTER, and its answer come back, on that very
// connection.
func (r *router) exchange(l *running, connection uint64, text string) {
	r.t.Helper()
	l.say(connection, []byte(text))
	got := r.next()
	if string(got.Frames[0]) != text {
		r.t.Fatalf("the peer got %q, want %q", got.Frames, text)
	}
	r.send(got.From, []byte("answer"))
	if answer := l.nextMessage(); answer.Connection != connection {
		r.t.Errorf("the answer came on connection %d, want %d", answer.Connection, connection)
	}
}

func (r *router) next() received {
	r.t.Helper()
	select {
	case message := <-r.messages:
		return message
	case <-r.ended:
		r.t.Fatal("the ROUTER has ended")
	case <-time.After(within):
		r.t.Fatal("no message reached the ROUTER")
	}
	panic("unreachable")
}
