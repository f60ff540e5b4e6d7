package zmtp

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
)

// pingLog remembers the last PING, so that its PONG gives a round-trip time. A PING
// also says behind how many of our messages it was sent, and its PONG says it again.
type pingLog struct {
	number   atomic.Uint64
	at       atomic.Int64  // on life's clock
	messages atomic.Uint64 // sent before now; changed by who holds the turn

	// Of the reader alone: of how many messages a PONG has told, now and before the
	// message that is being read began.
	echoed, before uint64
}

// keepAlive writes PINGs, and the PONGs that the peer is owed. It is the only
// writer besides Send and waits for its turn between messages.
//
// The first PING goes out at once, then one every interval. And one follows right
// behind anything else that was written, though not more often than every tenth of
// an interval: libzmq counts the TTL of a PING only until the next frame of any kind,
// and starts to count again with the next PING (observed, 4.3.5). Without it, a
// message as the last thing before a cut would leave our identity taken for as long
// as the peer runs.
func (c *Conn) keepAlive() {
	interval := c.options.HeartbeatInterval
	apart := min(interval/10, 100*time.Millisecond)
	var last time.Time // PING
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.ended:
			return
		case context := <-c.pongs:
			if !c.writeCommand(zmq4.CmdPong, context) {
				return
			}
			due = earlier(due, last.Add(apart))
		case <-c.armed:
			due = earlier(due, last.Add(apart))
		case <-timer.C:
			if !c.ping() {
				return
			}
			last = time.Now()
			due = last.Add(interval)
		}
		timer.Reset(time.Until(due))
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ping writes one PING.
func (c *Conn) ping() bool {
	return c.inTurn(func() error { return c.wire.writeCommand(zmq4.CmdPing, c.nextPing()) })
}

// nextPing is the body of a PING: TTL in tenths of a second, then our context, its
// number and that of the messages before it. The caller holds the turn.
func (c *Conn) nextPing() []byte {
	c.pings.at.Store(c.life.now())
	body := binary.BigEndian.AppendUint16(nil, c.options.ttl())
	body = binary.BigEndian.AppendUint64(body, c.pings.number.Add(1))
	return binary.BigEndian.AppendUint64(body, c.pings.messages.Load())
}

func (c *Conn) writeCommand(name string, body []byte) bool {
	return c.inTurn(func() error { return c.wire.writeCommand(name, body) })
}

// inTurn writes when the turn has come. It is false when the connection has ended.
func (c *Conn) inTurn(write func() error) bool {
	select {
	case c.turn <- struct{}{}:
	case <-c.ended:
		return false
	}
	defer func() { <-c.turn }()
	if err := write(); err != nil {
		_ = c.writeFailed(err) // Serve gives the reason
		return false
	}
	return true
}

// onCommand takes the commands of traffic out of the reader's way. It never
// waits: a reader that waits for the writer, on both ends, is a deadlock.
func (c *Conn) onCommand(name string, data []byte) error {
	switch name {
	case zmq4.CmdPing:
		if len(data) < 2 {
			return &ProtocolError{"a PING without a TTL"}
		}
		context := data[2:min(len(data), 2+maxPingContext)]
		select {
		case c.pongs <- context:
		default: // a flood: the PONGs that are due show well enough that we live
		}
	case zmq4.CmdPong:
		if len(data) != maxPingContext {
			break // not one of ours
		}
		if binary.BigEndian.Uint64(data) == c.pings.number.Load() {
			c.life.rtt.Store(c.life.now() - c.pings.at.Load())
		}
		if n := binary.BigEndian.Uint64(data[8:]); n <= c.pings.messages.Load() {
			c.pings.echoed = max(c.pings.echoed, n)
		}
	}
	return nil // a command that we do not know is none of our business (RFC 23)
}

// Echoed is for the receive function of [Conn.Serve]: of the messages that we sent on
// this connection, how many had certainly reached the peer's socket before the message
// at hand left it. A peer that answers a message which we sent later than that has not
// seen it yet.
//
// libzmq answers a PING before its application can see the messages that came in the
// same read. So with [Options.Echo] an answer to a message comes behind its echo,
// unless the two were torn apart on the way.
func (c *Conn) Echoed() uint64 { return c.pings.before }

// watch ends the connection when the peer has been silent for two intervals. A
// peer that lives answers a PING within that time, or sends something else.
func (c *Conn) watch() {
	limit := 2 * c.options.HeartbeatInterval
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-timer.C:
		}
		quiet := c.life.quiet()
		if quiet >= limit {
			c.abort(fmt.Errorf("%w: nothing came for %s", ErrPeerSilent, quiet.Round(time.Millisecond)))
			return
		}
		timer.Reset(limit - quiet)
	}
}
