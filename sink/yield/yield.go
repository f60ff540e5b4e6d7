// Package yield has long computations let others have the processor.
//
// A thread that is woken while another computes may wait for the next tick of the
// kernel's clock, up to 4 ms, also when a processor becomes idle meanwhile: Linux moves
// threads seldom. In a worker that thread is who reads from a guest, and the guest
// stands still until it does.
package yield

// stretch is how many bytes are worked on, of the order of 0.1 ms, before others have
// their turn.
const stretch = 256 << 10

// Counter counts the work of one goroutine. The zero value is ready.
type Counter struct{ bytes int }

// Worked tells that so many bytes were worked on since the last call. Now and then it
// gives the processor away for as long as another thread waits for it.
func (c *Counter) Worked(bytes int) {
	c.bytes += bytes
	if c.bytes >= stretch {
		c.bytes = 0
		giveWay()
	}
}
