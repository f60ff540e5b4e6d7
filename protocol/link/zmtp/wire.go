package zmtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

const (
	readBuffer  = 64 << 10  // bytes
	writeBuffer = 64 << 10  // bytes
	writeChunk  = 256 << 10 // bytes per write call, the step in which progress is seen
	keptScratch = 1 << 20   // bytes; larger memory is given back

	boxOverhead = uint64(curve.Overhead)
)

// wire is a socket on which frames go both ways, in clear or in the boxes of a
// CURVE session. It keeps the limits, and tells life of every byte.
//
// One goroutine reads. Writing goes through a buffer and has no lock of its own:
// Conn holds its turn from the first byte of a message to the flush.
type wire struct {
	socket  net.Conn
	life    *life
	session *curve.Session // nil: frames go in clear

	// The reading side.
	in        *bufio.Reader
	maxTotal  uint64 // bytes of a message
	maxFrames int
	command   func(name string, data []byte) error
	began     func() // a message begins

	// The writing side.
	out     *bufio.Writer
	stall   time.Duration // 0 in the handshake, which has a deadline for the whole of it
	sealing []byte        // scratch memory for a sealed frame
}

func newWire(socket net.Conn, o Options, life *life, command func(string, []byte) error) *wire {
	w := &wire{socket: socket, life: life, command: command, began: func() {},
		maxTotal: uint64(o.MaxMessage), maxFrames: o.MaxFrames}
	w.in = bufio.NewReaderSize(heard{w}, readBuffer)
	w.out = bufio.NewWriterSize(progress{w}, writeBuffer)
	return w
}

// opened begins the traffic that follows a handshake.
func (w *wire) opened(session *curve.Session, stall time.Duration) {
	w.session, w.stall = session, stall
}

// readMessage reads the next message. Commands are taken out, before it and also
// between its frames, where libzmq sends its heartbeats, too. io.EOF means that the
// peer ended in good order, io.ErrUnexpectedEOF that it did within a message.
func (w *wire) readMessage() (*Message, error) {
	m := newMessage()
	var total uint64
	for {
		flags, body, memory, err := w.readFrame(total, len(m.Frames))
		switch {
		case err == io.EOF && len(m.Frames) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case flags&flagCommand != 0:
			if err := w.take(body); err != nil {
				return nil, err
			}
			continue
		}
		if len(m.Frames) == 0 {
			w.began()
		}
		m.add(body, memory)
		total += uint64(len(body))
		if flags&flagMore == 0 {
			return m, nil
		}
	}
}

// readFrame reads a command, or the next frame of a message of which total bytes
// in some frames have come. The limits count before memory is taken. The body is in
// memory, if that is not nil.
func (w *wire) readFrame(total uint64, frames int) (flags byte, body []byte, memory *block, err error) {
	h, err := readFrameHeader(w.in)
	if err != nil {
		return 0, nil, nil, err
	}
	if w.session != nil {
		return w.readBox(h, total, frames)
	}
	if err := w.check(h.flags(), h.size, total, frames); err != nil {
		return 0, nil, nil, err
	}
	if h.size < smallestBlock {
		body = make([]byte, h.size)
		_, err := io.ReadFull(w.in, body)
		return h.flags(), body, nil, withinFrame(err)
	}
	if memory, err = readBlock(w.in, int(h.size)); err != nil {
		return 0, nil, nil, err
	}
	return h.flags(), memory.bytes, memory, nil
}

// readBox reads the rest of a frame that has another one sealed in it. libzmq does
// not mark it as the command that it is by RFC 26.
func (w *wire) readBox(h frameHeader, total uint64, frames int) (flags byte, body []byte, memory *block, err error) {
	if h.more() || h.size < boxOverhead {
		return 0, nil, nil, &SecurityError{curve.ErrMalformed}
	}
	// The box hides whether it is a command. A message's limits hold for both.
	if err := w.check(0, h.size-boxOverhead, total, frames); err != nil {
		return 0, nil, nil, err
	}
	box, err := readBlock(w.in, int(h.size))
	if err != nil {
		return 0, nil, nil, err
	}
	defer box.free()
	var to []byte // nil: Open takes memory for a small frame
	if h.size >= smallestBlock {
		memory = take(int(h.size))
		to = memory.bytes[:0]
	}
	inner, body, err := w.session.Open(to, box.bytes)
	if err != nil {
		return 0, nil, nil, &SecurityError{err}
	}
	if inner&curve.More != 0 {
		flags |= flagMore
	}
	if inner&curve.Command != 0 {
		flags |= flagCommand
	}
	if inner&^(curve.More|curve.Command) != 0 || flags == flagMore|flagCommand {
		return 0, nil, nil, &ProtocolError{fmt.Sprintf("frame flags %#02x in a box", inner)}
	}
	return flags, body, memory, nil
}

// check compares a frame with the limits.
func (w *wire) check(flags byte, size, total uint64, frames int) error {
	switch {
	case flags&flagCommand != 0:
		if size > maxCommand {
			return &LimitError{"bytes of a command", size, maxCommand}
		}
	case size > w.maxTotal-total:
		return &LimitError{"bytes of a message", saturating(total, size), w.maxTotal}
	case frames >= w.maxFrames:
		return &LimitError{"frames of a message", uint64(frames) + 1, uint64(w.maxFrames)}
	}
	return nil
}

// take gives a command to whom it concerns.
func (w *wire) take(body []byte) error {
	name, data, err := splitCommand(body)
	switch {
	case err != nil:
		return err
	case name == "ERROR":
		return &RefusedError{errorReason(data)}
	}
	return w.command(name, data)
}

// putMessage writes the frames of a message and leaves the flush to the caller.
func (w *wire) putMessage(frames [][]byte) error {
	for i, frame := range frames {
		var flags byte
		if i < len(frames)-1 {
			flags = flagMore
		}
		if err := w.writeFrame(flags, frame); err != nil {
			return err
		}
	}
	return nil
}

// putCommand writes a command and leaves the flush to the caller.
func (w *wire) putCommand(name string, data []byte) error {
	return w.writeFrame(flagCommand, append(append([]byte{byte(len(name))}, name...), data...))
}

// writeCommand writes a command and flushes.
func (w *wire) writeCommand(name string, data []byte) error {
	if err := w.putCommand(name, data); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *wire) writeFrame(flags byte, body []byte) error {
	if w.session != nil {
		return w.writeBox(flags, body)
	}
	h := newFrameHeader(flags, len(body))
	if _, err := w.out.Write(h.raw()); err != nil {
		return err
	}
	_, err := w.out.Write(body)
	return err
}

func (w *wire) writeBox(flags byte, body []byte) error {
	var inner byte
	if flags&flagMore != 0 {
		inner |= curve.More
	}
	if flags&flagCommand != 0 {
		inner |= curve.Command
	}
	box, err := w.session.Seal(w.sealing[:0], inner, body)
	if err != nil {
		return &SecurityError{err}
	}
	if w.sealing = box; cap(box) > keptScratch {
		w.sealing = nil
	}
	h := newFrameHeader(0, len(box))
	if _, err := w.out.Write(h.raw()); err != nil {
		return err
	}
	_, err = w.out.Write(box)
	return err
}

// errorReason is the text of an ERROR command: one byte of length, then text.
func errorReason(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return string(bytes.ToValidUTF8(data[1:min(len(data), 1+int(data[0]))], []byte("?")))
}

// heard reads the socket and notes that the peer lives.
type heard struct{ w *wire }

func (h heard) Read(p []byte) (int, error) {
	n, err := h.w.socket.Read(p)
	if n > 0 {
		h.w.life.heard(n)
	}
	return n, err
}

// progress writes to the socket under a deadline that starts anew with every
// byte that it takes.
type progress struct{ w *wire }

func (p progress) Write(b []byte) (written int, err error) {
	stall := p.w.stall
	for len(b) > 0 {
		chunk := b[:min(len(b), writeChunk)]
		if stall > 0 {
			if err := p.w.socket.SetWriteDeadline(time.Now().Add(stall)); err != nil {
				return written, err
			}
		}
		n, err := p.w.socket.Write(chunk)
		written += n
		b = b[n:]
		if n > 0 {
			p.w.life.wrote(n)
		}
		if err != nil && !(n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && stall > 0) {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("%w for %s: %w", ErrWriteStalled, stall, err)
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
