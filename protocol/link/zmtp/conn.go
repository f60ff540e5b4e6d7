package zmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
)

// Conn is one open connection. [Conn.Serve] must be called, once: it reads,
// keeps the connection alive and ends it.
type Conn struct {
	options Options
	socket  net.Conn
	wire    *wire
	life    *life
	peer    zmq4.Metadata

	turn  chan struct{} // held by whoever writes, from a message's first byte to the flush
	pongs chan []byte   // contexts of PINGs to answer
	armed chan struct{} // something other than a PING was written
	pings pingLog

	grace    time.Duration // stopGrace
	ended    chan struct{} // closed when the socket is
	mu       sync.Mutex
	reason   error // why it ends; the first reason stays
	closed   bool
	released atomic.Bool // the peer's FIN was seen
}

// Open performs the ZMTP handshake over socket, within Options.HandshakeTimeout
// and until ctx ends. It owns socket from here on and closes it on failure. Every
// failure is a *HandshakeError. A hostile peer can make it fail, not hang or panic.
func Open(ctx context.Context, socket net.Conn, options Options) (*Conn, error) {
	o := options.withDefaults()
	c := &Conn{
		options: o,
		socket:  socket,
		life:    newLife(o.HeartbeatInterval),
		turn:    make(chan struct{}, 1),
		pongs:   make(chan []byte, 16),
		armed:   make(chan struct{}, 1),
		grace:   stopGrace,
		ended:   make(chan struct{}),
	}
	c.wire = newWire(socket, o, c.life, c.onCommand)
	c.wire.began = func() { c.pings.before = c.pings.echoed }

	mechanism := newMechanism(o)
	if err := c.handshake(ctx, mechanism); err != nil {
		abort(socket)
		return nil, &HandshakeError{Err: err, Announced: mechanism.outcome().announced && !errors.Is(err, ErrPeerClosed)}
	}
	return c, nil
}

func (c *Conn) handshake(ctx context.Context, m mechanism) error {
	if err := c.socket.SetDeadline(time.Now().Add(c.options.HandshakeTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.socket.Close() })
	hands := &shaking{Conn: c.socket, wire: c.wire, mechanism: string(m.Type())}
	peer, err := hands.shake(c.options, m)
	if !stop() {
		return context.Cause(ctx)
	}
	if err == nil {
		err = c.socket.SetDeadline(time.Time{})
	}
	if err != nil {
		return c.handshakeReason(hands, m, err)
	}
	c.peer = peer
	c.wire.opened(m.outcome().session, c.options.WriteStall)
	c.life.last.Store(c.life.now())
	return nil
}

// handshakeReason prefers what reading failed with, and errors of ours, to zmq4's
// words for them.
func (c *Conn) handshakeReason(hands *shaking, m mechanism, err error) error {
	var broken *ProtocolError
	var insecure *SecurityError
	var network net.Error
	failed := hands.failed
	switch {
	case failed == io.EOF, failed == io.ErrUnexpectedEOF:
		return fmt.Errorf("%w in the handshake%s", ErrPeerClosed, hands.hint(m))
	case errors.Is(failed, os.ErrDeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("not done within %s: %w", c.options.HandshakeTimeout, os.ErrDeadlineExceeded)
	case failed != nil:
		return failed
	case errors.As(err, &broken):
		return broken
	case errors.As(err, &insecure):
		return insecure
	case errors.As(err, &network), errors.Is(err, errClientOnly):
		return err
	}
	return &ProtocolError{err.Error()}
}

// PeerType is the peer's socket type.
func (c *Conn) PeerType() zmq4.SocketType {
	return zmq4.SocketType(c.peer["Socket-Type"])
}

// PeerIdentity is the routing id that the peer announced, "" when it has none.
func (c *Conn) PeerIdentity() string { return c.peer["Identity"] }

// Serve reads until the connection ends and gives the reason, never nil. Every
// message goes to receive, in order, and is receive's to keep. While receive is busy
// nothing is read, and the peer's silence does not count. An error of receive ends
// the connection.
//
// When ctx ends, the message being written is finished, a FIN is sent and the
// peer's FIN awaited, both within a short grace: so that the peer frees our
// identity. What still comes in then is dropped.
//
// When Serve returns, the socket is closed and no goroutine is left.
func (c *Conn) Serve(ctx context.Context, receive func(*Message) error) error {
	var background sync.WaitGroup
	background.Go(c.keepAlive)
	background.Go(c.watch)

	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		c.stop()
	})
	err := c.read(ctx, receive)
	if c.released.Load() {
		c.close(err)
	} else {
		c.abort(err)
	}
	if !stop() {
		<-stopped
	}
	background.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

func (c *Conn) read(ctx context.Context, receive func(*Message) error) error {
	for {
		message, err := c.wire.readMessage()
		if err != nil {
			return c.readReason(err)
		}
		if ctx.Err() != nil {
			continue
		}
		c.life.held.Store(true)
		err = receive(message)
		c.life.last.Store(c.life.now())
		c.life.held.Store(false)
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (c *Conn) readReason(err error) error {
	switch {
	case err == io.EOF:
		c.released.Store(true)
		return ErrPeerClosed
	case err == io.ErrUnexpectedEOF:
		c.released.Store(true)
		return fmt.Errorf("%w within a message", ErrPeerClosed)
	}
	return fmt.Errorf("read: %w", err)
}

// Released tells, after Serve has returned, that the peer's FIN was seen: the
// peer has let go of the connection. Otherwise it may take it for alive until the
// TTL of our last PING has run out.
func (c *Conn) Released() bool { return c.released.Load() }

// Send writes one message. nil means that the socket took all of its bytes, and
// no more than that: whether they arrive, and whether anybody reads them, is not
// known. The frames are borrowed for the duration of the call.
//
// An error for which errors.Is(err, ErrClosed) holds, and one of ctx before its
// turn came, mean that nothing was written. After any other error a part may have
// been written, and the connection is closed. Send may be called from several
// goroutines, from Open on.
func (c *Conn) Send(ctx context.Context, frames [][]byte) error {
	if len(frames) == 0 {
		return ErrNoFrames
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
		return c.closedError()
	}
	defer func() { <-c.turn }()
	if c.isEnding() {
		return c.closedError()
	}

	c.life.writing.Store(c.life.now())
	defer c.life.writing.Store(0)
	giveUp := context.AfterFunc(ctx, func() {
		c.abort(fmt.Errorf("%w: %w", ErrInterrupted, context.Cause(ctx)))
	})
	err := c.wire.putMessage(frames)
	c.pings.messages.Add(1)
	if err == nil && c.options.Echo {
		err = c.wire.putCommand(zmq4.CmdPing, c.nextPing())
	}
	if err == nil {
		err = c.wire.out.Flush()
	}
	giveUp()
	if err != nil {
		return c.writeFailed(err)
	}
	if !c.options.Echo {
		select {
		case c.armed <- struct{}{}:
		default:
		}
	}
	return nil
}

// writeFailed ends the connection and gives the reason that stays.
func (c *Conn) writeFailed(err error) error {
	return c.abort(fmt.Errorf("write: %w", err))
}

func (c *Conn) closedError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrClosed, c.reason)
}

// stop ends the connection in good order. It never gives the turn back: nothing
// may be written behind the FIN.
func (c *Conn) stop() {
	c.because(ErrStopped)
	grace := time.NewTimer(c.grace)
	defer grace.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-c.ended:
		return
	case <-grace.C:
		c.abort(ErrStopped)
		return
	}
	half, ok := c.socket.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.close(ErrStopped)
		return
	}
	// The reader goes on until the peer's FIN. Had we closed with bytes unread,
	// the system would have sent a reset instead of a FIN.
	if err := c.socket.SetReadDeadline(time.Now().Add(c.grace)); err != nil {
		c.abort(ErrStopped)
	}
}

// because notes the reason once and gives the one that stays.
func (c *Conn) because(reason error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
	}
	return c.reason
}

func (c *Conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason != nil
}

// close lets go of the socket; what it took so far is still sent.
func (c *Conn) close(reason error) error { return c.end(reason, c.socket.Close) }

// Abort ends the connection at once, for a reason of the caller's.
func (c *Conn) Abort(reason error) { _ = c.abort(reason) }

// abort lets go of the socket with a reset and drops what it has not sent: bytes
// that trickle out later could only confuse a peer that has us down as gone.
func (c *Conn) abort(reason error) error {
	return c.end(reason, func() error { return abort(c.socket) })
}

func (c *Conn) end(reason error, letGo func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
	}
	if !c.closed {
		c.closed = true
		_ = letGo() // the socket is gone whatever it says
		close(c.ended)
	}
	return c.reason
}

func abort(socket net.Conn) error {
	if tcp, ok := socket.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0) // only the manner of closing depends on it
	}
	return socket.Close()
}

// Stats is a view of a connection's traffic.
type Stats struct {
	BytesIn, BytesOut uint64        // on the socket, framing and handshake included
	LastHeard         time.Time     // of the last byte that came
	RTT               time.Duration // of the last PING that was answered, 0 before
}

// Stats may be called at any time.
func (c *Conn) Stats() Stats {
	return Stats{
		BytesIn:   c.life.bytesIn.Load(),
		BytesOut:  c.life.bytesOut.Load(),
		LastHeard: c.life.at(c.life.last.Load()),
		RTT:       time.Duration(c.life.rtt.Load()),
	}
}
