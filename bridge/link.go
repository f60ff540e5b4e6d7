package bridge

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// exitPatience is how long the connection of an ended process may stay quiet
// before it counts as ended too: a child that inherited the socket can keep it
// open for ever.
const exitPatience = time.Second

// errQuietAfterExit: the process has ended, and nothing more comes from it.
var errQuietAfterExit = errors.New("the process has ended, and its connection is silent")

// link is the connection to a guest. Its reads keep the limit on silence, which
// counts only while the guest could send: not while all of its credit is used.
type link struct {
	net.Conn

	mu       sync.Mutex
	silence  time.Duration // below zero: no limit
	until    time.Time     // handshake: reads end here; zero = silence counts instead
	starved  bool          // the guest waits for us
	exited   bool
	deadline time.Time // what is set on the connection; zero = none
}

// Read implements io.Reader. A guest that is silent for too long gives a
// [*GuestError].
func (l *link) Read(p []byte) (int, error) {
	for {
		l.arm()
		n, err := l.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		l.mu.Lock()
		due := !l.deadline.IsZero() && !time.Now().Before(l.deadline)
		exited, handshake, silence := l.exited, !l.until.IsZero(), l.silence
		l.mu.Unlock()
		switch {
		case !due: // the deadline was moved while it fired
			continue
		case exited:
			return 0, errQuietAfterExit
		case handshake:
			return 0, os.ErrDeadlineExceeded
		}
		return 0, &GuestError{
			Kind:   SilenceTimeout,
			Detail: "nothing came from the guest for " + silence.String(),
			Hint:   "raise the silence limit if the plugin computes this long between two publishes",
		}
	}
}

// arm sets the deadline that the present state asks for.
func (l *link) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = time.Time{}
	switch {
	case l.exited:
		l.deadline = time.Now().Add(exitPatience)
	case !l.until.IsZero():
		l.deadline = l.until
	case !l.starved && l.silence > 0:
		l.deadline = time.Now().Add(l.silence)
	}
	// An error means that the connection is closed: the read that follows says so.
	_ = l.Conn.SetReadDeadline(l.deadline)
}

// A change of state moves the deadline also of a read that is waiting already.

func (l *link) setStarved(starved bool) {
	l.mu.Lock()
	changed := l.starved != starved
	l.starved = starved
	l.mu.Unlock()
	if changed {
		l.arm()
	}
}

func (l *link) setExited() {
	l.mu.Lock()
	l.exited = true
	l.mu.Unlock()
	l.arm()
}

// setUntil begins a handshake that must be over by then; the zero time ends it.
func (l *link) setUntil(until time.Time) {
	l.mu.Lock()
	l.until = until
	l.mu.Unlock()
}
