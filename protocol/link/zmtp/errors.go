package zmtp

import (
	"errors"
	"fmt"
)

// Why a connection ended. [Conn.Serve] gives these, possibly wrapped.
var (
	// ErrPeerClosed: the peer sent its FIN. It has let go of the connection.
	ErrPeerClosed = errors.New("the peer closed the connection")

	// ErrPeerSilent: not one byte came for two heartbeat intervals, although a
	// PING was owed an answer. The peer is frozen, or the network is cut.
	ErrPeerSilent = errors.New("the peer is silent")

	// ErrWriteStalled: the socket took no byte for Options.WriteStall.
	ErrWriteStalled = errors.New("writing makes no progress")

	// ErrInterrupted: a Send was given up when a part of its message was written.
	// Nothing can follow a part of a message, so the connection is closed.
	ErrInterrupted = errors.New("a message was given up half-way")

	// ErrStopped: our own side ended the connection in good order.
	ErrStopped = errors.New("the connection was stopped")
)

// ErrClosed is in the error of a Send on a connection that has ended. Nothing
// of the message was written.
var ErrClosed = errors.New("the connection has ended")

// ErrNoFrames refuses a message without frames: ZMTP cannot carry one.
var ErrNoFrames = errors.New("a message has at least one frame")

// ProtocolError is a peer that does not speak ZMTP as it must.
type ProtocolError struct{ Problem string }

func (e *ProtocolError) Error() string { return "the peer breaks ZMTP: " + e.Problem }

// LimitError is a peer that declared more than it may send. It is raised on the
// declaration, before memory is taken for it.
type LimitError struct {
	What  string // what is limited, with its unit
	Got   uint64
	Limit uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the peer exceeds a limit: %s %d, at most %d allowed", e.What, e.Got, e.Limit)
}

// RefusedError is a peer that answered with a ZMTP ERROR command.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the peer refused the connection: %q%s", e.Reason, statuses[e.Reason])
}

// statuses says what the status codes of libzmq's authentication mean (RFC 27), which
// are all that it gives for a reason.
var statuses = map[string]string{
	"300": " (it cannot check credentials just now)",
	"400": " (it does not know our key, or our name with this password)",
	"500": " (its check of credentials failed)",
}

// SecurityError is a peer that does not prove what it must, or boxes that were
// changed, forged or sent again on the way to us.
type SecurityError struct{ Err error }

func (e *SecurityError) Error() string { return "security: " + e.Err.Error() }
func (e *SecurityError) Unwrap() error { return e.Err }

// HandshakeError wraps whatever kept a connection from being opened.
type HandshakeError struct {
	Err error
	// Announced tells that our identity was sent and that no FIN of the peer was
	// seen: the peer may hold the identity as taken.
	Announced bool
}

func (e *HandshakeError) Error() string { return "ZMTP handshake: " + e.Err.Error() }
func (e *HandshakeError) Unwrap() error { return e.Err }
