package protocol

import (
	"fmt"
	"math"
)

// maxPayload is what the header's length field can say.
const maxPayload = math.MaxUint32

// Message is one message between Sentinel and worker.
type Message struct {
	// JobID is 0 when the message is about no job.
	JobID   uint64
	Payload Payload
}

// Encode gives the frames to put on the wire: header and payload, or the header
// alone for a RELOAD. An ABORT has an empty payload frame. The frames belong to
// the caller.
//
// Encode refuses what the Sentinel would drop in silence, because a receipt
// that is dropped leaves its job RUNNING for ever (*JSONError); a message
// without a payload (*JSONError); and a payload of more than 2^32-1 bytes
// (*PayloadLengthMismatchError).
//
// Text written for people (error_message, message, traceback) may hold any
// bytes, such as the tail of a process's output: what is not UTF-8 is replaced
// by U+FFFD. Any other text that is not UTF-8 is refused, since a replaced
// character would name another file or plugin.
func Encode(m Message) ([][]byte, error) {
	h := Header{JobID: m.JobID}
	wire, known := wireForm(m.Payload)
	if !known {
		return nil, faultf("", "is a %T, it must be one of this package's payload structs, as a value", m.Payload).in(h)
	}
	h.Op = m.Payload.Op()
	if f := m.Payload.check(); f != nil {
		return nil, f.in(h)
	}
	body, f := encodeWire(wire)
	if f != nil {
		return nil, f.in(h)
	}
	length, err := payloadLength(h, uint64(len(body)))
	if err != nil {
		return nil, err
	}
	h.Length = length
	header, err := h.AppendBinary(make([]byte, 0, HeaderSize))
	if err != nil {
		return nil, err
	}
	if h.Op == OpReload {
		// The Sentinel's own form (observed).
		return [][]byte{header}, nil
	}
	return [][]byte{header, body}, nil
}

// payloadLength is the header's length field for a payload of n bytes.
func payloadLength(h Header, n uint64) (uint32, error) {
	if n > maxPayload {
		return 0, &PayloadLengthMismatchError{Header: h, Frames: 2, Got: n}
	}
	return uint32(n), nil
}

// Decode reads the frames of one message. A missing payload frame counts as an
// empty payload. What is returned shares no memory with the frames.
//
// An error has one of the kinds [ErrHeaderTooShort], [ErrVersionMismatch],
// [ErrInvalidOpCode], [ErrPayloadLengthMismatch] and [ErrJSON], found in this
// order. With the last three Message.JobID is set, and the error carries the
// whole header, so that the caller can answer or say what it skipped.
func Decode(frames [][]byte) (Message, error) {
	var first []byte
	var rest [][]byte
	if len(frames) > 0 {
		first, rest = frames[0], frames[1:]
	}
	h, err := ParseHeader(first)
	m := Message{JobID: h.JobID}
	if err != nil {
		return m, err
	}
	var body []byte
	if len(rest) > 0 {
		body = rest[0]
	}
	behind := uint64(len(first) - HeaderSize)
	for _, frame := range rest {
		behind += uint64(len(frame))
	}
	if len(rest) > 1 || len(first) > HeaderSize || behind != uint64(h.Length) {
		return m, &PayloadLengthMismatchError{Header: h, Frames: len(frames), Got: behind}
	}
	payload, f := decodePayload(h.Op, body)
	if f != nil {
		return m, f.in(h)
	}
	m.Payload = payload
	return m, nil
}

// fault is what is wrong with a payload, before it is known in which message.
type fault struct {
	field  string
	reason string
}

func faultf(field, format string, args ...any) *fault {
	return &fault{field: field, reason: fmt.Sprintf(format, args...)}
}

func (f *fault) in(h Header) error {
	return &JSONError{Header: h, Field: f.field, Reason: f.reason}
}
