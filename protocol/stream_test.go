package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/casparian-flow/casparian-worker/protocol"
)

func TestStreamOfMessages(t *testing.T) {
	said := []protocol.Message{
		{JobID: 0, Payload: protocol.Identify{Capabilities: []string{"sales"}, WorkerID: "edge-7"}},
		{JobID: 0, Payload: protocol.Reload{}},
		{JobID: 7, Payload: protocol.Abort{}},
		{JobID: 7, Payload: protocol.Error{Message: "boom"}},
	}
	var file bytes.Buffer
	for _, message := range said {
		if err := protocol.WriteFrames(&file, encode(t, message.JobID, message.Payload)); err != nil {
			t.Fatal(err)
		}
	}
	// A message of a newer Sentinel in between does not end the stream.
	newer := []byte("\x04\x2a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02{}")
	reader := iotest.OneByteReader(io.MultiReader(bytes.NewReader(newer), &file))

	frames, err := protocol.ReadFrames(reader, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.Decode(frames); !errors.Is(err, protocol.ErrInvalidOpCode) {
		t.Fatalf("opcode 42: %v", err)
	}
	for _, want := range said {
		frames, err := protocol.ReadFrames(reader, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := protocol.Decode(frames); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %#v, %v\nwant %#v", got, err, want)
		}
	}
	if _, err := protocol.ReadFrames(reader, 1<<20); err != io.EOF {
		t.Fatalf("at the end: %v", err)
	}
}

func TestStreamThatBreaks(t *testing.T) {
	whole := bytes.Join(encode(t, 7, protocol.Error{Message: "boom"}), nil)
	length := uint64(len(whole) - protocol.HeaderSize)
	broken := errors.New("cable pulled")
	for name, c := range map[string]struct {
		stream     io.Reader
		done, want uint64
		err        error
	}{
		"ends in the header":   {bytes.NewReader(whole[:5]), 5, protocol.HeaderSize, io.ErrUnexpectedEOF},
		"ends behind it":       {bytes.NewReader(whole[:16]), 0, length, io.ErrUnexpectedEOF},
		"ends in the payload":  {bytes.NewReader(whole[:20]), 4, length, io.ErrUnexpectedEOF},
		"breaks at once":       {iotest.ErrReader(broken), 0, protocol.HeaderSize, broken},
		"breaks in the header": {io.MultiReader(bytes.NewReader(whole[:5]), iotest.ErrReader(broken)), 5, protocol.HeaderSize, broken},
		"breaks behind it":     {io.MultiReader(bytes.NewReader(whole[:20]), iotest.ErrReader(broken)), 4, length, broken},
	} {
		t.Run(name, func(t *testing.T) {
			frames, err := protocol.ReadFrames(c.stream, math.MaxUint32)
			var stream *protocol.IOError
			if !errors.As(err, &stream) || frames != nil {
				t.Fatalf("read %q, %v", frames, err)
			}
			if stream.Done != c.done || stream.Want != c.want || !errors.Is(err, c.err) {
				t.Fatalf("%d of %d bytes, %v; want %d of %d, %v", stream.Done, stream.Want, err, c.done, c.want, c.err)
			}
		})
	}
}

func TestStreamTakesNoMemoryOnTheWordOfAHeader(t *testing.T) {
	header, err := protocol.Header{Op: protocol.OpErr, Length: math.MaxUint32}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.ReadFrames(bytes.NewReader(header), 1<<20); !errors.Is(err, protocol.ErrPayloadLengthMismatch) {
		t.Fatalf("above the limit: %v", err)
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = protocol.ReadFrames(bytes.NewReader(header), math.MaxUint32)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, protocol.ErrIO) {
		t.Fatalf("announces 4 GiB and ends: %v", err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
		t.Fatalf("%d bytes were taken for a payload that never came", taken)
	}
}

func TestStreamOfAnotherVersionIsNotReadOn(t *testing.T) {
	if _, err := protocol.ReadFrames(bytes.NewReader(append([]byte{5}, make([]byte, 15)...)), 1<<20); !errors.Is(err, protocol.ErrVersionMismatch) {
		t.Fatal(err)
	}
}

// fullDisk takes so many bytes and no more.
type fullDisk struct {
	room int
	err  error
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	if n < len(p) {
		return n, d.err
	}
	return n, nil
}

func TestStreamThatCannotBeWritten(t *testing.T) {
	frames := encode(t, 7, protocol.Error{Message: "boom"})
	full := errors.New("no space left")
	for name, c := range map[string]struct {
		disk *fullDisk
		err  error
	}{
		"in the header":       {&fullDisk{room: 3, err: full}, full},
		"in the payload":      {&fullDisk{room: 20, err: full}, full},
		"short without error": {&fullDisk{room: 20}, io.ErrShortWrite},
	} {
		t.Run(name, func(t *testing.T) {
			room := uint64(c.disk.room)
			err := protocol.WriteFrames(c.disk, frames)
			var stream *protocol.IOError
			if !errors.As(err, &stream) || !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if want := uint64(len(frames[0]) + len(frames[1])); stream.Done != room || stream.Want != want {
				t.Fatalf("%d of %d bytes, want %d of %d", stream.Done, stream.Want, room, want)
			}
		})
	}
}
