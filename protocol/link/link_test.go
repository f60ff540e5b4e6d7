package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func bytesOf(texts ...string) (frames [][]byte) {
	for _, text := range texts {
		frames = append(frames, []byte(text))
	}
	return frames
}

// freePort is a loopback endpoint on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	return "tcp://" + parts.HeldPort(t)
}

// A worker is started before its Sentinel, then the Sentinel is killed and started
// again on the same port. Messages flow each time, and no connection number repeats.
func TestPeerComesLateAndIsRestarted(t *testing.T) {
	endpoint := freePort(t)
	config := quick(endpoint)
	config.FirstConnection = 7
	l := run(t, config)
	eventually(t, "it has dialled in vain", func() bool { return l.Status().Failures >= 2 })
	if err := l.Status().LastError; err == nil {
		t.Error("the status has no reason")
	}
	if err := l.Send(t.Context(), 7, bytesOf("x")); !errors.Is(err, ErrNotConnected) {
		t.Errorf("Send without a connection: %v", err)
	}

	for want := uint64(7); want < 10; want++ {
		peer := startRouter(t, endpoint, nil)
		up := l.nextUp()
		if up.Connection != want {
			t.Fatalf("connection %d is up, want %d", up.Connection, want)
		}
		l.say(up.Connection, []byte("identify"), []byte(fmt.Sprint(want)))
		got := peer.next()
		if got.From != config.Identity || string(got.Frames[1]) != fmt.Sprint(want) {
			t.Fatalf("the peer got %q from %q", got.Frames, got.From)
		}
		peer.send(config.Identity, bytesOf("dispatch", "")...)
		message := l.nextMessage()
		if message.Connection != want || len(message.Frames) != 2 || string(message.Frames[0]) != "dispatch" || len(message.Frames[1]) != 0 {
			t.Fatalf("got %#v", message)
		}
		var refused *NotConnectedError
		if err := l.Send(t.Context(), want-1, bytesOf("late")); !errors.As(err, &refused) || refused.Current != want {
			t.Errorf("Send on the connection before: %v", err)
		}
		peer.kill()
		if down := l.nextDown(); down.Connection != want {
			t.Fatalf("got %#v", down)
		}
		if err := l.Send(t.Context(), want, bytesOf("late")); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Send after Down: %v", err)
		}
	}
}

func TestBigMessagesBothWays(t *testing.T) {
	peer := startEcho(t, nil)
	l := run(t, quick(peer.endpoint))
	up := l.nextUp()

	big := make([]byte, 64<<20)
	for i := range big {
		big[i] = byte(i * 2654435761 >> 13)
	}
	l.say(up.Connection, []byte("header"), big)
	message := l.nextMessage()
	if len(message.Frames) != 2 || !bytes.Equal(message.Frames[1], big) {
		t.Fatal("64 MB came back changed")
	}
	if s := l.Status(); s.BytesIn < 64<<20 || s.BytesOut < 64<<20 || s.State != StateUp || s.Connection != up.Connection {
		t.Errorf("status: %+v", s)
	}
}

func TestManySmallMessagesInOrder(t *testing.T) {
	const messages = 20_000
	peer := startEcho(t, map[string]int{"SNDHWM": 0, "RCVHWM": 0})
	l := run(t, quick(peer.endpoint))
	up := l.nextUp()
	sent := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := l.Send(t.Context(), up.Connection, bytesOf("n", fmt.Sprint(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range messages {
		if got := string(l.nextMessage().Frames[1]); got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// A libzmq peer that asks for signs of life gets them, and gives us ours.
func TestIdleConnectionIsKeptByHeartbeats(t *testing.T) {
	t.Parallel()
	peer := startRouter(t, "tcp://127.0.0.1:*",
		map[string]int{"HEARTBEAT_IVL": 100, "HEARTBEAT_TIMEOUT": 10_000, "HEARTBEAT_TTL": 10_000})
	l := run(t, quick(peer.endpoint)) // which gives up after 10 s of silence
	up := l.nextUp()
	select {
	case event := <-l.Events():
		t.Fatalf("the idle connection did not stay as it was: %#v", event)
	case <-time.After(12 * time.Second): // longer than every time-out above
	}
	if s := l.Status(); s.RTT == 0 {
		t.Error("no PING was answered")
	}
	l.say(up.Connection, []byte("still here"))
	if got := peer.next(); string(got.Frames[0]) != "still here" {
		t.Errorf("the peer got %q", got.Frames)
	}
}

// With a peer that sends no heartbeats of its own, ours are the only bytes.
func TestOurPingsAloneKeepTheConnection(t *testing.T) {
	t.Parallel()
	peer := startRouter(t, "tcp://127.0.0.1:*", nil)
	l := run(t, quick(peer.endpoint)) // which gives up after 10 s of silence
	l.nextUp()
	select {
	case event := <-l.Events():
		t.Fatalf("got %#v", event)
	case <-time.After(12 * time.Second):
	}
}

func TestEndpointsOfEveryKind(t *testing.T) {
	kinds := map[string]string{"IPv6": "tcp://[::1]:*"}
	if runtime.GOOS != "windows" {
		kinds["ipc"] = "ipc://" + filepath.Join(t.TempDir(), "sentinel.sock")
	}
	for name, bind := range kinds {
		t.Run(name, func(t *testing.T) {
			peer := startRouter(t, bind, nil)
			l := run(t, quick(peer.endpoint))
			l.say(l.nextUp().Connection, []byte("over"), []byte(name))
			if got := peer.next(); string(got.Frames[1]) != name {
				t.Errorf("the peer got %q", got.Frames)
			}
		})
	}
	t.Run("name", func(t *testing.T) {
		peer := startRouter(t, "tcp://127.0.0.1:*", nil)
		l := run(t, quick(strings.Replace(peer.endpoint, "127.0.0.1", "localhost", 1)))
		l.say(l.nextUp().Connection, []byte("hello"))
		peer.next()
	})
}

// When Run's context ends, the peer frees the identity: because it was told so, and not
// because of a TTL that runs out. Run gives it a moment for that. The next link under it
// is heard, time after time, by a ROUTER without handover.
func TestIdentityIsFreeAfterAGoodEnd(t *testing.T) {
	peer := startRouter(t, "tcp://127.0.0.1:*", nil)
	for i := range 10 {
		config := quick(peer.endpoint)
		config.HeartbeatInterval = time.Hour
		l := run(t, config)
		up := l.nextUp()
		l.say(up.Connection, []byte(fmt.Sprint(i)))
		if got := peer.next(); string(got.Frames[0]) != fmt.Sprint(i) {
			t.Fatalf("round %d: the peer got %q", i, got.Frames)
		}
		began := time.Now()
		l.stop()
		if down := l.nextDown(); !errors.Is(down.Reason, ErrStopped) {
			t.Errorf("round %d: %v", i, down.Reason)
		}
		l.finish()
		if took := time.Since(began); took < settle {
			t.Errorf("round %d: Run returned after %s, the peer is to get %s", i, took, settle)
		}
		peer.awaitGone(config.Identity) // a busy one needs longer
		if s := l.Status(); s.State != StateStopped {
			t.Errorf("state %q", s.State)
		}
	}
}

func TestRunEndsWithoutAPeerAndWithoutAConsumer(t *testing.T) {
	peer := startRouter(t, "tcp://127.0.0.1:*", nil)
	l := run(t, quick(peer.endpoint))
	eventually(t, "a connection is up", func() bool { return l.Status().State == StateUp })
	l.say(l.Status().Connection, []byte("here I am"))
	from := peer.next().From
	before := l.Status().BytesIn
	const messages, size = 10, uint64(2 + len("unheard"))
	for range messages { // nobody takes these
		peer.send(from, []byte("unheard"))
	}
	eventually(t, "they came", func() bool { return l.Status().BytesIn >= before+messages*size })
	l.stop()
	l.awaitEnd(nil)

	absent := run(t, quick(freePort(t)))
	eventually(t, "it has dialled", func() bool { return absent.Status().Attempts > 0 })
	absent.finish()
	if err := absent.Run(context.Background()); err == nil {
		t.Error("Run may be called once")
	}
}

func TestConfigThatCannotBeUsed(t *testing.T) {
	good := Config{Endpoint: "tcp://127.0.0.1:5555", Identity: "w"}
	for _, c := range []struct {
		name  string
		field string
		edit  func(*Config)
	}{
		{"no scheme", "Endpoint", func(c *Config) { c.Endpoint = "127.0.0.1:5555" }},
		{"unknown scheme", "Endpoint", func(c *Config) { c.Endpoint = "udp://127.0.0.1:5555" }},
		{"no port", "Endpoint", func(c *Config) { c.Endpoint = "tcp://127.0.0.1" }},
		{"port 0", "Endpoint", func(c *Config) { c.Endpoint = "tcp://127.0.0.1:0" }},
		{"port too high", "Endpoint", func(c *Config) { c.Endpoint = "tcp://127.0.0.1:65536" }},
		{"a place to bind", "Endpoint", func(c *Config) { c.Endpoint = "tcp://*:5555" }},
		{"IPv6 without brackets", "Endpoint", func(c *Config) { c.Endpoint = "tcp://::1:5555" }},
		{"no path", "Endpoint", func(c *Config) { c.Endpoint = "ipc://" }},
		{"a path too long", "Endpoint", func(c *Config) { c.Endpoint = "ipc:///" + strings.Repeat("x", 200) }},
		{"no identity", "Identity", func(c *Config) { c.Identity = "" }},
		{"an identity too long", "Identity", func(c *Config) { c.Identity = strings.Repeat("x", 256) }},
		{"an identity that is not UTF-8", "Identity", func(c *Config) { c.Identity = "\xff" }},
		{"an identity with ZeroMQ's own start", "Identity", func(c *Config) { c.Identity = "\x00w" }},
		{"a negative limit", "MaxMessage", func(c *Config) { c.MaxMessage = -1 }},
		{"a negative time", "WriteStall", func(c *Config) { c.WriteStall = -1 }},
		{"back-off bounds the wrong way round", "MinBackoff", func(c *Config) { c.MinBackoff, c.MaxBackoff = 2, 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good
			c.edit(&config)
			_, err := New(config)
			var wrong *ConfigError
			if !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("got %v, want a ConfigError on %s", err, c.field)
			}
		})
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
