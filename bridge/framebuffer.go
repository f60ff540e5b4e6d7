package bridge

import (
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// framePool keeps a few frame buffers of one guest for reuse. A batch's arrays
// lie in the buffer of its frame; when the last of them is released, the buffer
// comes back here. A batch that is never released costs memory and nothing else.
//
// It is a memory.Allocator only because that is how Arrow's reference counting
// tells that a buffer is no longer used.
type framePool struct {
	mu     sync.Mutex
	free   [][]byte
	keep   int  // buffers kept at most
	poison bool // tests: overwrite what is given back, to find readers who come late
	live   int  // buffers handed out and not given back
}

// largestKept: bigger buffers are rare and are left to the garbage collector.
const largestKept = 32 << 20

// take gives a buffer of exactly length bytes, with any content.
func (p *framePool) take(length int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live++
	for i := len(p.free) - 1; i >= 0; i-- {
		if buf := p.free[i]; cap(buf) >= length {
			p.free = append(p.free[:i], p.free[i+1:]...)
			return buf[:length]
		}
	}
	return make([]byte, length, roundedUp(length))
}

// roundedUp gives the capacity of a new buffer. Frames of one job differ a little in
// length, and none would fit the next without some room; the frame of a small job is
// its only one.
func roundedUp(length int) int {
	const least, most = 4 << 10, 256 << 10
	step := least
	for step < most && step < length {
		step *= 2
	}
	return (length + step - 1) / step * step
}

// Free takes a buffer back.
func (p *framePool) Free(buf []byte) {
	buf = buf[:cap(buf)]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live--
	if p.poison {
		for i := range buf {
			buf[i] = 0xDB
		}
	}
	if cap(buf) <= largestKept {
		if len(p.free) >= p.keep {
			p.free = p.free[1:] // the newest sizes are the likeliest to come again
		}
		p.free = append(p.free, buf)
	}
}

// Allocate and Reallocate complete the interface; nothing of the bridge grows a
// frame's buffer through Arrow.
func (p *framePool) Allocate(size int) []byte { return memory.DefaultAllocator.Allocate(size) }
func (p *framePool) Reallocate(size int, old []byte) []byte {
	return memory.DefaultAllocator.Reallocate(size, old)
}

// trusted is how much memory a mere announcement of a length can cause.
const trusted = 16 << 20

// read fills a buffer with length bytes from the connection. The caller has
// compared length with its limit; even so a long buffer grows only as the bytes
// come in, so that a guest pays for the host's memory by sending.
func (p *framePool) read(r io.Reader, length int) (*memory.Buffer, error) {
	buf := p.take(min(length, trusted))
	filled := 0
	for {
		n, err := io.ReadFull(r, buf[filled:])
		filled += n
		if err != nil {
			p.Free(buf)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("after %d of %d bytes of a frame: %w", filled, length, err)
		}
		if filled == length {
			return memory.NewBufferWithAllocator(buf, p), nil
		}
		larger := p.take(min(length, 2*len(buf)))
		copy(larger, buf)
		p.Free(buf)
		buf = larger
	}
}

// inUse is how many buffers were handed out and not given back.
func (p *framePool) inUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}
