package faultproxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// Stream is one connection through the proxy. A fault stays until [Stream.Heal];
// those that end a connection are for good.
type Stream struct {
	Number int // of the connection; they count from 1

	worker, sentinel *side

	mu       sync.Mutex
	identity string
	faults   faults
	changed  chan struct{} // closed and replaced with every change of faults
	done     chan struct{} // closed when the stream is to end
	ended    bool
}

// side is one of a stream's two sockets.
type side struct {
	net.Conn
	once sync.Once
}

func (s *side) finish() { s.once.Do(func() { s.Close() }) }
func (s *side) reset()  { s.once.Do(func() { reset(s.Conn) }) }

// faults is what happens to bytes on their way, in both directions.
type faults struct {
	delay time.Duration // later
	rate  int           // bytes a second, 0 for as fast as it goes
	stuck bool          // not at all
}

// Limits of what is on its way in one direction.
const (
	chunkSize   = 16 << 10 // bytes
	chunksAhead = 64
	sniffed     = 4 << 10 // bytes in which the identity is looked for
)

func newStream(number int, worker, sentinel net.Conn) *Stream {
	return &Stream{
		Number: number, worker: &side{Conn: worker}, sentinel: &side{Conn: sentinel},
		changed: make(chan struct{}), done: make(chan struct{}),
	}
}

// Identity is the ZeroMQ identity that the worker announced, "" before it has.
func (s *Stream) Identity() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity
}

// Cut ends the connection in good order: both ends see a FIN. What is on its way is
// lost.
func (s *Stream) Cut() {
	s.end(s.worker.finish, s.sentinel.finish)
}

// Reset ends the connection with an RST to both ends.
func (s *Stream) Reset() {
	s.end(s.worker.reset, s.sentinel.reset)
}

// Delay lets bytes arrive so much later.
func (s *Stream) Delay(d time.Duration) { s.change(func(f *faults) { f.delay = d }) }

// Throttle lets so many bytes a second through.
func (s *Stream) Throttle(rate int) { s.change(func(f *faults) { f.rate = rate }) }

// BlackHole lets nothing through and closes nothing, as a network that is gone. What
// is on its way arrives when it heals.
func (s *Stream) BlackHole() { s.change(func(f *faults) { f.stuck = true }) }

// Heal ends delay, throttle and black hole.
func (s *Stream) Heal() { s.change(func(f *faults) { *f = faults{} }) }

// LoseWorker leaves the connection half open: the Sentinel's end is still there, and
// nothing comes from it any more; the worker's is reset.
func (s *Stream) LoseWorker() {
	s.BlackHole()
	s.worker.reset()
}

// LoseSentinel is the other half: the Sentinel's end is reset, and the worker sees
// nothing of it.
func (s *Stream) LoseSentinel() {
	s.BlackHole()
	s.sentinel.reset()
}

func (s *Stream) change(to func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to(&s.faults)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Stream) end(closings ...func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, shut := range closings {
		shut()
	}
	if !s.ended {
		s.ended = true
		close(s.done)
	}
}

// serve passes bytes on until the stream has ended.
func (s *Stream) serve() {
	var directions sync.WaitGroup
	directions.Go(func() { s.pass(s.worker, s.sentinel, s.sniff()) })
	directions.Go(func() { s.pass(s.sentinel, s.worker, func([]byte) {}) })
	directions.Wait()
	s.Cut()
}

// chunk is some bytes on their way.
type chunk struct {
	data []byte
	at   time.Time // when they were read
}

// pass moves bytes from one side to the other until either is gone. Then the other
// is told, unless the stream is stuck: a network that is gone tells nobody.
func (s *Stream) pass(from, to *side, look func([]byte)) {
	ahead := make(chan chunk, chunksAhead)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(ahead)
		for {
			buf := make([]byte, chunkSize)
			n, err := from.Read(buf)
			if n > 0 {
				look(buf[:n])
				select {
				case ahead <- chunk{buf[:n], time.Now()}:
				case <-s.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	for c := range ahead {
		if !s.travel(c.at) {
			return
		}
		if !s.deliver(to, c.data) {
			return
		}
	}
	if s.travel(time.Now()) {
		s.Cut() // an end is news that travels like any other
	}
}

// travel waits until bytes that were read at a time may arrive. It is false when
// the stream has ended.
func (s *Stream) travel(since time.Time) bool {
	for {
		s.mu.Lock()
		f, changed := s.faults, s.changed
		s.mu.Unlock()
		var arrived <-chan time.Time
		if !f.stuck {
			left := time.Until(since.Add(f.delay))
			if left <= 0 {
				return true
			}
			arrived = time.After(left)
		}
		select {
		case <-arrived:
		case <-changed:
		case <-s.done:
			return false
		}
	}
}

// deliver writes bytes, no faster than the rate.
func (s *Stream) deliver(to io.Writer, data []byte) bool {
	for len(data) > 0 {
		s.mu.Lock()
		f, changed := s.faults, s.changed
		s.mu.Unlock()
		piece := data
		if f.rate > 0 {
			piece = data[:min(len(data), max(f.rate/20, 1))]
		}
		if _, err := to.Write(piece); err != nil {
			// That side is gone; the other learns it unless the network is.
			if s.travel(time.Now()) {
				s.Cut()
			}
			return false
		}
		data = data[len(piece):]
		if f.rate > 0 {
			select {
			case <-time.After(time.Second / 20):
			case <-changed:
			case <-s.done:
				return false
			}
		}
	}
	return true
}

// sniff looks for the identity in the READY command of the worker (RFC 23): a name
// with its length in a byte before it, and a value with its length in four.
func (s *Stream) sniff() func([]byte) {
	var begin []byte
	name := []byte("\x08Identity")
	return func(data []byte) {
		if len(begin) >= sniffed {
			return
		}
		begin = append(begin, data...)
		_, value, found := bytes.Cut(begin, name)
		if !found || len(value) < 4 {
			return
		}
		size := int(binary.BigEndian.Uint32(value))
		if size > 255 || len(value) < 4+size {
			return
		}
		s.mu.Lock()
		s.identity = string(value[4 : 4+size])
		s.mu.Unlock()
		begin = make([]byte, sniffed)
	}
}
