package protocol

import (
	"bytes"
	"errors"
	"io"
)

// ReadFrames reads the next message of a file or pipe in which each header is
// followed by its payload, and gives it as the frames that [Decode] takes. A
// header that announces no payload gives one frame.
//
// limit is the largest payload taken, in bytes. Memory is taken as bytes arrive,
// never on the word of the header.
//
// io.EOF, as it is, means that the stream ended between two messages. Any other
// failure to read is an *IOError. Behind a header of another version or a payload
// above the limit (*VersionMismatchError, *PayloadLengthMismatchError) the stream
// cannot be read on. An unknown opcode is left for [Decode] to find.
func ReadFrames(r io.Reader, limit uint32) ([][]byte, error) {
	header := make([]byte, HeaderSize)
	n, err := io.ReadFull(r, header)
	if errors.Is(err, io.EOF) && n == 0 {
		return nil, io.EOF
	}
	if err != nil {
		return nil, &IOError{Doing: "read header", Done: uint64(n), Want: HeaderSize, Err: err}
	}
	h, err := ParseHeader(header)
	if err != nil && !errors.Is(err, ErrInvalidOpCode) {
		return nil, err
	}
	if h.Length > limit {
		return nil, &PayloadLengthMismatchError{Header: h, Frames: 1, Limit: uint64(limit)}
	}
	if h.Length == 0 {
		return [][]byte{header}, nil
	}
	var body bytes.Buffer
	got, err := io.CopyN(&body, r, int64(h.Length))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, &IOError{Doing: "read payload of " + h.Op.String(), Done: uint64(got), Want: uint64(h.Length), Err: err}
	}
	return [][]byte{header, body.Bytes()}, nil
}

// WriteFrames writes the frames of one message, as [Encode] gave them, one
// behind the other. Errors: *IOError.
func WriteFrames(w io.Writer, frames [][]byte) error {
	var want, done uint64
	for _, frame := range frames {
		want += uint64(len(frame))
	}
	for _, frame := range frames {
		n, err := w.Write(frame)
		done += uint64(n)
		if err == nil && n < len(frame) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &IOError{Doing: "write message", Done: done, Want: want, Err: err}
		}
	}
	return nil
}
