package zmtp

import (
	"sync/atomic"
	"time"
)

// life is what is known of the peer's life signs. All times are nanoseconds
// since its start, on the monotonic clock.
type life struct {
	start    time.Time
	interval time.Duration

	bytesIn, bytesOut atomic.Uint64
	last              atomic.Int64 // the last byte that came
	writing           atomic.Int64 // when the message being written was begun, 0 when none is
	longWrite         atomic.Int64 // the last progress of a message that takes longer than interval
	held              atomic.Bool  // we do not read: the consumer is busy
	rtt               atomic.Int64 // of the last answered PING
}

func newLife(interval time.Duration) *life {
	l := &life{start: time.Now(), interval: interval}
	l.last.Store(1)
	return l
}

// now is never 0: 0 stands for "not at all" in the fields above.
func (l *life) now() int64 { return max(int64(time.Since(l.start)), 1) }

func (l *life) at(t int64) time.Time { return l.start.Add(time.Duration(t)) }

func (l *life) heard(n int) {
	l.bytesIn.Add(uint64(n))
	l.last.Store(l.now())
}

// wrote notes progress of writing. That the system takes bytes proves nothing
// about the peer while there is room in the buffers. But a message that takes
// longer than a heartbeat interval has filled them, and it keeps our PING
// waiting: then its progress is the peer's life sign.
func (l *life) wrote(n int) {
	l.bytesOut.Add(uint64(n))
	now := l.now()
	if begun := l.writing.Load(); begun != 0 && now-begun > int64(l.interval) {
		l.longWrite.Store(now)
	}
}

// quiet is how long there has been no sign of life that there should have been.
func (l *life) quiet() time.Duration {
	if l.held.Load() {
		return 0
	}
	return time.Duration(l.now() - max(l.last.Load(), l.longWrite.Load()))
}
