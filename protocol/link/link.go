package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/protocol/link/zmtp"
)

// Link is a supervised connection. Make it with [New], then call [Link.Run] once
// and drain [Link.Events].
type Link struct {
	config  Config
	to      []endpoint
	events  chan Event
	inbox   *inbox
	running atomic.Bool
	current atomic.Pointer[connection] // that is up, or nil

	mu     sync.Mutex
	status Status
}

// connection is an open connection under its number.
type connection struct {
	number uint64
	conn   *zmtp.Conn
}

// New checks config and dials nothing. Its error is a *ConfigError.
func New(config Config) (*Link, error) {
	config, to, err := config.complete()
	if err != nil {
		return nil, err
	}
	return &Link{
		config: config,
		to:     to,
		events: make(chan Event),
		inbox:  newInbox(),
		status: Status{State: StateIdle, Endpoint: config.Endpoint, Identity: config.Identity,
			Since: time.Now(), Reasons: map[Kind]uint64{}},
	}, nil
}

// Events is where the link says what happens. It is bounded and never closed: the
// consumer drains it until Run has returned.
func (l *Link) Events() <-chan Event { return l.events }

// Run dials, and dials again, until ctx ends. Then it closes the connection in good
// order, hands over the events that are left to a consumer that takes them, gives
// the peer a moment to free the identity, and returns nil. It may be called once.
func (l *Link) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return errRunTwice
	}
	var delivery sync.WaitGroup
	delivery.Go(func() { l.inbox.deliver(l.events) })
	defer func() {
		l.inbox.stop()
		delivery.Wait()
		l.note(func(s *Status) { s.State = StateStopped })
	}()

	number := l.config.FirstConnection
	pause := newPause(l.config, len(l.to))
	suspect := l.config.Suspect
	if suspect && wait(ctx, settleAfterCrash) != nil {
		return nil
	}
	for {
		// A consumer that is behind gets no further connection, only what it has.
		if l.inbox.waitForRoom(ctx) != nil {
			return nil
		}
		result, err := l.attempt(ctx, l.to[pause.at], number, suspect)
		if ctx.Err() != nil {
			if result.up > 0 {
				// The peer gives no sign when its application thread has let go of
				// the identity.
				time.Sleep(settle)
			}
			return nil
		}
		if result.up > 0 {
			number++
			// A peer without a FIN may not have let go of the identity when its TTL is
			// over: it may be late, and one that stood still wakes up with its
			// application, and with the next connection at the door.
			suspect = !result.anew && (result.taken || suspect && !result.heard)
		}
		endpoint, kind := l.to[pause.at].text, KindOf(err)
		delay := pause.after(result)
		l.note(func(s *Status) {
			s.State = StateWaiting
			s.Reasons[kind]++
			s.NextDial = time.Now().Add(delay)
			s.Failures = uint64(pause.failures)
			s.LastError = err
		})
		l.config.Logger.Warn("link down", "endpoint", endpoint, "kind", string(kind), "reason", err,
			"failures", pause.failures, "next_dial_in", delay.Round(time.Millisecond))
		if wait(ctx, delay) != nil {
			return nil
		}
	}
}

// wait lets time pass, or gives ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// attempt dials once and serves the connection, if there is one, to its end.
func (l *Link) attempt(ctx context.Context, to endpoint, number uint64, suspect bool) (outcome, error) {
	l.note(func(s *Status) {
		s.State = StateDialing
		s.Endpoint = to.text
		s.Attempts++
	})
	socket, err := to.dial(ctx, l.config)
	if err != nil {
		return outcome{}, err
	}
	l.note(func(s *Status) { s.State = StateHandshake })
	conn, err := zmtp.Open(ctx, socket, l.config.options())
	if err != nil {
		var failed *HandshakeError
		return outcome{taken: errors.As(err, &failed) && failed.Announced}, err
	}
	return l.serve(ctx, to, number, conn, suspect)
}

func (l *Link) serve(ctx context.Context, to endpoint, number uint64, conn *zmtp.Conn, suspect bool) (outcome, error) {
	began := time.Now()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var heard atomic.Bool
	if suspect {
		// Ending ctx closes the connection in good order.
		doubt := l.config.afterFunc(l.config.options().TTL()+l.config.margin, func() {
			if !heard.Load() {
				end(errMadeAnew)
			}
		})
		defer doubt.Stop()
	}
	l.note(func(s *Status) {
		l.current.Store(&connection{number, conn})
		s.State = StateUp
		s.Connection = number
	})
	l.inbox.put(Up{number})
	l.config.Logger.Info("link up", "endpoint", to.text, "connection", number)

	reason := conn.Serve(ctx, func(message *zmtp.Message) error {
		heard.Store(true)
		l.inbox.put(Received{number, message.Frames, conn.Echoed(), message})
		// Memory is taken for the next message when there is room for it.
		return l.inbox.waitForRoom(ctx)
	})

	if errors.Is(context.Cause(ctx), errMadeAnew) {
		reason = errMadeAnew
	}

	l.note(func(s *Status) {
		l.current.Store(nil)
		stats := conn.Stats()
		s.BytesIn += stats.BytesIn
		s.BytesOut += stats.BytesOut
		s.Connection = 0
		s.State = StateWaiting
		s.LastError = reason
	})
	l.inbox.put(Down{number, reason})
	return outcome{up: max(time.Since(began), 1), taken: !conn.Released(), heard: heard.Load(),
		anew: errors.Is(reason, errMadeAnew)}, reason
}

// Send writes one message to exactly the given connection. The frames, at least
// one, are borrowed for the duration of the call. It may be called from several
// goroutines; the messages go out whole, one after another.
//
// nil means that the socket took every byte. It is not an acknowledgement.
//
// With ErrNotConnected, that connection is not up (any more), and nothing was
// written. With an error of ctx alone, the message's turn had not come, and nothing
// was written. After any other error a part may have been written; the connection
// is closed, and its Down follows. That is so, too, when ctx ends in the middle of
// the message: nothing can follow a part of a message.
func (l *Link) Send(ctx context.Context, number uint64, frames [][]byte) error {
	if len(frames) == 0 {
		return ErrNoFrames
	}
	c := l.current.Load()
	switch {
	case c == nil:
		return &NotConnectedError{Connection: number}
	case c.number != number:
		return &NotConnectedError{Connection: number, Current: c.number}
	}
	crashpoint.Reach(crashpoint.LinkSendBefore)
	err := c.conn.Send(ctx, frames)
	crashpoint.Reach(crashpoint.LinkSendAfter)
	if errors.Is(err, zmtp.ErrClosed) {
		return &NotConnectedError{Connection: number}
	}
	if err != nil {
		return fmt.Errorf("send on connection %d: %w", number, err)
	}
	return nil
}

// Close gives up exactly the given connection, for a reason that the consumer has: a
// peer that talks nonsense, say. Its Down follows, with a reason that is ErrGivenUp
// and the caller's, and then the link dials again as after any failure. It does
// nothing when that connection is not up.
func (l *Link) Close(number uint64, reason error) {
	if c := l.current.Load(); c != nil && c.number == number {
		c.conn.Abort(fmt.Errorf("%w: %w", ErrGivenUp, reason))
	}
}
