// Command rosetta is the Go half of the cross-language test of the protocol:
// integration/verify_protocol.py starts it, hands it messages over stdin and
// reads over stdout what Go makes of them.
//
// A request and an answer are both a record: a count, then so many parts, each
// a length and its bytes (u32 big-endian). A request's first part names the task:
//
//	unpack  the other parts are the frames of a message
//	stream  the other part is a message as a file or pipe carries it
//	pack    the other parts are JSON: {"op", "job_id"}, and the Go struct as
//	        encoding/json reads it without tags
//
// An answer's first part is a JSON verdict; behind it comes what was made: for
// pack the frames, for the others the Go struct as JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// maxPart bounds one part of a record, in bytes: the largest payload of the
// test with room for its JSON description.
const maxPart = 1 << 30

// said is a message without its payload. The payload's struct travels beside it,
// with Go's own field names, read and written by plain encoding/json: it depends
// on nothing that it is to prove.
type said struct {
	Op    string `json:"op"`
	JobID uint64 `json:"job_id"`
}

// verdict is what Go says of a message: what it read, or what is wrong with it.
type verdict struct {
	said
	Kind  string `json:"kind"`  // of the error, empty when there is none
	Field string `json:"field"` // of a JsonError
	Error string `json:"error"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rosetta:", err)
		os.Exit(1)
	}
}

// serve answers requests until the stream ends.
func serve(in io.Reader, out io.Writer) error {
	reader, writer := bufio.NewReaderSize(in, 1<<16), newWriter(out)
	for {
		request, err := readRecord(reader)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		answer, err := perform(request)
		if err != nil {
			return err
		}
		if err := writeRecord(writer, answer); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
}

// perform does one task. An error is a mistake of the test itself.
func perform(request [][]byte) ([][]byte, error) {
	if len(request) == 0 {
		return nil, errors.New("a request without a task")
	}
	task, parts := string(request[0]), request[1:]
	switch task {
	case "unpack":
		return unpack(parts)
	case "pack":
		if len(parts) != 2 {
			return nil, fmt.Errorf("task pack with %d parts, it needs 2", len(parts))
		}
		return pack(parts[0], parts[1])
	case "stream":
		if len(parts) != 1 {
			return nil, fmt.Errorf("task stream with %d parts, it needs 1", len(parts))
		}
		frames, err := protocol.ReadFrames(bytes.NewReader(parts[0]), 1<<32-1)
		if err != nil {
			return answer(refusal(err))
		}
		return unpack(frames)
	default:
		return nil, fmt.Errorf("unknown task %q", task)
	}
}

func unpack(frames [][]byte) ([][]byte, error) {
	message, err := protocol.Decode(frames)
	if err != nil {
		v := refusal(err)
		v.JobID = message.JobID
		return answer(v)
	}
	var value bytes.Buffer
	encoder := json.NewEncoder(&value)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message.Payload); err != nil {
		return nil, fmt.Errorf("describe %s: %w", message.Payload.Op(), err)
	}
	return answer(verdict{said: said{Op: message.Payload.Op().String(), JobID: message.JobID}}, value.Bytes())
}

func pack(description, value []byte) ([][]byte, error) {
	var s said
	if err := json.Unmarshal(description, &s); err != nil {
		return nil, fmt.Errorf("read a description: %w", err)
	}
	payload, err := build(s.Op, value)
	if err != nil {
		return nil, err
	}
	frames, err := protocol.Encode(protocol.Message{JobID: s.JobID, Payload: payload})
	if err != nil {
		return answer(refusal(err))
	}
	return answer(verdict{said: said{Op: s.Op, JobID: s.JobID}}, frames...)
}

// build makes the payload struct of an opcode.
func build(op string, value []byte) (protocol.Payload, error) {
	switch op {
	case "IDENTIFY":
		return fill[protocol.Identify](op, value)
	case "DISPATCH":
		return fill[protocol.Dispatch](op, value)
	case "ABORT":
		return fill[protocol.Abort](op, value)
	case "HEARTBEAT":
		return fill[protocol.Heartbeat](op, value)
	case "CONCLUDE":
		return fill[protocol.Conclude](op, value)
	case "ERR":
		return fill[protocol.Error](op, value)
	case "RELOAD":
		return fill[protocol.Reload](op, value)
	case "PREPARE_ENV":
		return fill[protocol.PrepareEnv](op, value)
	case "ENV_READY":
		return fill[protocol.EnvReady](op, value)
	case "DEPLOY":
		return fill[protocol.Deploy](op, value)
	default:
		return nil, fmt.Errorf("a description of %q, which is no opcode to send", op)
	}
}

func fill[P protocol.Payload](op string, value []byte) (protocol.Payload, error) {
	var payload P
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&payload); err != nil {
		return nil, fmt.Errorf("read a description of %s: %w", op, err)
	}
	return payload, nil
}

// refusal names an error by the one kind that errors.Is and errors.As agree on.
func refusal(err error) verdict {
	v := verdict{Error: err.Error()}
	var (
		opcode  *protocol.InvalidOpCodeError
		header  *protocol.HeaderTooShortError
		version *protocol.VersionMismatchError
		length  *protocol.PayloadLengthMismatchError
		content *protocol.JSONError
		stream  *protocol.IOError
	)
	for _, candidate := range []struct {
		kind protocol.ErrorKind
		as   bool
	}{
		{protocol.ErrInvalidOpCode, errors.As(err, &opcode)},
		{protocol.ErrHeaderTooShort, errors.As(err, &header)},
		{protocol.ErrVersionMismatch, errors.As(err, &version)},
		{protocol.ErrPayloadLengthMismatch, errors.As(err, &length)},
		{protocol.ErrJSON, errors.As(err, &content)},
		{protocol.ErrIO, errors.As(err, &stream)},
	} {
		is := errors.Is(err, candidate.kind)
		switch {
		case is != candidate.as:
			v.Kind += fmt.Sprintf("(%s: Is %t, As %t)", candidate.kind, is, candidate.as)
		case is:
			v.Kind += candidate.kind.String()
		}
	}
	if content != nil {
		v.Field = content.Field
	}
	return v
}

func answer(v verdict, made ...[]byte) ([][]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write a verdict: %w", err)
	}
	return append([][]byte{text}, made...), nil
}

// readRecord gives io.EOF when the stream ends between two records.
func readRecord(r io.Reader) ([][]byte, error) {
	var count uint32
	if err := binary.Read(r, binary.BigEndian, &count); err != nil {
		return nil, err
	}
	var parts [][]byte
	for range count {
		var size uint32
		if err := binary.Read(r, binary.BigEndian, &size); err != nil {
			return nil, fmt.Errorf("a part's length: %w", noEOF(err))
		}
		if size > maxPart {
			return nil, fmt.Errorf("a part of %d bytes, at most %d are taken", size, maxPart)
		}
		part := make([]byte, size)
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, fmt.Errorf("a part of %d bytes: %w", size, noEOF(err))
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// noEOF makes an end in the middle of a record different from one behind it.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func newWriter(w io.Writer) *bufio.Writer { return bufio.NewWriterSize(w, 1<<16) }

func writeRecord(w *bufio.Writer, parts [][]byte) error {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(parts)))
	if _, err := w.Write(size[:]); err != nil {
		return err
	}
	for _, part := range parts {
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		if _, err := w.Write(size[:]); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Flush()
}
