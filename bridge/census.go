package bridge

import (
	"sync"
	"time"
)

// census reads the process table for guests that have ended. Those that end at about
// the same time share a reading, which would cost more than anything else that is done
// for a guest: each gets one that began after it asked, so that whatever it left is in it.
type census struct {
	mu   sync.Mutex
	next *reading  // the one that has not begun; nil: nobody waits
	last time.Time // when the last one began
}

// reading is the process table at one time. Nobody changes it.
type reading struct {
	done  chan struct{} // closed: the rest is there
	table []process
	err   error
}

// censusPause lies between the beginnings of two readings. One after a longer time
// begins at once.
const censusPause = 50 * time.Millisecond

// take gives a reading that begins after the call.
func (c *census) take() ([]process, error) {
	c.mu.Lock()
	if shared := c.next; shared != nil {
		c.mu.Unlock()
		<-shared.done
		return shared.table, shared.err
	}
	own := &reading{done: make(chan struct{})}
	c.next = own
	wait := censusPause - time.Since(c.last)
	c.mu.Unlock()
	time.Sleep(wait) // for the next guests to end, and nothing tells whether any will
	c.mu.Lock()
	c.next, c.last = nil, time.Now() // who asks from here on may have started something since
	c.mu.Unlock()
	own.table, own.err = processTable()
	close(own.done)
	return own.table, own.err
}
