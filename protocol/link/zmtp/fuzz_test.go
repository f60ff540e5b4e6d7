package zmtp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// scripted is a socket that says what it was given, then ends.
type scripted struct {
	net.Conn // nil: nothing else may be used
	says     io.Reader
}

func (s scripted) Read(p []byte) (int, error)       { return s.says.Read(p) }
func (s scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (s scripted) Close() error                     { return nil }
func (s scripted) SetDeadline(time.Time) error      { return nil }
func (s scripted) SetReadDeadline(time.Time) error  { return nil }
func (s scripted) SetWriteDeadline(time.Time) error { return nil }

// Whatever a peer sends after the handshake, zmq4 sees whole, well-formed messages
// within the limits, and then an error.
func FuzzFrames(f *testing.F) {
	f.Add(frame(0, []byte("hello")), uint16(10))
	f.Add(append(frame(flagMore, []byte("a")), frame(0, make([]byte, 300))...), uint16(1000))
	f.Add(append(pingFrame("ctx"), frame(0, nil)...), uint16(0))
	f.Add([]byte{2, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1}, uint16(100))
	f.Add([]byte{2, 255, 255, 255, 255, 255, 255, 255, 255}, uint16(1))
	f.Add(bytes.Repeat([]byte{1, 0}, 40), uint16(1))
	f.Add([]byte{4, 2, 9, 'P'}, uint16(1))
	f.Fuzz(func(t *testing.T, input []byte, limit uint16) {
		options := Options{MaxMessage: int64(limit), MaxFrames: 16}
		commands := 0
		w := newWire(scripted{says: bytes.NewReader(input)}, options, newLife(time.Minute),
			func(string, []byte) error { commands++; return nil })
		w.opened()
		passed, err := io.ReadAll(w)
		if err != nil && len(passed) > len(input) {
			t.Fatalf("%d bytes became %d", len(input), len(passed))
		}
		r := bytes.NewReader(passed)
		total, frames := uint64(0), 0
		for {
			h, headErr := readFrameHeader(r)
			if headErr == io.EOF {
				break
			}
			if headErr != nil {
				t.Fatalf("what was passed on is malformed: %v", headErr)
			}
			if h.command() {
				t.Fatal("a command was passed on")
			}
			total += h.size
			frames++
			if total > uint64(limit) || frames > 16 {
				t.Fatalf("%d bytes in %d frames were passed on", total, frames)
			}
			if _, bodyErr := io.CopyN(io.Discard, r, int64(h.size)); bodyErr != nil {
				if errors.Is(err, io.ErrUnexpectedEOF) {
					break // cut, and said to be
				}
				t.Fatalf("a body is cut, but reading ended with %v", err)
			}
			if !h.more() {
				total, frames = 0, 0
			}
		}
	})
}

// Whatever a peer sends from its first byte on, Open ends without a panic, and
// what it opens can be served to its end.
func FuzzOpen(f *testing.F) {
	ready := commandFrame("READY", property("Socket-Type", "ROUTER"))
	f.Add(append(append(greetingBytes(), ready...), frame(0, []byte("hi"))...))
	f.Add(append(greetingBytes(), commandFrame("READY", []byte{200, 'x'})...))
	f.Add(append(greetingBytes(), commandFrame("READY", property("Socket-Type", "SAMOVAR"))...))
	f.Add(append(greetingBytes(), commandFrame("ERROR", []byte{9, 'x'})...))
	f.Add(greetingBytes()[:30])
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		conn, err := Open(t.Context(), scripted{says: bytes.NewReader(input)},
			Options{Type: zmq4.Dealer, Identity: "w", MaxMessage: 1 << 16})
		if err != nil {
			var failed *HandshakeError
			if !errors.As(err, &failed) {
				t.Fatalf("%v is no *HandshakeError", err)
			}
			return
		}
		if reason := conn.Serve(t.Context(), ignore); reason == nil {
			t.Fatal("Serve ended without a reason")
		}
	})
}
