//go:build drill && unix

package link

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

// A libzmq ROUTER with heartbeats of its own keeps the idle link for five minutes, in
// clear and with CURVE, and still hears it in the end.
func TestDrillIdleForFiveMinutes(t *testing.T) {
	keys, ours := newPair(t), newPair(t)
	heartbeats := map[string]any{"options": map[string]int{"HEARTBEAT_IVL": 1000, "HEARTBEAT_TIMEOUT": 3000, "HEARTBEAT_TTL": 5000}}
	for _, c := range []struct {
		name  string
		start func(t *testing.T) *router
		curve *CurveClient
	}{
		{"NULL", func(t *testing.T) *router {
			return startRouterWith(t, map[string]any{"bind": "tcp://127.0.0.1:*", "options": heartbeats["options"]})
		}, nil},
		{"CURVE", func(t *testing.T) *router { return startSecureRouter(t, keys, heartbeats, ours) },
			&CurveClient{Server: keys.Public, Keys: ours}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peer := c.start(t)
			config := quick(peer.endpoint)
			config.HeartbeatInterval = 0 // as it comes
			config.Curve = c.curve
			l := run(t, config)
			up := l.nextUp()
			select {
			case event := <-l.Events():
				t.Fatalf("the idle connection did not stay as it was: %#v", event)
			case <-time.After(5 * time.Minute):
			}
			l.say(up.Connection, []byte("still here"))
			if got := peer.next(); string(got.Frames[0]) != "still here" {
				t.Errorf("the peer got %q", got.Frames)
			}
			t.Logf("idle for 5 minutes: %d bytes in, %d bytes out, round trip %s", l.Status().BytesIn, l.Status().BytesOut, l.Status().RTT)
		})
	}
}

// A Sentinel that freezes is noticed within two intervals.
func TestDrillFreezeIsNoticedWithinTwoIntervals(t *testing.T) {
	peer := startRouter(t, "tcp://127.0.0.1:*", nil)
	config := quick(peer.endpoint)
	config.HeartbeatInterval = 5 * time.Second
	l := run(t, config)
	l.nextUp()
	eventually(t, "the peer answers", func() bool { return l.Status().RTT > 0 })
	if err := peer.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen := time.Now()
	select {
	case event := <-l.Events():
		took := time.Since(frozen)
		down, ok := event.(Down)
		if !ok || !errors.Is(down.Reason, ErrPeerSilent) || took > 2*config.HeartbeatInterval+100*time.Millisecond {
			t.Errorf("%#v after %s", event, took)
		}
		t.Logf("noticed after %s: %v", took, down.Reason)
	case <-time.After(time.Minute):
		t.Error("not noticed")
	}
	if err := peer.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.nextUp()
}
