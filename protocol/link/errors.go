package link

import (
	"errors"
	"fmt"

	"github.com/casparian-flow/casparian-worker/protocol/link/zmtp"
)

// Why a connection ended: [Down.Reason] is one of these, or wraps one, or is an
// error of the network.
var (
	ErrPeerClosed   = zmtp.ErrPeerClosed                        // the peer sent its FIN
	ErrPeerSilent   = zmtp.ErrPeerSilent                        // no byte for two heartbeat intervals
	ErrWriteStalled = zmtp.ErrWriteStalled                      // the socket took no byte for Config.WriteStall
	ErrInterrupted  = zmtp.ErrInterrupted                       // a Send's context ended in the middle of its message
	ErrStopped      = zmtp.ErrStopped                           // Run's context ended
	ErrGivenUp      = errors.New("the connection was given up") // by Close, with the caller's reason
)

// What a peer did wrong, in [Down.Reason] and [Status.LastError].
type (
	ProtocolError  = zmtp.ProtocolError  // it does not speak ZMTP as it must
	LimitError     = zmtp.LimitError     // it declared more than is allowed
	RefusedError   = zmtp.RefusedError   // it answered with a ZMTP ERROR
	SecurityError  = zmtp.SecurityError  // it does not prove what it must, or boxes were tampered with
	HandshakeError = zmtp.HandshakeError // whatever kept a connection from coming up
)

// ErrNotConnected is what every *NotConnectedError is.
var ErrNotConnected = errors.New("not connected")

// ErrNoFrames refuses a message without frames: ZMTP cannot carry one.
var ErrNoFrames = zmtp.ErrNoFrames

// errRunTwice is a programming error.
var errRunTwice = errors.New("link: Run was called before")

// NotConnectedError refuses a Send on a connection that is not up. Nothing of
// the message was written.
type NotConnectedError struct {
	Connection uint64 // that the message was meant for
	Current    uint64 // that is up, 0 when none is
}

func (e *NotConnectedError) Error() string {
	if e.Current == 0 {
		return fmt.Sprintf("connection %d is not up, and no other is", e.Connection)
	}
	return fmt.Sprintf("connection %d is not up (connection %d is)", e.Connection, e.Current)
}

// Is makes errors.Is(err, ErrNotConnected) hold.
func (e *NotConnectedError) Is(target error) bool { return target == ErrNotConnected }

// ConfigError names the field of a Config that cannot be used, and why.
type ConfigError struct {
	Field   string
	Problem string
}

func (e *ConfigError) Error() string { return fmt.Sprintf("link: %s: %s", e.Field, e.Problem) }

// errMadeAnew: the connection may have been one that reaches nobody.
var errMadeAnew = errors.New("nothing was heard, and the peer may still hold an earlier connection: this one is made anew")
