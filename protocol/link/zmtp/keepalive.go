package zmtp

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
)

// pingLog remembers the last PING, so that its PONG gives a round-trip time.
type pingLog struct {
	number atomic.Uint64
	at     atomic.Int64 // on life's clock
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

// ping writes one PING: TTL in tenths of a second, then our context, a number.
func (c *Conn) ping() bool {
	number := c.pings.number.Load() + 1
	body := binary.BigEndian.AppendUint16(nil, c.options.ttl())
	body = binary.BigEndian.AppendUint64(body, number)
	return c.writeCommandAs(zmq4.CmdPing, body, func() {
		c.pings.at.Store(c.life.now())
		c.pings.number.Store(number)
	})
}

func (c *Conn) writeCommand(name string, body []byte) bool {
	return c.writeCommandAs(name, body, func() {})
}

// writeCommandAs writes a command when its turn has come, right after begin. It
// is false when the connection has ended.
func (c *Conn) writeCommandAs(name string, body []byte, begin func()) bool {
	select {
	case c.turn <- struct{}{}:
	case <-c.ended:
		return false
	}
	defer func() { <-c.turn }()
	begin()
	if err := c.wire.writeCommand(name, body); err != nil {
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
		if len(data) == 8 && binary.BigEndian.Uint64(data) == c.pings.number.Load() {
			c.life.rtt.Store(c.life.now() - c.pings.at.Load())
		}
	}
	return nil // a command that we do not know is none of our business (RFC 23)
}

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
