package zmtp

import (
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

// Options says who we are on a connection and what we put up with. Every zero
// limit and duration stands for its default.
type Options struct {
	Type     zmq4.SocketType // zmq4.Dealer, zmq4.Router
	Identity string          // our routing id, at most 255 bytes; may be empty
	Server   bool            // true on the accepting side

	Curve *curve.Client // with CURVE: everything is encrypted, for one server key alone
	Plain *Plain        // with PLAIN, when Curve is nil; with neither, nobody proves anything

	MaxMessage int64 // bytes in all frames of a received message; default [DefaultMaxMessage]
	MaxFrames  int   // frames of a received message; default [DefaultMaxFrames]

	HandshakeTimeout  time.Duration // for the whole handshake; default [DefaultHandshakeTimeout]
	HeartbeatInterval time.Duration // between PINGs; default [DefaultHeartbeatInterval]
	WriteStall        time.Duration // without one byte of progress; default [DefaultWriteStall]

	// Echo sends a PING right behind every message, in the same write, so that
	// [Conn.Echoed] is as exact as it can be.
	Echo bool
}

// Plain is what PLAIN shows the peer, in clear: anybody on the way can read it.
type Plain struct{ Username, Password string } // 255 bytes each at most

// The defaults of Options.
const (
	DefaultMaxMessage        = 256 << 20
	DefaultMaxFrames         = 1024
	DefaultHandshakeTimeout  = 10 * time.Second
	DefaultHeartbeatInterval = 10 * time.Second
	DefaultWriteStall        = 30 * time.Second
)

const (
	// maxCommand bounds a received command, handshake included, in bytes. The
	// largest honest one is a READY with its metadata, well below 1 KiB.
	maxCommand = 64 << 10

	// maxPingContext is the length of a PING's context in bytes (RFC 37).
	maxPingContext = 16

	// stopGrace is how long a good end may take: to finish the message that is
	// being written, and then to see the peer's FIN.
	stopGrace = 2 * time.Second
)

func (o Options) withDefaults() Options {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.MaxFrames <= 0 {
		o.MaxFrames = DefaultMaxFrames
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if o.HeartbeatInterval <= 0 {
		o.HeartbeatInterval = DefaultHeartbeatInterval
	}
	if o.WriteStall <= 0 {
		o.WriteStall = DefaultWriteStall
	}
	return o
}

// TTL is the time to live that goes out with every PING: a peer that hears
// nothing more from us for so long drops the connection and frees our identity.
// It is two heartbeat intervals, in the wire's unit of a tenth of a second.
func (o Options) TTL() time.Duration {
	o = o.withDefaults()
	return time.Duration(o.ttl()) * 100 * time.Millisecond
}

func (o Options) ttl() uint16 {
	const unit = 100 * time.Millisecond
	return uint16(min((2*o.HeartbeatInterval+unit-1)/unit, 1<<16-1))
}
