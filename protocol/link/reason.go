package link

import (
	"context"
	"errors"
	"net"
	"os"
)

// Kind sorts the reasons for which connections end, or do not come up.
type Kind string

// The kinds of reasons.
const (
	KindUnreachable Kind = "unreachable" // nobody listens, no way there, no such name, or no answer in time
	KindHandshake   Kind = "handshake"   // reached, but the ZMTP handshake was not done in time
	KindClosed      Kind = "closed"      // the peer sent its FIN
	KindNetwork     Kind = "network"     // a reset, or another error of the network
	KindSilent      Kind = "silent"      // no sign of life for two heartbeat intervals
	KindStalled     Kind = "stalled"     // writing made no progress, or took too long
	KindProtocol    Kind = "protocol"    // the peer breaks ZMTP
	KindLimit       Kind = "limit"       // the peer exceeds a limit
	KindRefused     Kind = "refused"     // the peer does not let us in
	KindSecurity    Kind = "security"    // the peer does not prove what it must, or boxes were tampered with
	KindGivenUp     Kind = "given-up"    // the consumer called Link.Close
	KindStopped     Kind = "stopped"     // Run's context ended
	KindOther       Kind = "other"
)

// KindOf sorts the reason of a [Down], or [Status.LastError].
func KindOf(reason error) Kind {
	var (
		protocol  *ProtocolError
		limit     *LimitError
		refused   *RefusedError
		security  *SecurityError
		handshake *HandshakeError
		operation *net.OpError
	)
	switch {
	case errors.Is(reason, ErrGivenUp):
		return KindGivenUp
	case errors.Is(reason, ErrStopped), errors.Is(reason, errMadeAnew), errors.Is(reason, context.Canceled):
		return KindStopped
	case errors.Is(reason, ErrPeerClosed):
		return KindClosed
	case errors.Is(reason, ErrPeerSilent):
		return KindSilent
	case errors.Is(reason, ErrWriteStalled), errors.Is(reason, ErrInterrupted):
		return KindStalled
	case errors.As(reason, &protocol):
		return KindProtocol
	case errors.As(reason, &limit):
		return KindLimit
	case errors.As(reason, &refused):
		return KindRefused
	case errors.As(reason, &security):
		return KindSecurity
	case errors.As(reason, &handshake) && errors.Is(reason, os.ErrDeadlineExceeded):
		return KindHandshake
	case errors.As(reason, &operation) && operation.Op == "dial":
		return KindUnreachable
	case errors.As(reason, &operation):
		return KindNetwork
	}
	return KindOther
}
