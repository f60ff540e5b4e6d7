package zmtp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// stage is how far a wire's reading has come.
type stage uint8

const (
	greeting  stage = iota // the peer's first 64 bytes
	handshake              // commands only, passed on to zmq4
	traffic                // messages passed on to zmq4, commands taken out
)

const (
	greetingSize  = 64
	greetingFirst = 0xff      // every ZMTP 2 or 3 peer begins with this byte
	readBuffer    = 64 << 10  // bytes
	writeBuffer   = 64 << 10  // bytes
	writeChunk    = 256 << 10 // bytes per write call, the step in which progress is seen
)

// wire is the net.Conn that zmq4 reads and writes instead of the socket.
//
// One goroutine reads. Writing goes through a buffer and has no lock of its own:
// Conn holds its turn from the first byte of a message to the flush.
type wire struct {
	net.Conn
	life *life

	// The reading side.
	in        *bufio.Reader
	stage     stage
	ready     []byte // bytes to hand on before the rest of the body
	rest      uint64 // bytes of the current body still to be handed on
	total     uint64 // bytes of the current message so far
	frames    int    // frames of the current message so far
	maxTotal  uint64
	maxFrames int
	command   func(name string, data []byte) error
	failed    error // the first error of reading; final

	// The writing side.
	out     *bufio.Writer
	stall   time.Duration
	sent    int64 // bytes of the handshake put into the buffer
	opening bool  // true until the handshake is over: every write is flushed
}

func newWire(conn net.Conn, o Options, life *life, command func(string, []byte) error) *wire {
	w := &wire{
		Conn: conn, life: life, command: command, opening: true, stall: o.WriteStall,
		maxTotal: uint64(o.MaxMessage), maxFrames: o.MaxFrames,
	}
	w.in = bufio.NewReaderSize(heard{w}, readBuffer)
	w.out = bufio.NewWriterSize(progress{w}, writeBuffer)
	return w
}

// opened ends the handshake stage of both sides.
func (w *wire) opened() {
	w.stage = traffic
	w.opening = false
}

// Read hands zmq4 whole, checked frames, in whatever pieces it asks for them.
func (w *wire) Read(p []byte) (int, error) {
	if w.failed != nil {
		return 0, w.failed
	}
	n, err := w.read(p)
	if err != nil {
		w.failed = err
	}
	return n, err
}

func (w *wire) read(p []byte) (int, error) {
	for len(w.ready) == 0 && w.rest == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	if len(w.ready) > 0 {
		n := copy(p, w.ready)
		w.ready = w.ready[n:]
		return n, nil
	}
	if uint64(len(p)) > w.rest {
		p = p[:w.rest]
	}
	n, err := w.in.Read(p)
	w.rest -= uint64(n)
	return n, withinFrame(err)
}

// next reads up to the next thing to hand on: the greeting, a command of the
// handshake, or the header of a message's frame.
func (w *wire) next() error {
	if w.stage == greeting {
		return w.nextGreeting()
	}
	h, err := readFrameHeader(w.in)
	if err != nil {
		return err
	}
	if h.command() {
		return w.nextCommand(&h)
	}
	if w.stage == handshake {
		return &ProtocolError{"a message before the end of the handshake"}
	}
	if h.size > w.maxTotal-w.total {
		return &LimitError{"bytes of a message", saturating(w.total, h.size), w.maxTotal}
	}
	if w.frames++; w.frames > w.maxFrames {
		return &LimitError{"frames of a message", uint64(w.frames), uint64(w.maxFrames)}
	}
	w.total += h.size
	if !h.more() {
		w.total, w.frames = 0, 0
	}
	w.ready = append(w.ready[:0], h.raw()...)
	w.rest = h.size
	return nil
}

// nextGreeting looks at the first byte before it waits for the others: a peer
// that speaks something else may never send 64 bytes.
func (w *wire) nextGreeting() error {
	first, err := w.in.Peek(1)
	if err != nil {
		return err
	}
	if first[0] != greetingFirst {
		start, _ := w.in.Peek(min(w.in.Buffered(), 16))
		return &ProtocolError{fmt.Sprintf("it begins with %q, not with a ZMTP greeting", start)}
	}
	w.ready = make([]byte, greetingSize)
	if _, err := io.ReadFull(w.in, w.ready); err != nil {
		w.ready = nil
		return withinFrame(err)
	}
	w.stage = handshake
	return nil
}

func (w *wire) nextCommand(h *frameHeader) error {
	if w.frames > 0 {
		return &ProtocolError{"a command between two frames of a message"}
	}
	if h.size > maxCommand {
		return &LimitError{"bytes of a command", h.size, maxCommand}
	}
	body := make([]byte, h.size)
	if _, err := io.ReadFull(w.in, body); err != nil {
		return withinFrame(err)
	}
	name, data, err := splitCommand(body)
	if err != nil {
		return err
	}
	if name == "ERROR" {
		return &RefusedError{errorReason(data)}
	}
	if w.stage == handshake {
		w.ready = append(append(w.ready[:0], h.raw()...), body...)
		return nil
	}
	return w.command(name, data)
}

// errorReason is the text of an ERROR command: one byte of length, then text.
func errorReason(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return string(data[1:min(len(data), 1+int(data[0]))])
}

// Write takes what zmq4 writes of a frame into the buffer.
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	if w.opening && err == nil {
		w.sent += int64(n)
		err = w.out.Flush()
	}
	return n, err
}

// flush writes what is in the buffer to the socket.
func (w *wire) flush() error { return w.out.Flush() }

// announced tells whether more than the greeting was written in the handshake:
// then our identity was in it.
func (w *wire) announced() bool { return w.sent > greetingSize }

// heard reads the socket and notes that the peer lives.
type heard struct{ w *wire }

func (h heard) Read(p []byte) (int, error) {
	n, err := h.w.Conn.Read(p)
	if n > 0 {
		h.w.life.heard(n)
	}
	return n, err
}

// progress writes to the socket under a deadline that starts anew with every
// byte that it takes.
type progress struct{ w *wire }

func (p progress) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		chunk := b[:min(len(b), writeChunk)]
		if !p.w.opening { // the handshake has a deadline for the whole of it
			if err := p.w.Conn.SetWriteDeadline(time.Now().Add(p.w.stall)); err != nil {
				return written, err
			}
		}
		n, err := p.w.Conn.Write(chunk)
		written += n
		b = b[n:]
		if n > 0 {
			p.w.life.wrote(n)
		}
		if err != nil && !(n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && !p.w.opening) {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("%w for %s: %w", ErrWriteStalled, p.w.stall, err)
			}
			return written, err
		}
	}
	return written, nil
}

func saturating(a, b uint64) uint64 {
	if a+b < a {
		return 1<<64 - 1
	}
	return a + b
}

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
