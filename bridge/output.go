package bridge

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// outputTail keeps the last bytes of what a guest printed on stdout and stderr,
// in the order in which they arrived: both are one pipe.
type outputTail struct {
	mu      sync.Mutex
	size    int
	ring    []byte // of size bytes; nil until something was printed
	next    int    // where the next byte goes
	written int64  // all bytes ever
}

func newOutputTail(size int) *outputTail { return &outputTail{size: size} }

// Write never fails: what does not fit pushes out the oldest bytes.
func (o *outputTail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ring == nil && len(p) > 0 {
		o.ring = make([]byte, o.size)
	}
	o.written += int64(len(p))
	kept := p
	if len(kept) > len(o.ring) {
		kept = kept[len(kept)-len(o.ring):]
	}
	for len(kept) > 0 {
		n := copy(o.ring[o.next:], kept)
		o.next = (o.next + n) % len(o.ring)
		kept = kept[n:]
	}
	return len(p), nil
}

// String gives the tail as valid UTF-8. When something was pushed out, a first
// line says how much.
func (o *outputTail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.written <= int64(len(o.ring)) {
		return strings.ToValidUTF8(string(o.ring[:o.written]), "\uFFFD")
	}
	tail := append(append(make([]byte, 0, len(o.ring)), o.ring[o.next:]...), o.ring[:o.next]...)
	for skipped := 0; skipped < utf8.UTFMax-1 && len(tail) > 0 && !utf8.RuneStart(tail[0]); skipped++ {
		tail = tail[1:]
	}
	dropped := o.written - int64(len(tail))
	return fmt.Sprintf("[%d bytes of earlier output dropped]\n%s", dropped, strings.ToValidUTF8(string(tail), "\uFFFD"))
}

// drain empties the pipe until its last writer is gone or the pipe is closed.
// A guest that prints must never wait for its host.
func (o *outputTail) drain(pipe io.Reader) {
	chunk := make([]byte, 512) // most guests print nothing
	for {
		n, err := pipe.Read(chunk)
		_, _ = o.Write(chunk[:n])
		if err != nil {
			return
		}
		if n == len(chunk) && n < 64<<10 {
			chunk = make([]byte, 64<<10)
		}
	}
}
