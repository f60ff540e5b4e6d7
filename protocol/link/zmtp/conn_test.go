package zmtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// Two of our own ends talk: messages of every shape arrive whole and in order,
// and each end knows who the other is.
func TestTwoEndsExchangeMessages(t *testing.T) {
	near, far := connected(t)
	accepted := make(chan *Conn, 1)
	failed := make(chan error, 1)
	go func() {
		conn, err := Open(t.Context(), far.Conn, Options{Type: zmq4.Router, Server: true})
		failed <- err
		accepted <- conn
	}()
	dealer, err := Open(t.Context(), near, Options{Type: zmq4.Dealer, Identity: "wörker"})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	router := <-accepted
	if got := router.PeerIdentity(); got != "wörker" {
		t.Errorf("the router knows its peer as %q", got)
	}
	if got := dealer.PeerType(); got != zmq4.Router {
		t.Errorf("the dealer takes its peer for a %q", got)
	}

	shapes := [][][]byte{
		{{}},
		{[]byte("one frame")},
		{[]byte("header"), {}},
		{bytes.Repeat([]byte{1}, 255), bytes.Repeat([]byte{2}, 256), {}, []byte("last")},
		{bytes.Repeat([]byte{3}, 3<<20)},
	}
	got := make(chan [][]byte, len(shapes))
	serving(t, router, func(m *Message) error { got <- m.Frames; return nil })
	serving(t, dealer, ignore)
	for _, shape := range shapes {
		if err := dealer.Send(t.Context(), shape); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range shapes {
		select {
		case frames := <-got:
			if len(frames) != len(want) {
				t.Fatalf("message %d has %d frames, want %d", i, len(frames), len(want))
			}
			for j := range want {
				if !bytes.Equal(frames[j], want[j]) {
					t.Errorf("message %d, frame %d: %d bytes differ from the %d sent", i, j, len(frames[j]), len(want[j]))
				}
			}
		case <-time.After(within):
			t.Fatalf("message %d did not arrive", i)
		}
	}
	if err := dealer.Send(t.Context(), nil); !errors.Is(err, ErrNoFrames) {
		t.Errorf("a message without frames: %v", err)
	}
}

func TestFirstPingGoesOutAtOnceWithTheTTL(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute})
	serving(t, conn, ignore)
	ping := peer.nextCommand("PING")
	if len(ping) != 18 || ping[0] != 0x04 || ping[1] != 0xb0 { // 1200 tenths of a second
		t.Fatalf("PING carries % x", ping)
	}
	peer.write(commandFrame("PONG", ping[2:]))
	eventually(t, "the PONG gives a round-trip time", func() bool { return conn.Stats().RTT > 0 })
}

func TestPingIsAnsweredWithItsContext(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute})
	serving(t, conn, ignore)
	for _, c := range []struct{ name, context, want string }{
		{"none", "", ""},
		{"some", "abc", "abc"},
		{"the longest", "0123456789abcdef", "0123456789abcdef"},
		{"too long is cut", "0123456789abcdefXYZ", "0123456789abcdef"},
	} {
		peer.write(pingFrame(c.context))
		if got := string(peer.nextCommand("PONG")); got != c.want {
			t.Errorf("%s: PONG carries %q, want %q", c.name, got, c.want)
		}
	}
}

// libzmq stops the TTL's clock with any frame that is not a PING. The interval is
// longer than the test may take: only the message can be the reason of the second one.
func TestPingFollowsEveryMessage(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Hour})
	serving(t, conn, ignore)
	peer.nextCommand("PING")
	if err := conn.Send(t.Context(), [][]byte{[]byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if got := peer.nextMessageFrame(); string(got) != "hello" {
		t.Fatalf("got %q", got)
	}
	peer.nextCommand("PING")
}

func TestSilentPeerIsGivenUpAfterTwoIntervals(t *testing.T) {
	const interval = 100 * time.Millisecond
	began := time.Now()
	conn, _ := opened(t, Options{HeartbeatInterval: interval})
	reason, _ := serving(t, conn, ignore)
	err := awaitReason(t, reason)
	if !errors.Is(err, ErrPeerSilent) {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*interval {
		t.Errorf("given up after %s already", took)
	}
	if conn.Released() {
		t.Error("a silent peer has not let go of anything")
	}
	if err := conn.Send(t.Context(), [][]byte{{}}); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrPeerSilent) {
		t.Errorf("a Send afterwards: %v", err)
	}
}

// A consumer that takes its time is no reason to give the peer up.
func TestBusyConsumerIsNotThePeersSilence(t *testing.T) {
	for interval := 50 * time.Millisecond; ; interval *= 2 {
		if interval > within {
			t.Fatal("the consumer never became busy")
		}
		conn, peer := opened(t, Options{HeartbeatInterval: interval})
		busy, goOn := make(chan struct{}), make(chan struct{})
		reason, _ := serving(t, conn, func(*Message) error {
			close(busy)
			<-goOn
			return nil
		})
		_, _ = peer.Write(frame(0, []byte("work"))) // to nobody, where the machine was that slow
		select {
		case <-busy:
		case err := <-reason:
			if !errors.Is(err, ErrPeerSilent) {
				t.Fatal(err)
			}
			continue // the message came too late: once more, with more patience
		}
		select {
		case err := <-reason:
			t.Errorf("ended while the consumer was busy: %v", err)
		case <-time.After(6 * interval):
		}
		close(goOn)
		if err := awaitReason(t, reason); !errors.Is(err, ErrPeerSilent) {
			t.Errorf("afterwards the silence counts again, got %v", err)
		}
		return
	}
}

// While one long message is on its way no PING can be. A peer that takes it in
// slowly, and says nothing, is alive.
func TestSlowReaderOfALongMessageIsAlive(t *testing.T) {
	t.Parallel()
	const interval = 3 * time.Second // a busy machine stands still, too
	const size = 40 << 20
	conn, peer := opened(t, Options{HeartbeatInterval: interval})
	reason, _ := serving(t, conn, ignore)
	began := time.Now()
	go func() {
		pace := time.NewTicker(50 * time.Millisecond)
		defer pace.Stop()
		piece := make([]byte, 256<<10)
		for {
			<-pace.C
			if _, err := peer.Read(piece); err != nil {
				return
			}
		}
	}()
	if err := conn.Send(t.Context(), [][]byte{make([]byte, size)}); err != nil {
		t.Fatalf("after %s: %v", time.Since(began), err)
	}
	if took := time.Since(began); took < 2*interval {
		t.Fatalf("the message took only %s: the test shows nothing", took)
	}
	awaitReason(t, reason) // nothing more comes: now it is silent
}

func TestStalledWriteEndsTheConnection(t *testing.T) {
	conn, _ := opened(t, Options{HeartbeatInterval: time.Minute, WriteStall: 100 * time.Millisecond})
	reason, _ := serving(t, conn, ignore)
	if err := conn.Send(t.Context(), [][]byte{make([]byte, 64<<20)}); !errors.Is(err, ErrWriteStalled) {
		t.Errorf("Send: %v", err)
	}
	if err := awaitReason(t, reason); !errors.Is(err, ErrWriteStalled) {
		t.Errorf("Serve: %v", err)
	}
}

func TestMessageGivenUpHalfWayEndsTheConnection(t *testing.T) {
	conn, _ := opened(t, Options{HeartbeatInterval: time.Minute})
	reason, _ := serving(t, conn, ignore)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	lostPatience := errors.New("lost patience")
	sent := make(chan error, 1)
	go func() { sent <- conn.Send(ctx, [][]byte{make([]byte, 64<<20)}) }() // which nobody reads
	eventually(t, "the message is on its way", func() bool { return conn.life.writing.Load() != 0 })
	cancel(lostPatience)
	if err := awaitReason(t, sent); !errors.Is(err, ErrInterrupted) || !errors.Is(err, lostPatience) {
		t.Errorf("Send: %v", err)
	}
	if err := awaitReason(t, reason); !errors.Is(err, ErrInterrupted) {
		t.Errorf("Serve: %v", err)
	}
}

// A Send that waits for its turn can be given up without harm.
func TestMessageGivenUpBeforeItsTurnDoesNoHarm(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute})
	serving(t, conn, ignore)
	peer.nextCommand("PING")
	long := make(chan error, 1)
	go func() { long <- conn.Send(t.Context(), [][]byte{make([]byte, 32<<20)}) }()
	eventually(t, "the long message is on its way", func() bool { return conn.life.writing.Load() != 0 })

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := conn.Send(ctx, [][]byte{[]byte("never")}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrInterrupted) {
		t.Errorf("the waiting Send: %v", err)
	}
	if got := len(peer.nextMessageFrame()); got != 32<<20 {
		t.Errorf("the long message arrived with %d bytes", got)
	}
	if err := <-long; err != nil {
		t.Errorf("the long message: %v", err)
	}
	if err := conn.Send(t.Context(), [][]byte{[]byte("next")}); err != nil {
		t.Fatal(err)
	}
	if got := peer.nextMessageFrame(); string(got) != "next" {
		t.Errorf("after it came %q", got)
	}
}

func TestGoodEndSendsAFinAndAwaitsThePeers(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute})
	conn.grace = within
	reason, stop := serving(t, conn, ignore)
	if err := conn.Send(t.Context(), [][]byte{[]byte("last")}); err != nil {
		t.Fatal(err)
	}
	stop()
	if got := peer.nextMessageFrame(); string(got) != "last" {
		t.Errorf("got %q", got)
	}
	for {
		_, _, err := peer.readFrame()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("instead of a FIN: %v", err)
		}
	}
	peer.Close()
	if err := awaitReason(t, reason); !errors.Is(err, ErrStopped) {
		t.Errorf("Serve: %v", err)
	}
	if !conn.Released() {
		t.Error("the peer's FIN was not seen")
	}
}

// Open gives up on its own, with a reason, whatever the peer does.
func TestHandshakeFailures(t *testing.T) {
	isProtocol := func(err error) bool { var p *ProtocolError; return errors.As(err, &p) }
	isLimit := func(err error) bool { var l *LimitError; return errors.As(err, &l) }
	is := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) }
	}
	mentions := func(words string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), words) }
	}
	ready := func(metadata []byte) []byte { return append(greetingBytes(), commandFrame("READY", metadata)...) }
	for _, c := range []struct {
		name      string
		says      []byte
		hangsUp   bool
		want      func(error) bool
		announced bool
	}{
		{"silence", nil, false, is(os.ErrDeadlineExceeded), false},
		{"hangs up at once", nil, true, is(ErrPeerClosed), false},
		{"another protocol, shorter than a greeting", []byte("SSH-2.0-x\r\n"), false, isProtocol, false},
		{"half a greeting", greetingBytes()[:20], true, is(ErrPeerClosed), false},
		{"a property name beyond the end", ready([]byte{200, 'x'}), false, isProtocol, true},
		{"a property value beyond the end", ready([]byte{1, 'x', 0xff, 0xff, 0xff, 0xff}), false, isProtocol, true},
		{"no value at all", ready([]byte{1, 'x'}), false, isProtocol, true},
		{"an unknown socket type", ready(property("Socket-Type", "SAMOVAR")), false, isProtocol, true},
		{"no socket type", ready(nil), false, isProtocol, true},
		{"a socket type that cannot talk to us", ready(property("Socket-Type", "PUB")), false, mentions("not compatible"), true},
		{"another command", append(greetingBytes(), commandFrame("WELCOME", nil)...), false, isProtocol, true},
		{"a message", append(greetingBytes(), frame(0, []byte("hi"))...), false, isProtocol, true},
		{"a command of 1 TiB", append(greetingBytes(), 6, 0, 0, 1, 0, 0, 0, 0, 0), false, isLimit, true},
		{"a refusal", append(greetingBytes(), commandFrame("ERROR", append([]byte{3}, "no!"...))...), false,
			func(err error) bool { var r *RefusedError; return errors.As(err, &r) && r.Reason == "no!" }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, peer := connected(t)
			talked := make(chan struct{})
			go func() {
				defer close(talked)
				_, _ = peer.Write(c.says)
				if c.hangsUp {
					_ = peer.Conn.(*net.TCPConn).CloseWrite()
				}
			}()
			timeout := within
			if c.name == "silence" {
				timeout = 100 * time.Millisecond
			}
			conn, err := Open(t.Context(), socket, Options{Type: zmq4.Dealer, Identity: "w", HandshakeTimeout: timeout})
			<-talked
			if conn != nil || err == nil {
				t.Fatal("the handshake succeeded")
			}
			if !c.want(err) {
				t.Errorf("got %v", err)
			}
			var failed *HandshakeError
			if !errors.As(err, &failed) {
				t.Fatalf("%v is no *HandshakeError", err)
			}
			if failed.Announced != c.announced {
				t.Errorf("Announced is %v (%v)", failed.Announced, err)
			}
		})
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	socket, _ := connected(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, socket, Options{Type: zmq4.Dealer}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// What a peer does wrong after the handshake ends the connection with a reason.
func TestTrafficThatBreaksTheRules(t *testing.T) {
	const limit, frames = 1000, 3
	isProtocol := func(err error) bool { var p *ProtocolError; return errors.As(err, &p) }
	isLimit := func(what string) func(error) bool {
		return func(err error) bool { var l *LimitError; return errors.As(err, &l) && l.What == what }
	}
	part := frame(flagMore, make([]byte, 255))
	for _, c := range []struct {
		name string
		says []byte
		want func(error) bool
	}{
		{"1 TiB", []byte{2, 0, 0, 1, 0, 0, 0, 0, 0}, isLimit("bytes of a message")},
		{"MaxInt64", []byte{2, 0x7f, 255, 255, 255, 255, 255, 255, 255}, isLimit("bytes of a message")},
		{"MaxUint64 behind another frame", append(bytes.Clone(part), 2, 255, 255, 255, 255, 255, 255, 255, 255), isLimit("bytes of a message")},
		{"one byte too many", frame(0, make([]byte, limit+1)), isLimit("bytes of a message")},
		{"too much in all frames", append(bytes.Repeat(part, 2), frame(0, make([]byte, limit-509))...), isLimit("bytes of a message")},
		{"too many frames", append(bytes.Repeat(frame(flagMore, nil), frames), frame(0, nil)...), isLimit("frames of a message")},
		{"a command of 1 MiB", []byte{flagCommand | flagLong, 0, 0, 0, 0, 0, 16, 0, 0}, isLimit("bytes of a command")},
		{"reserved flags", []byte{0x10, 0}, isProtocol},
		{"a command in pieces", []byte{flagCommand | flagMore, 0}, isProtocol},
		{"an empty command", []byte{flagCommand, 0}, isProtocol},
		{"a command name beyond its end", []byte{flagCommand, 2, 9, 'P'}, isProtocol},
		{"a PING without a TTL", commandFrame("PING", nil), isProtocol},
		{"an ERROR", commandFrame("ERROR", []byte("\x05enough")), func(err error) bool { var r *RefusedError; return errors.As(err, &r) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, peer := opened(t, Options{HeartbeatInterval: time.Minute, MaxMessage: limit, MaxFrames: frames})
			reason, _ := serving(t, conn, func(m *Message) error { return fmt.Errorf("a message of %d frames came through", len(m.Frames)) })
			peer.write(c.says)
			if err := awaitReason(t, reason); !c.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What is at the limit, or unknown but allowed, passes.
func TestTrafficWithinTheRules(t *testing.T) {
	const limit, frames = 1000, 3
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute, MaxMessage: limit, MaxFrames: frames})
	got := make(chan [][]byte, 4)
	reason, _ := serving(t, conn, func(m *Message) error { got <- m.Frames; return nil })
	peer.write(commandFrame("SUBSCRIBE", []byte("whatever")))
	peer.write(frame(0, make([]byte, limit)))
	peer.write(append(append(frame(flagMore, nil), frame(flagMore, make([]byte, 500))...), frame(0, make([]byte, 500))...))
	peer.write([]byte{flagLong, 0, 0, 0, 0, 0, 0, 0, 1, 'x'}) // a long size where a short one would do
	// libzmq's heartbeats come between two frames of a message, too.
	peer.write(append(append(append(frame(flagMore, nil), pingFrame("ctx")...), commandFrame("PONG", nil)...), frame(0, nil)...))
	for i, want := range []int{1, 3, 1, 2} {
		select {
		case f := <-got:
			if len(f) != want {
				t.Errorf("message %d has %d frames", i, len(f))
			}
		case err := <-reason:
			t.Fatal(err)
		case <-time.After(within):
			t.Fatal("nothing came")
		}
	}
	if context := peer.nextCommand("PONG"); string(context) != "ctx" {
		t.Errorf("the PING in a message was answered with %q", context)
	}
}

func TestPeerGoneWithinAFrame(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute})
	reason, _ := serving(t, conn, ignore)
	peer.nextCommand("PING")
	peer.write([]byte{0, 10, 'h', 'a', 'l', 'f'})
	peer.Close()
	if err := awaitReason(t, reason); !errors.Is(err, ErrPeerClosed) || err.Error() == ErrPeerClosed.Error() {
		t.Errorf("got %v", err)
	}
	if !conn.Released() {
		t.Error("the peer's FIN was not seen")
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
