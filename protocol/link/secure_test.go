package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

func newPair(t *testing.T) curve.Pair {
	t.Helper()
	pair, err := curve.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// startSecureRouter binds a ROUTER that lets in the clients alone. The options may
// hold what startRouterWith takes.
func startSecureRouter(t *testing.T, keys curve.Pair, options map[string]any, clients ...curve.Pair) *router {
	t.Helper()
	var known []string
	for _, c := range clients {
		known = append(known, c.Public.Text())
	}
	arguments := map[string]any{"bind": "tcp://127.0.0.1:*",
		"curve": map[string]any{"public": keys.Public.Text(), "secret": keys.SecretText(), "clients": known}}
	for name, value := range options {
		arguments[name] = value
	}
	return startRouterWith(t, arguments)
}

// libzmq and the link speak PLAIN and CURVE with each other: messages of every size
// go there and come back as they were, and heartbeats of both sides keep the link.
func TestSecuredLinksCarryMessagesBothWays(t *testing.T) {
	keys, ours := newPair(t), newPair(t)
	heartbeats := map[string]int{"HEARTBEAT_IVL": 100, "HEARTBEAT_TIMEOUT": 60_000, "HEARTBEAT_TTL": 60_000}
	for _, c := range []struct {
		name   string
		start  func(t *testing.T) *router
		secure func(*Config)
	}{
		{"PLAIN", func(t *testing.T) *router {
			return startRouterWith(t, map[string]any{"bind": "tcp://127.0.0.1:*", "echo": true, "options": heartbeats,
				"plain": map[string]string{"worker": "pässword"}})
		}, func(c *Config) { c.Plain = &Plain{Username: "worker", Password: "pässword"} }},
		{"CURVE", func(t *testing.T) *router {
			return startSecureRouter(t, keys, map[string]any{"echo": true, "options": heartbeats}, ours)
		}, func(c *Config) { c.Curve = &CurveClient{Server: keys.Public, Keys: ours} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer := c.start(t)
			config := quick(peer.endpoint)
			config.HeartbeatInterval = 30 * time.Second // libzmq is silent while it opens and seals 64 MB
			c.secure(&config)
			l := run(t, config)
			up := l.nextUp()
			content := func(size int) []byte {
				body := make([]byte, size)
				for i := range body {
					body[i] = byte((i + size) * 2654435761 >> 13)
				}
				return body
			}
			kept := map[int]Received{}
			for i, size := range []int{0, 1, 255, 256, 70_000, 70_001, 70_002, 70_003, 64 << 20} {
				body := content(size)
				l.say(up.Connection, []byte("header"), body, nil)
				got := l.nextMessage()
				if len(got.Frames) != 3 || string(got.Frames[0]) != "header" || !bytes.Equal(got.Frames[1], body) || len(got.Frames[2]) != 0 {
					t.Fatalf("%d bytes came back changed", size)
				}
				if i%2 == 0 {
					kept[size] = got
				} else {
					got.Release()
				}
			}
			for size, got := range kept {
				if !bytes.Equal(got.Frames[1], content(size)) {
					t.Errorf("%d bytes have changed since", size)
				}
			}
			eventually(t, "a PING was answered", func() bool { return l.Status().RTT > 0 })
		})
	}
}

// Who is not let in is told so, and says so.
func TestTheWrongCredentialsAreRefused(t *testing.T) {
	keys, ours, known := newPair(t), newPair(t), newPair(t)
	says := func(words string) func(error) bool {
		return func(err error) bool { return errors.Is(err, ErrPeerClosed) && strings.Contains(err.Error(), words) }
	}
	isRefused := func(err error) bool {
		var r *RefusedError
		return errors.As(err, &r) && strings.Contains(err.Error(), "does not know our key, or our name")
	}
	plain := map[string]any{"bind": "tcp://127.0.0.1:*", "plain": map[string]string{"worker": "right"}}
	ofCurve := map[string]any{"bind": "tcp://127.0.0.1:*",
		"curve": map[string]any{"public": keys.Public.Text(), "secret": keys.SecretText(), "clients": []string{known.Public.Text()}}}
	for _, c := range []struct {
		name   string
		peer   map[string]any
		secure func(*Config)
		want   func(error) bool
	}{
		{"another password", plain, func(c *Config) { c.Plain = &Plain{Username: "worker", Password: "wrong"} }, isRefused},
		{"a key that is not known", ofCurve, func(c *Config) { c.Curve = &CurveClient{Server: keys.Public, Keys: ours} }, isRefused},
		{"another server's key", ofCurve, func(c *Config) { c.Curve = &CurveClient{Server: ours.Public, Keys: known} }, says("its key may be another")},
		{"no CURVE on our side", ofCurve, func(*Config) {}, says("another mechanism than NULL")},
		{"no CURVE on theirs", map[string]any{"bind": "tcp://127.0.0.1:*"},
			func(c *Config) { c.Curve = &CurveClient{Server: keys.Public, Keys: ours} }, says("another mechanism than CURVE")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peer := startRouterWith(t, c.peer)
			config := quick(peer.endpoint)
			c.secure(&config)
			l := run(t, config)
			eventually(t, "the handshake has failed", func() bool { return l.Status().Failures > 0 })
			if err := l.Status().LastError; !c.want(err) {
				t.Errorf("the reason is %v", err)
			}
		})
	}
}

// A peer without the secret of the server's key, even one that goes on with the
// handshake, gets a greeting and a HELLO, and nothing in them is about us.
func TestNothingIsSentToAnotherServer(t *testing.T) {
	server, ours := newPair(t), newPair(t)
	const hello = 2 + 1 + len("HELLO") + 194
	heard := make(chan []byte)
	peer := startHostile(t, func(conn net.Conn, stopped <-chan struct{}) {
		all := append([]byte("\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00CURVE"), make([]byte, 64-17)...)
		if _, err := conn.Write(all); err != nil {
			return
		}
		got := make([]byte, 64+hello)
		if _, err := io.ReadFull(conn, got); err != nil {
			return
		}
		welcome := append([]byte("\x04\xa8\x07WELCOME"), make([]byte, 160)...)
		_, _ = conn.Write(welcome)
		rest, _ := io.ReadAll(conn)
		select {
		case heard <- append(got, rest...):
		case <-stopped: // it was dialled many times
		}
	})
	config := quick(peer.endpoint())
	config.Curve = &CurveClient{Server: server.Public, Keys: ours}
	l := run(t, config)
	var got []byte
	select {
	case got = <-heard:
	case <-time.After(within):
		t.Fatal("the peer was not dialled")
	}
	if len(got) != 64+hello || !strings.HasPrefix(string(got[64:]), "\x04\xc8\x05HELLO") {
		t.Errorf("the peer got %d bytes: %q", len(got), got)
	}
	for what, secret := range map[string][]byte{"identity": []byte(config.Identity), "key": ours.Public[:]} {
		if bytes.Contains(got, secret) {
			t.Errorf("the peer learned our %s", what)
		}
	}
	eventually(t, "the handshake has failed", func() bool { return l.Status().Failures > 0 })
	if err := l.Status().LastError; !errors.Is(err, curve.ErrNotTheServer) {
		t.Errorf("the reason is %v", err)
	}
}

// Somebody on the way repeats a box of the real server.
func TestAReplayedBoxEndsTheConnection(t *testing.T) {
	keys, ours := newPair(t), newPair(t)
	peer := startSecureRouter(t, keys, map[string]any{"echo": true}, ours)
	between := startRepeater(t, peer.endpoint[len("tcp://"):])
	config := quick(between.endpoint())
	config.HeartbeatInterval = time.Minute
	config.Curve = &CurveClient{Server: keys.Public, Keys: ours}
	l := run(t, config)
	up := l.nextUp()
	l.say(up.Connection, []byte("once"))
	if got := l.nextMessage(); string(got.Frames[0]) != "once" {
		t.Fatalf("got %q", got.Frames)
	}
	between.repeat <- struct{}{}
	if down := l.nextDown(); !errors.Is(down.Reason, curve.ErrReplayed) {
		t.Errorf("down because of %v", down.Reason)
	}
}

// repeater is a network that can repeat the last frame of the server.
type repeater struct {
	*hostile
	repeat chan struct{}
}

func startRepeater(t *testing.T, to string) *repeater {
	t.Helper()
	r := &repeater{repeat: make(chan struct{})}
	r.hostile = startHostile(t, func(near net.Conn, stopped <-chan struct{}) {
		far, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		var carrying sync.WaitGroup
		defer carrying.Wait()
		defer near.Close()
		defer far.Close()
		carrying.Go(func() {
			// Bare sockets would be joined by a pipe that the runtime keeps.
			_, _ = io.Copy(struct{ io.Writer }{far}, struct{ io.Reader }{near})
		})
		var mu sync.Mutex
		var last []byte
		carrying.Go(func() {
			piece, err := make([]byte, 64), error(nil) // the greeting, then whole frames
			_, err = io.ReadFull(far, piece)
			for err == nil {
				mu.Lock()
				_, err = near.Write(piece)
				last = piece
				mu.Unlock()
				if err == nil {
					piece, err = shortFrame(far)
				}
			}
		})
		select {
		case <-r.repeat:
			mu.Lock()
			_, _ = near.Write(last)
			mu.Unlock()
			<-stopped
		case <-stopped:
		}
	})
	return r
}

// shortFrame reads one of up to 255 bytes.
func shortFrame(from io.Reader) ([]byte, error) {
	header := make([]byte, 2)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	body := make([]byte, header[1])
	_, err := io.ReadFull(from, body)
	return append(header, body...), err
}
