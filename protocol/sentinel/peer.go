package sentinel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/link/zmtp"
)

// peer is one open connection of a worker.
type peer struct {
	identity string
	conn     *zmtp.Conn
	outbox   chan [][]byte
	leave    context.CancelFunc
	log      *slog.Logger
}

const (
	// outboxMessages may wait for a slow worker. A worker has one job at a time.
	outboxMessages = 64

	// acceptPause follows a failed accept: out of descriptors, most likely.
	acceptPause = 50 * time.Millisecond
)

// accept serves every connection in a goroutine of its own, until ctx ends or the
// listener is closed.
func (s *Sentinel) accept(ctx context.Context) error {
	for {
		select {
		case s.places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		socket, err := s.listener.Accept()
		if err != nil {
			<-s.places
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("sentinel: accept on %s: %w", s.endpoint, err)
			}
			s.log.Warn("a connection could not be accepted", "reason", err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		s.peers.Go(func() {
			defer func() { <-s.places }()
			if err := s.serve(ctx, socket); err != nil && ctx.Err() == nil {
				s.log.Info("connection ended", "from", socket.RemoteAddr(), "reason", err)
			}
		})
	}
}

// serve speaks with one worker to the end of its connection.
func (s *Sentinel) serve(ctx context.Context, socket net.Conn) error {
	conn, err := zmtp.Open(ctx, socket, zmtp.Options{Type: zmq4.Router, Server: true})
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	p := &peer{
		identity: conn.PeerIdentity(), conn: conn, leave: leave, log: s.log,
		outbox: make(chan [][]byte, outboxMessages),
	}
	// Even when ctx has ended, Serve is what closes the connection.
	known := s.ask(ctx, func(book *ledger) { book.connected(p) })
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		p.write(ctx)
	}()
	reason := conn.Serve(ctx, func(m *zmtp.Message) error { return s.read(ctx, p, m.Frames) })
	leave()
	<-writing
	if known == nil {
		// Run's goroutine takes this on, or has ended.
		_ = s.ask(context.WithoutCancel(ctx), func(book *ledger) { book.disconnected(p) })
	}
	return reason
}

// read hands a message to Run's goroutine. One that cannot be read is skipped, as
// the Sentinel does; an IDENTIFY is answered with an ERR then.
func (s *Sentinel) read(ctx context.Context, p *peer, frames [][]byte) error {
	message, err := protocol.Decode(frames)
	if err == nil {
		return s.ask(ctx, func(book *ledger) { book.received(p, message) })
	}
	s.log.Warn("message from a worker skipped", "worker", p.identity, "reason", err)
	if header, err := protocol.ParseHeader(frames[0]); err == nil && header.Op == protocol.OpIdentify {
		p.refuseIdentity()
	}
	return nil
}

func (p *peer) refuseIdentity() {
	frames, err := protocol.Encode(protocol.Message{Payload: protocol.Error{Message: "Bad IDENTIFY payload"}})
	if err != nil {
		p.log.Error("an ERR could not be encoded", "reason", err)
		return
	}
	p.send(frames)
}

// send never waits: a message for a worker that does not read is dropped, as a
// ROUTER does at its high-water mark.
func (p *peer) send(frames [][]byte) {
	select {
	case p.outbox <- frames:
	default:
		p.log.Warn("a message to a worker was dropped: it does not read", "worker", p.identity)
	}
}

// write sends what is in the outbox, until ctx or the connection ends.
func (p *peer) write(ctx context.Context) {
	for {
		select {
		case frames := <-p.outbox:
			if p.conn.Send(ctx, frames) != nil {
				return // Serve gives the reason
			}
		case <-ctx.Done():
			return
		}
	}
}
