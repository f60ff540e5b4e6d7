package link

import (
	"context"
	"sync"
	"time"
)

const (
	inboxEvents = 1024     // events
	inboxBytes  = 16 << 20 // bytes of messages; a single larger message fits, too

	// lastDelivery is how long, after Run's context has ended, the consumer may take
	// for each event that is left.
	lastDelivery = time.Second
)

// inbox is the bounded queue between the connection's reader and the consumer. It
// lets the reader go on to the next PING while the consumer is at work.
type inbox struct {
	mu     sync.Mutex
	events []Event
	bytes  int

	filled   chan struct{} // something was put in
	drained  chan struct{} // something was taken out
	stopping chan struct{} // nothing more will be put in
}

func newInbox() *inbox {
	return &inbox{
		filled:   make(chan struct{}, 1),
		drained:  make(chan struct{}, 1),
		stopping: make(chan struct{}),
	}
}

// waitForRoom returns when the queue is below its bounds, or ctx has ended. There
// is one goroutine that puts, so the room stays.
func (b *inbox) waitForRoom(ctx context.Context) error {
	for {
		b.mu.Lock()
		room := len(b.events) < inboxEvents && b.bytes < inboxBytes
		b.mu.Unlock()
		if room {
			return nil
		}
		select {
		case <-b.drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *inbox) put(event Event) {
	b.mu.Lock()
	b.events = append(b.events, event)
	b.bytes += weight(event)
	b.mu.Unlock()
	signal(b.filled)
}

func (b *inbox) first() (Event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == 0 {
		return nil, false
	}
	return b.events[0], true
}

func (b *inbox) drop() {
	b.mu.Lock()
	b.bytes -= weight(b.events[0])
	b.events[0] = nil
	b.events = b.events[1:]
	b.mu.Unlock()
	signal(b.drained)
}

// stop says that nothing more will be put in. deliver then ends.
func (b *inbox) stop() { close(b.stopping) }

// deliver hands the events over, in order, until stop. What is left then is still
// handed over to a consumer that takes it.
func (b *inbox) deliver(to chan<- Event) {
	for {
		event, any := b.first()
		if any {
			select {
			case to <- event:
				b.drop()
				continue
			case <-b.stopping:
				b.deliverLast(to)
				return
			}
		}
		select {
		case <-b.filled:
		case <-b.stopping:
			b.deliverLast(to)
			return
		}
	}
}

func (b *inbox) deliverLast(to chan<- Event) {
	patience := time.NewTimer(lastDelivery)
	defer patience.Stop()
	for {
		event, any := b.first()
		if !any {
			return
		}
		select {
		case to <- event:
			b.drop()
			patience.Reset(lastDelivery)
		case <-patience.C:
			return
		}
	}
}

func weight(event Event) int {
	message, ok := event.(Received)
	if !ok {
		return 0
	}
	const perFrame = 64 // bytes of bookkeeping, so that empty frames count, too
	n := 0
	for _, frame := range message.Frames {
		n += cap(frame) + perFrame
	}
	return n
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
