package protocol

import (
	"fmt"
	"strconv"
)

// ErrorKind is the class of an error: what a caller decides on, and what it
// counts. A kind is itself an error, so that errors.Is(err, ErrJSON) asks for
// it; errors.As gives the details through the type that belongs to the kind.
type ErrorKind uint8

// The six kinds of errors that every implementation of the protocol tells apart.
const (
	_                        ErrorKind = iota
	ErrInvalidOpCode                   // *InvalidOpCodeError
	ErrHeaderTooShort                  // *HeaderTooShortError
	ErrVersionMismatch                 // *VersionMismatchError
	ErrPayloadLengthMismatch           // *PayloadLengthMismatchError
	ErrJSON                            // *JSONError
	ErrIO                              // *IOError
)

var kindNames = [...]string{
	ErrInvalidOpCode:         "InvalidOpCode",
	ErrHeaderTooShort:        "HeaderTooShort",
	ErrVersionMismatch:       "VersionMismatch",
	ErrPayloadLengthMismatch: "PayloadLengthMismatch",
	ErrJSON:                  "JsonError",
	ErrIO:                    "IoError",
}

// String is the protocol's own name of the kind, fit for a log or a counter.
func (k ErrorKind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "ErrorKind(" + strconv.Itoa(int(k)) + ")"
}

func (k ErrorKind) Error() string { return "protocol: " + k.String() }

// InvalidOpCodeError: the header is sound, but its opcode is none of ours.
// Newer Sentinels send such messages under the same version byte, so a receiver
// logs, counts and skips them.
type InvalidOpCodeError struct {
	// Header is complete, with the opcode as it was found.
	Header Header
}

func (e *InvalidOpCodeError) Error() string {
	if e.Header.Op == OpUnknown {
		return fmt.Sprintf("opcode 0 (UNKNOWN) with job id %d and %d bytes of payload: it must never be sent, the header was probably not filled in",
			e.Header.JobID, e.Header.Length)
	}
	return fmt.Sprintf("opcode %d with job id %d and %d bytes of payload: protocol v%d knows 1 to %d, a newer Sentinel may send others; the message can be skipped",
		uint8(e.Header.Op), e.Header.JobID, e.Header.Length, Version, uint8(OpDeploy))
}

// Is reports whether target is [ErrInvalidOpCode].
func (e *InvalidOpCodeError) Is(target error) bool { return target == ErrInvalidOpCode }

// HeaderTooShortError: the first frame cannot be a header.
type HeaderTooShortError struct {
	Got int // bytes
}

func (e *HeaderTooShortError) Error() string {
	if e.Got == 0 {
		return fmt.Sprintf("no header: the first frame is empty or missing, it must have %d bytes; is the peer a REQ socket, which puts an empty frame first?", HeaderSize)
	}
	return fmt.Sprintf("header of %d bytes, it must have %d: the message was cut, or the peer does not speak protocol v%d", e.Got, HeaderSize, Version)
}

// Is reports whether target is [ErrHeaderTooShort].
func (e *HeaderTooShortError) Is(target error) bool { return target == ErrHeaderTooShort }

// VersionMismatchError: the peer speaks another version of the protocol. The
// rest of its header means nothing to us.
type VersionMismatchError struct {
	Got uint8
}

func (e *VersionMismatchError) Error() string {
	return fmt.Sprintf("protocol version %d, this worker speaks %d only: the Sentinel and the worker are of releases that do not fit together", e.Got, Version)
}

// Is reports whether target is [ErrVersionMismatch].
func (e *VersionMismatchError) Is(target error) bool { return target == ErrVersionMismatch }

// PayloadLengthMismatchError: the frames behind the header are not what it
// announced, or a payload to be sent does not fit into the header's 32 bits.
type PayloadLengthMismatchError struct {
	Header Header
	// Frames is the number of frames of the message, the header's included.
	Frames int
	// Got is the number of bytes that came behind the header's 16.
	Got uint64
	// Limit is the most that the reader of a stream takes, when that was passed.
	Limit uint64
}

func (e *PayloadLengthMismatchError) Error() string {
	about := fmt.Sprintf("%s for job %d", e.Header.Op, e.Header.JobID)
	switch {
	case e.Limit > 0:
		return fmt.Sprintf("%s: the header announces %d bytes of payload, more than the %d that are taken here: it was not read", about, e.Header.Length, e.Limit)
	case e.Got > maxPayload:
		return fmt.Sprintf("%s: payload of %d bytes, the header can announce %d at most: it cannot be sent in one message", about, e.Got, uint64(maxPayload))
	case e.Frames > 2:
		return fmt.Sprintf("%s: %d frames, a message has 2 (header and payload) or 1 (header alone); the header announces %d bytes and %d came", about, e.Frames, e.Header.Length, e.Got)
	case e.Got == uint64(e.Header.Length):
		return fmt.Sprintf("%s: the payload of %d bytes, or some of it, came in the header's frame: it must be a frame of its own", about, e.Got)
	default:
		return fmt.Sprintf("%s: the header announces %d bytes of payload and %d came: the message was cut or put together wrongly", about, e.Header.Length, e.Got)
	}
}

// Is reports whether target is [ErrPayloadLengthMismatch].
func (e *PayloadLengthMismatchError) Is(target error) bool { return target == ErrPayloadLengthMismatch }

// JSONError: the payload is not JSON, or not what its opcode asks for. [Encode]
// gives it too, for a message that the receiver would drop in silence.
type JSONError struct {
	// Header says which message it was: a DISPATCH that cannot be read can still
	// be concluded as FAILED.
	Header Header
	// Field is the path of the field at fault (`sinks[1].uri`), empty when it is
	// the payload as a whole.
	Field string
	// Reason is a sentence for a person. It never quotes more than a few
	// characters of the payload.
	Reason string
}

func (e *JSONError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s for job %d: payload %s", e.Header.Op, e.Header.JobID, e.Reason)
	}
	return fmt.Sprintf("%s for job %d: field %s %s", e.Header.Op, e.Header.JobID, e.Field, e.Reason)
}

// Is reports whether target is [ErrJSON].
func (e *JSONError) Is(target error) bool { return target == ErrJSON }

// IOError: a stream could not be read or written. Err is what the stream said;
// io.ErrUnexpectedEOF when it ended in the middle of a message.
type IOError struct {
	Doing string // "read header"
	// Done of Want bytes had passed when it failed.
	Done, Want uint64
	Err        error
}

func (e *IOError) Error() string {
	return fmt.Sprintf("%s: failed after %d of %d bytes: %v", e.Doing, e.Done, e.Want, e.Err)
}

// Is reports whether target is [ErrIO].
func (e *IOError) Is(target error) bool { return target == ErrIO }

// Unwrap gives the stream's own error.
func (e *IOError) Unwrap() error { return e.Err }
