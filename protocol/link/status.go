package link

import (
	"maps"
	"time"
)

// State is what a link is doing.
type State string

// The states of a link.
const (
	StateIdle      State = "idle"      // Run was not called yet
	StateDialing   State = "dialing"   // reaching for the peer
	StateHandshake State = "handshake" // reached; the ZMTP handshake is under way
	StateUp        State = "up"        // a connection is open
	StateWaiting   State = "waiting"   // until NextDial
	StateStopped   State = "stopped"   // Run has returned
)

// Status is a view of a link, for display. It is out of date when it is read.
type Status struct {
	State      State
	Endpoint   string // that is up, or dialled, or was last
	Identity   string
	Connection uint64    // that is up, 0 when none is
	Since      time.Time // when State began
	NextDial   time.Time // in StateWaiting
	Attempts   uint64    // dials since Run was called
	Failures   uint64    // ends and failed dials since the last stable connection
	LastError  error     // of the last end or failed dial, nil before one

	// Reasons counts the ends and failed dials since Run was called, by their kind.
	Reasons map[Kind]uint64

	BytesIn, BytesOut uint64        // of all connections, framing included
	LastHeard         time.Time     // of the last byte on the open connection
	RTT               time.Duration // of its last answered PING, 0 before
}

// Status may be called at any time, from any goroutine.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Reasons = maps.Clone(s.Reasons)
	if c := l.current.Load(); c != nil {
		stats := c.conn.Stats()
		s.BytesIn += stats.BytesIn
		s.BytesOut += stats.BytesOut
		s.LastHeard = stats.LastHeard
		s.RTT = stats.RTT
	}
	return s
}

func (l *Link) note(change func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.status.State
	change(&l.status)
	if l.status.State != before {
		l.status.Since = time.Now()
		if l.status.State != StateWaiting {
			l.status.NextDial = time.Time{}
		}
	}
}
