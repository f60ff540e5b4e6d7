package link

import (
	"math/rand/v2"
	"time"
)

// takenMargin is added to the TTL when the link waits for the peer to let go of
// its identity: the peer's clock starts when our last PING reaches it, and a busy
// machine is late (more than 100 ms was seen).
const takenMargin = time.Second

// settle is the least time between the end of a connection and the next one
// under its identity. When the peer's FIN is here, libzmq's I/O thread has let go
// of the connection; its application thread has yet to let go of the identity.
// That took less than 1 ms on an idle machine, and tens of them on a busy one.
const settle = 100 * time.Millisecond

// settleAfterCrash is the same where more is at stake: before the first dial after
// a process that was killed, and before the one fresh dial that heals a connection
// that reaches nobody. A peer that is busy for longer than this is what the fresh
// dial is for.
const settleAfterCrash = 500 * time.Millisecond

// pause decides which endpoint is dialled next, and how long to wait before.
type pause struct {
	min, max time.Duration
	ttl      time.Duration // that our PINGs carry
	margin   time.Duration // takenMargin
	failures int           // in a row
	at       int           // the number of the endpoint to dial, or that was dialled
	of       int           // how many endpoints there are
	random   func() float64
}

func newPause(c Config, endpoints int) *pause {
	return &pause{min: c.MinBackoff, max: c.MaxBackoff, ttl: c.options().TTL(), margin: c.margin, of: endpoints, random: rand.Float64}
}

// outcome is how an attempt ended, in the terms that matter here.
type outcome struct {
	up    time.Duration // how long a connection was up, 0 when none came up
	taken bool          // the peer may still hold our identity
	heard bool          // a message arrived
	anew  bool          // we ended it, to make it anew
}

// after chooses the next endpoint and gives the wait: the back-off, and at least
// until the peer must have let go of our identity. That holds for every endpoint:
// two of them may be two ways to one peer.
//
// An endpoint that cannot be reached, or did not keep its connection for the longest
// back-off, is followed by the next one. Behind a connection that was stable, and
// behind the last endpoint, comes the first. The back-off grows with every round.
func (p *pause) after(o outcome) time.Duration {
	next := (p.at + 1) % p.of
	if o.up >= p.max {
		p.failures, next = 0, 0
	}
	wait := p.min
	for range p.failures / p.of {
		if wait >= p.max/2 {
			wait = p.max
			break
		}
		wait *= 2
	}
	p.failures++
	wait -= time.Duration(p.random() * float64(wait) / 2)
	if o.up > 0 {
		wait = max(wait, settle)
	}
	if o.anew {
		p.failures, wait, next = 0, settleAfterCrash, p.at
	}
	if o.taken {
		wait = max(wait, p.ttl+p.margin)
	}
	p.at = next
	return wait
}
