package link

import (
	"context"
	"testing"
	"time"
)

// running is a Link under Run, and its consumer.
type running struct {
	t *testing.T
	*Link
	stop   context.CancelFunc
	ended  chan struct{}
	result error
}

// quick is patient enough for a busy machine and quick enough for a test.
func quick(endpoint string) Config {
	return Config{
		Endpoint: endpoint, Identity: "worker-ä", MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		HeartbeatInterval: 5 * time.Second,
	}
}

// run starts a link and stops it when the test ends.
func run(t *testing.T, config Config) *running {
	t.Helper()
	l, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, Link: l, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.result = l.Run(ctx)
	}()
	t.Cleanup(r.finish)
	return r
}

// finish stops the link, takes what it still has to say, and waits for Run to return.
func (r *running) finish() {
	r.t.Helper()
	r.stop()
	r.awaitEnd(r.Events())
}

// awaitEnd waits for Run to return; events may be nil.
func (r *running) awaitEnd(events <-chan Event) {
	r.t.Helper()
	deadline := time.After(within)
	for over := false; !over; {
		select {
		case <-events:
		case <-r.ended:
			over = true
		case <-deadline:
			r.t.Fatal("Run did not return")
		}
	}
	if r.result != nil {
		r.t.Errorf("Run: %v", r.result)
	}
}

func (r *running) next() Event {
	r.t.Helper()
	select {
	case event := <-r.Events():
		return event
	case <-time.After(within):
		r.t.Fatalf("nothing happened; %+v", r.Status())
		return nil
	}
}

// nextUp, nextDown and nextMessage fail on any other event.
func (r *running) nextUp() Up {
	r.t.Helper()
	event := r.next()
	up, ok := event.(Up)
	if !ok {
		r.t.Fatalf("got %#v, want an Up", event)
	}
	return up
}

func (r *running) nextDown() Down {
	r.t.Helper()
	event := r.next()
	down, ok := event.(Down)
	if !ok {
		r.t.Fatalf("got %#v, want a Down", event)
	}
	if down.Reason == nil {
		r.t.Error("a Down without a reason")
	}
	return down
}

func (r *running) nextMessage() Received {
	r.t.Helper()
	event := r.next()
	message, ok := event.(Received)
	if !ok {
		r.t.Fatalf("got %#v, want a message", event)
	}
	return message
}

func (r *running) say(connection uint64, frames ...[]byte) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := r.Send(ctx, connection, frames); err != nil {
		r.t.Fatal(err)
	}
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so: %s", what)
		}
	}
}
