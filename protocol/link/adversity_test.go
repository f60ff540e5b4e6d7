package link

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// noticed is a heartbeat interval for tests in which a peer's silence is to be noticed.
const noticed = 2 * time.Second

// wire is a network between the link and the ROUTER that can swallow everything.
// A swallowed connection stays open on both sides: no FIN and no reset comes through.
type wire struct {
	t        *testing.T
	listener net.Listener
	to       string

	mu      sync.Mutex
	pairs   []*pair
	running sync.WaitGroup
}

type pair struct {
	near, far net.Conn
	mu        sync.Mutex
	dead      bool
	last      []byte // that came from near and was passed on
}

func layWire(t *testing.T, to string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listener: listener, to: to}
	w.running.Go(w.accept)
	t.Cleanup(w.remove)
	return w
}

func (w *wire) endpoint() string { return "tcp://" + w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			near.Close()
			continue
		}
		p := &pair{near: near, far: far}
		w.mu.Lock()
		w.pairs = append(w.pairs, p)
		w.mu.Unlock()
		w.running.Go(func() { p.carry(far, near) })
		w.running.Go(func() { p.carry(near, far) })
	}
}

func (p *pair) carry(to, from net.Conn) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		p.mu.Lock()
		dead := p.dead
		p.mu.Unlock()
		if dead {
			if err != nil {
				return
			}
			continue
		}
		if from == p.near && n > 0 {
			p.mu.Lock()
			p.last = append(p.last[:0], piece[:n]...)
			p.mu.Unlock()
		}
		if _, werr := to.Write(piece[:n]); err != nil || werr != nil {
			to.Close()
			from.Close()
			return
		}
	}
}

// endsWithPing tells that the last thing that the link said was a PING.
func (w *wire) endsWithPing() bool {
	ends := false
	w.each(func(p *pair) {
		p.mu.Lock()
		defer p.mu.Unlock()
		const size = 2 + 5 + 2 + 16 // header, name, TTL, context
		ends = len(p.last) >= size && bytes.HasPrefix(p.last[len(p.last)-size+2:], []byte("\x04PING"))
	})
	return ends
}

// swallow cuts all present connections without a sign. Later ones are not touched.
func (w *wire) swallow() {
	w.each(func(p *pair) {
		p.mu.Lock()
		p.dead = true
		p.mu.Unlock()
	})
}

// reset cuts all present connections as a firewall does that has lost its table:
// the link gets a reset, and the ROUTER gets nothing.
func (w *wire) reset() {
	w.swallow()
	w.each(func(p *pair) {
		_ = p.near.(*net.TCPConn).SetLinger(0)
		p.near.Close()
	})
}

func (w *wire) each(do func(*pair)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pairs {
		do(p)
	}
}

func (w *wire) remove() {
	w.listener.Close()
	w.each(func(p *pair) {
		p.near.Close()
		p.far.Close()
	})
	w.running.Wait()
}

// The network dies under a ROUTER without handover that sends no heartbeats and
// keeps our identity. The link notices, waits until the ROUTER must have let go, and
// is heard again. Had it dialled at once, the ROUTER would have ignored it in silence.
func TestDeadNetworkIsNoticedAndTheIdentityIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name     string
		cut      func(*wire)
		isReason func(error) bool
	}{
		{"everything is swallowed", (*wire).swallow, func(err error) bool { return errors.Is(err, ErrPeerSilent) }},
		{"our side alone is reset", (*wire).reset, func(err error) bool {
			return !errors.Is(err, ErrPeerClosed) && !errors.Is(err, ErrPeerSilent)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peer := startRouter(t, "tcp://127.0.0.1:*", nil)
			network := layWire(t, peer.endpoint[len("tcp://"):])
			config := quick(network.endpoint())
			config.HeartbeatInterval, config.margin = noticed, 4*time.Second // libzmq may be late on a busy machine
			l := run(t, config)

			for round := range 2 {
				up := l.nextUp()
				// A connection on which a message came is not doubted.
				peer.exchange(l, up.Connection, fmt.Sprint("round ", round))
				l.say(up.Connection, []byte("the last word"))
				peer.next()
				// A PING follows the message: the TTL counts.
				eventually(t, "a PING is behind the message", network.endsWithPing)

				c.cut(network)
				cut := time.Now()
				if down := l.nextDown(); !c.isReason(down.Reason) {
					t.Errorf("round %d: %v", round, down.Reason)
				}
				if took := time.Since(cut); took > within/2 { // drills measure it
					t.Errorf("round %d: noticed after %s only", round, took)
				}
			}
			l.say(l.nextUp().Connection, []byte("after all"))
			if got := peer.next(); string(got.Frames[0]) != "after all" {
				t.Errorf("the peer got %q", got.Frames)
			}
		})
	}
}

// hostile listens and does as told with every connection.
type hostile struct {
	listener net.Listener
	running  sync.WaitGroup
	stopped  chan struct{} // closed when the test ends
}

func startHostile(t *testing.T, does func(conn net.Conn, stopped <-chan struct{})) *hostile {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{listener: listener, stopped: make(chan struct{})}
	h.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			h.running.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(within))
				does(conn, h.stopped)
			})
		}
	})
	t.Cleanup(func() {
		close(h.stopped)
		listener.Close()
		h.running.Wait()
	})
	return h
}

func (h *hostile) endpoint() string { return "tcp://" + h.listener.Addr().String() }

// greeting is a ZMTP 3 greeting with the NULL mechanism.
func greeting() []byte {
	g := make([]byte, 64)
	g[0], g[9], g[10] = 0xff, 0x7f, 3
	copy(g[12:], "NULL")
	return g
}

// shakeHands is a ROUTER's side of a good handshake.
func shakeHands(conn net.Conn) error {
	if _, err := conn.Write(greeting()); err != nil {
		return err
	}
	head := make([]byte, 64+2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, head[65])); err != nil {
		return err
	}
	_, err := conn.Write(append([]byte{4, 28}, "\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"...))
	return err
}

// saying sends some bytes, after the handshake or in its place, and waits.
func saying(handshake bool, words string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, stopped <-chan struct{}) {
		if handshake && shakeHands(conn) != nil {
			return
		}
		if _, err := io.WriteString(conn, words); err != nil {
			return
		}
		<-stopped
	}
}

// Peers that nobody would wish for. Each costs a few dials with a reason to show,
// and none of them a panic or a hang.
func TestHostilePeers(t *testing.T) {
	for _, c := range []struct {
		name  string
		comes bool // a connection comes up
		does  func(net.Conn, <-chan struct{})
		want  Kind
	}{
		{"garbage", false, saying(false, "HTTP/1.1 400 Bad Request\r\n\r\n"), KindProtocol},
		{"a silent peer", false, saying(false, ""), KindHandshake},
		{"a slow peer that never gets done", false, func(conn net.Conn, stopped <-chan struct{}) {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for _, b := range greeting() {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				select {
				case <-pace.C:
				case <-stopped:
					return
				}
			}
		}, KindHandshake},
		{"malformed READY", false, saying(false, string(greeting())+"\x04\x08\x05READY\xc8x"), KindProtocol},
		{"a READY of 1 TiB", false, saying(false, string(greeting())+"\x06\x00\x00\x01\x00\x00\x00\x00\x00"), KindLimit},
		{"accept, then close", false, func(conn net.Conn, _ <-chan struct{}) {
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		}, KindClosed},
		{"handshake, then close", true, func(conn net.Conn, _ <-chan struct{}) {
			if shakeHands(conn) == nil {
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			}
		}, KindClosed},
		{"a frame of 1 TiB", true, saying(true, "\x02\x00\x00\x01\x00\x00\x00\x00\x00"), KindLimit},
		{"a frame of MaxInt64", true, saying(true, "\x02\x7f\xff\xff\xff\xff\xff\xff\xff"), KindLimit},
		{"half a frame, then silence", true, saying(true, "\x00\x0ahalf"), KindSilent},
		{"half a frame, then gone", true, func(conn net.Conn, _ <-chan struct{}) {
			if shakeHands(conn) == nil {
				_, _ = io.WriteString(conn, "\x00\x0ahalf")
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			}
		}, KindClosed},
		{"garbage after the handshake", true, saying(true, "\xf0\x9f\x92\xa9"), KindProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peer := startHostile(t, c.does)
			config := quick(peer.endpoint())
			// It waits for the TTL before it comes back, and there is no identity to wait for.
			config.HeartbeatInterval, config.margin = noticed, time.Millisecond
			config.afterFunc = func(_ time.Duration, doubt func()) *time.Timer { return time.AfterFunc(time.Hour, doubt) }
			switch c.want { // a busy machine must not make these of the others
			case KindSilent:
				config.HeartbeatInterval = 300 * time.Millisecond
			case KindHandshake:
				config.HandshakeTimeout = 200 * time.Millisecond
			}
			l := run(t, config)
			for range 2 { // it comes back for more
				if c.comes {
					up := l.nextUp()
					if down := l.nextDown(); down.Connection != up.Connection || KindOf(down.Reason) != c.want {
						t.Errorf("down: %+v", down)
					}
				}
			}
			counted := func() (n uint64) {
				for _, kind := range l.Status().Reasons {
					n += kind
				}
				return n
			}
			eventually(t, "both ends are counted", func() bool { return counted() >= 2 })
			if status := l.Status(); len(status.Reasons) != 1 || status.Reasons[c.want] == 0 || KindOf(status.LastError) != c.want {
				t.Errorf("counted: %v, the last is %v", status.Reasons, status.LastError)
			}
		})
	}
}

// A peer that closes every connection is dialled ever more slowly.
func TestPeerThatClosesAtOnceIsNotBesieged(t *testing.T) {
	peer := startHostile(t, func(net.Conn, <-chan struct{}) {})
	config := quick(peer.endpoint())
	began := time.Now()
	l := run(t, config)
	const dials = 8
	eventually(t, "it was dialled several times", func() bool { return l.Status().Attempts >= dials })
	// 20, 40, 80, 160 and then 200 ms, at most one half taken off.
	if took, least := time.Since(began), (20+40+80+160+3*200)/2*time.Millisecond; took < least {
		t.Errorf("%d dials in %s, at least %s must lie between them", dials, took, least)
	}
}

// A flood of small messages does not pile up when nobody takes them.
func TestFloodWaitsForTheConsumer(t *testing.T) {
	const messages = 200_000
	peer := startHostile(t, func(conn net.Conn, stopped <-chan struct{}) {
		if shakeHands(conn) != nil {
			return
		}
		flood := make([]byte, 2*messages) // empty frames
		if _, err := conn.Write(flood); err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, conn)
	})
	config := quick(peer.endpoint())
	l := run(t, config)
	l.nextUp()
	eventually(t, "the queue is full", func() bool {
		l.inbox.mu.Lock()
		defer l.inbox.mu.Unlock()
		if len(l.inbox.events) > inboxEvents {
			t.Fatalf("%d events wait", len(l.inbox.events))
		}
		return len(l.inbox.events) == inboxEvents
	})
	for i := range messages {
		if got := l.nextMessage(); len(got.Frames) != 1 || len(got.Frames[0]) != 0 {
			t.Fatalf("message %d: %v", i, got.Frames)
		}
	}
}
