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

// Whatever a peer sends after the handshake becomes whole messages within the
// limits, and then an error.
func FuzzFrames(f *testing.F) {
	f.Add(frame(0, []byte("hello")), uint16(10))
	f.Add(append(frame(flagMore, []byte("a")), frame(0, make([]byte, 300))...), uint16(1000))
	f.Add(append(pingFrame("ctx"), frame(0, nil)...), uint16(0))
	f.Add(append(append(frame(flagMore, nil), pingFrame("ctx")...), frame(0, nil)...), uint16(0))
	f.Add([]byte{2, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1}, uint16(100))
	f.Add([]byte{2, 255, 255, 255, 255, 255, 255, 255, 255}, uint16(1))
	f.Add(bytes.Repeat([]byte{1, 0}, 40), uint16(1))
	f.Add([]byte{4, 2, 9, 'P'}, uint16(1))
	f.Fuzz(func(t *testing.T, input []byte, limit uint16) {
		const maxFrames = 16
		options := Options{MaxMessage: int64(limit), MaxFrames: maxFrames}
		came := 0 // bytes
		w := newWire(scripted{says: bytes.NewReader(input)}, options, newLife(time.Minute),
			func(name string, data []byte) error { came += len(name) + len(data); return nil })
		for {
			message, err := w.readMessage()
			if err != nil {
				break
			}
			total := 0
			for _, body := range message.Frames {
				total += len(body)
			}
			if total > int(limit) || len(message.Frames) == 0 || len(message.Frames) > maxFrames {
				t.Fatalf("%d bytes in %d frames came through", total, len(message.Frames))
			}
			came += total
		}
		if came > len(input) {
			t.Fatalf("%d bytes became %d", len(input), came)
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
