package zmtp

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The flag bits of a frame (RFC 23). The others are reserved and must be zero.
const (
	flagMore    = 1 // another frame of the same message follows
	flagLong    = 2 // the size takes eight bytes instead of one
	flagCommand = 4 // a command, not part of a message
	flagsKnown  = flagMore | flagLong | flagCommand
)

// frameHeader is the start of every frame: one byte of flags, then the size of
// the body in one or eight bytes, network byte order.
type frameHeader struct {
	bytes [9]byte // as read
	n     int     // of bytes in use: 2 or 9
	size  uint64  // of the body, in bytes
}

// newFrameHeader makes the header of a body of size bytes; flagLong follows from it.
func newFrameHeader(flags byte, size int) frameHeader {
	h := frameHeader{n: 2, size: uint64(size)}
	h.bytes[0], h.bytes[1] = flags, byte(size)
	if size > 255 {
		h.n = 9
		h.bytes[0] |= flagLong
		binary.BigEndian.PutUint64(h.bytes[1:], h.size)
	}
	return h
}

// flags are those that are said of the frame, not those that are said of its size.
func (h *frameHeader) flags() byte   { return h.bytes[0] &^ flagLong }
func (h *frameHeader) more() bool    { return h.bytes[0]&flagMore != 0 }
func (h *frameHeader) command() bool { return h.bytes[0]&flagCommand != 0 }
func (h *frameHeader) raw() []byte   { return h.bytes[:h.n] }

// readFrameHeader reads one header. io.EOF means that r ended before it, in good
// order; io.ErrUnexpectedEOF that r ended within it.
func readFrameHeader(r io.Reader) (frameHeader, error) {
	h := frameHeader{n: 2}
	if _, err := io.ReadFull(r, h.bytes[:2]); err != nil {
		return h, err
	}
	flags := h.bytes[0]
	if flags&^flagsKnown != 0 {
		return h, &ProtocolError{fmt.Sprintf("reserved frame flags %#02x", flags)}
	}
	if flags&flagCommand != 0 && flags&flagMore != 0 {
		return h, &ProtocolError{"a command in several frames"}
	}
	h.size = uint64(h.bytes[1])
	if flags&flagLong != 0 {
		h.n = 9
		if _, err := io.ReadFull(r, h.bytes[2:9]); err != nil {
			return h, withinFrame(err)
		}
		h.size = binary.BigEndian.Uint64(h.bytes[1:9])
	}
	return h, nil
}

// splitCommand takes a command's body apart: one byte of name length, the name,
// the data.
func splitCommand(body []byte) (name string, data []byte, err error) {
	if len(body) == 0 {
		return "", nil, &ProtocolError{"an empty command"}
	}
	n := int(body[0])
	if n == 0 || n > len(body)-1 {
		return "", nil, &ProtocolError{fmt.Sprintf("a command of %d bytes with a name of %d bytes", len(body), n)}
	}
	return string(body[1 : 1+n]), body[1+n:], nil
}

// withinFrame turns an end between two bytes of a frame into the error it is.
func withinFrame(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
