package link

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-zeromq/zmq4"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
	"github.com/casparian-flow/casparian-worker/protocol/link/zmtp"
)

// Config says where to connect, as whom, and how patient to be. Every zero value
// but Endpoint and Identity stands for its default.
type Config struct {
	// Endpoint is tcp://host:port (IPv4, [IPv6] or a name, resolved anew for every
	// dial) or ipc://path.
	Endpoint string

	// Fallback are endpoints to try, in order, when Endpoint cannot be reached or does
	// not keep a connection for MaxBackoff. A connection that holds is not left for one
	// that comes before it; after its end the link begins with Endpoint again.
	Fallback []string

	// Identity is the ZMQ routing id, 1 to 255 bytes of UTF-8 (the Sentinel decodes
	// it). No two links may use one identity at the same time.
	Identity string

	// Curve encrypts, proves who we are, and talks to the one server whose key it
	// names. Plain shows a name and a password, in clear. At most one of them may be
	// set; with neither, ZMTP's NULL, nobody proves anything.
	Curve *CurveClient
	Plain *Plain

	// MaxMessage bounds the bytes of a received message; default 256 MiB.
	MaxMessage int64
	// MaxFrames bounds the frames of a received message; default 1024.
	MaxFrames int

	// HeartbeatInterval is the time between PINGs; default 10 s. After two intervals
	// without a byte from the peer the connection is given up, and twice the interval
	// is the TTL that the peer is told.
	HeartbeatInterval time.Duration

	DialTimeout      time.Duration // to reach the peer, name lookup included; default 10 s
	HandshakeTimeout time.Duration // for the whole ZMTP handshake; default 10 s
	WriteStall       time.Duration // without one byte of progress; default 30 s

	// MinBackoff (default 250 ms) and MaxBackoff (default 15 s) bound the wait before
	// the next dial. It doubles with every failure and starts again from MinBackoff
	// after a connection that was up for MaxBackoff. A random part of up to one half
	// is taken off.
	MinBackoff, MaxBackoff time.Duration

	// FirstConnection is the number of the first connection; default 1. A caller that
	// keeps the last number over a restart has numbers that never repeat.
	FirstConnection uint64

	// Suspect says that a process before this one used the identity and did not end
	// in good order, so that the peer may still hold it. The first dial then waits a
	// moment, and a connection on which no message arrived is made anew once, when
	// the old one must be gone: it could be one that reaches nobody (see the package
	// documentation).
	Suspect bool

	// Echo makes [Received.Echoed] exact, at the cost of a PING and a PONG for every
	// message sent.
	Echo bool

	// Logger gets a line for every change of state; default none.
	Logger *slog.Logger

	// Of tests.
	resolver  *net.Resolver
	margin    time.Duration // takenMargin
	afterFunc func(time.Duration, func()) *time.Timer
}

const (
	defaultDialTimeout = 10 * time.Second
	defaultMinBackoff  = 250 * time.Millisecond
	defaultMaxBackoff  = 15 * time.Second
	maxIdentity        = 255 // bytes, of the ZMTP property
	maxPlain           = 255 // bytes of a name, and of a password
)

// The security mechanisms.
type (
	CurveClient = curve.Client // the server's public key and our pair
	Plain       = zmtp.Plain
)

// complete checks a Config and fills in its defaults.
func (c Config) complete() (Config, []endpoint, error) {
	var to []endpoint
	for i, text := range append([]string{c.Endpoint}, c.Fallback...) {
		field := "Endpoint"
		if i > 0 {
			field = "Fallback"
		}
		e, err := parseEndpoint(text)
		if err != nil {
			return c, nil, &ConfigError{field, err.Error()}
		}
		to = append(to, e)
	}
	switch {
	case c.Identity == "":
		return c, to, &ConfigError{"Identity", "is empty; the Sentinel knows a worker by it"}
	case len(c.Identity) > maxIdentity:
		return c, to, &ConfigError{"Identity", fmt.Sprintf("has %d bytes, at most %d are possible", len(c.Identity), maxIdentity)}
	case !utf8.ValidString(c.Identity):
		return c, to, &ConfigError{"Identity", fmt.Sprintf("%q is not UTF-8", c.Identity)}
	case strings.HasPrefix(c.Identity, "\x00"):
		return c, to, &ConfigError{"Identity", "begins with a zero byte, which ZeroMQ keeps for itself"}
	}
	switch {
	case c.Curve != nil && c.Plain != nil:
		return c, to, &ConfigError{"Plain", "is set beside Curve; one connection has one mechanism"}
	case c.Plain != nil && (len(c.Plain.Username) > maxPlain || len(c.Plain.Password) > maxPlain):
		return c, to, &ConfigError{"Plain", fmt.Sprintf("has a name or a password of more than %d bytes", maxPlain)}
	}
	if c.MaxMessage < 0 {
		return c, to, &ConfigError{"MaxMessage", "is negative"}
	}
	if c.MaxFrames < 0 {
		return c, to, &ConfigError{"MaxFrames", "is negative"}
	}
	for _, d := range []struct {
		field    string
		value    *time.Duration
		standard time.Duration
	}{
		{"HeartbeatInterval", &c.HeartbeatInterval, zmtp.DefaultHeartbeatInterval},
		{"DialTimeout", &c.DialTimeout, defaultDialTimeout},
		{"HandshakeTimeout", &c.HandshakeTimeout, zmtp.DefaultHandshakeTimeout},
		{"WriteStall", &c.WriteStall, zmtp.DefaultWriteStall},
		{"MinBackoff", &c.MinBackoff, defaultMinBackoff},
		{"MaxBackoff", &c.MaxBackoff, max(defaultMaxBackoff, c.MinBackoff)},
	} {
		if *d.value < 0 {
			return c, to, &ConfigError{d.field, "is negative"}
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if c.MinBackoff > c.MaxBackoff {
		return c, to, &ConfigError{"MinBackoff", fmt.Sprintf("%s is above MaxBackoff, %s", c.MinBackoff, c.MaxBackoff)}
	}
	if c.FirstConnection == 0 {
		c.FirstConnection = 1
	}
	if c.margin == 0 {
		c.margin = takenMargin
	}
	if c.afterFunc == nil {
		c.afterFunc = time.AfterFunc
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, to, nil
}

func (c Config) options() zmtp.Options {
	return zmtp.Options{
		Type:              zmq4.Dealer,
		Identity:          c.Identity,
		Curve:             c.Curve,
		Plain:             c.Plain,
		MaxMessage:        c.MaxMessage,
		MaxFrames:         c.MaxFrames,
		HandshakeTimeout:  c.HandshakeTimeout,
		HeartbeatInterval: c.HeartbeatInterval,
		WriteStall:        c.WriteStall,
		Echo:              c.Echo,
	}
}
