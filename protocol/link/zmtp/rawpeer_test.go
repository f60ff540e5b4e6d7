package zmtp

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// within is the deadline of every wait that must succeed.
const within = time.Minute

// rawPeer is the other end of a connection, byte by byte.
type rawPeer struct {
	t *testing.T
	net.Conn
}

// connected gives the two ends of a TCP connection over loopback.
func connected(t *testing.T) (ours net.Conn, peer *rawPeer) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); accepted.Close() })
	if err := accepted.SetDeadline(time.Now().Add(2 * within)); err != nil {
		t.Fatal(err)
	}
	return ours, &rawPeer{t, accepted}
}

// opened gives a Conn whose peer has shaken hands as a ROUTER.
func opened(t *testing.T, options Options) (*Conn, *rawPeer) {
	t.Helper()
	socket, peer := connected(t)
	options.Type = zmq4.Dealer
	if options.Identity == "" {
		options.Identity = "worker-1"
	}
	shaken := make(chan error, 1)
	go func() { shaken <- peer.shakeHands() }()
	conn, err := Open(t.Context(), socket, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return conn, peer
}

// serving serves conn until the test ends; its end is in the channel.
func serving(t *testing.T, conn *Conn, receive func(*Message) error) (reason <-chan error, stop context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- conn.Serve(ctx, receive)
	}()
	t.Cleanup(func() { conn.abort(ErrStopped); stop(); <-done })
	return ended, stop
}

func ignore(*Message) error { return nil }

func awaitReason(t *testing.T, reason <-chan error) error {
	t.Helper()
	select {
	case err := <-reason:
		return err
	case <-time.After(within):
		t.Fatal("the connection did not end")
		return nil
	}
}

func (p *rawPeer) shakeHands() error {
	if _, err := p.Write(greetingBytes()); err != nil {
		return err
	}
	if _, err := io.ReadFull(p, make([]byte, greetingSize)); err != nil {
		return err
	}
	if _, _, err := p.readFrame(); err != nil { // its READY
		return err
	}
	_, err := p.Write(commandFrame("READY", property("Socket-Type", "ROUTER")))
	return err
}

func greetingBytes() []byte {
	g := make([]byte, greetingSize)
	g[0], g[9], g[10] = 0xff, 0x7f, 3
	copy(g[12:], "NULL")
	return g
}

func property(name, value string) []byte {
	b := append([]byte{byte(len(name))}, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func frame(flags byte, body []byte) []byte {
	if len(body) > 255 {
		return append(binary.BigEndian.AppendUint64([]byte{flags | flagLong}, uint64(len(body))), body...)
	}
	return append([]byte{flags, byte(len(body))}, body...)
}

func commandFrame(name string, data []byte) []byte {
	return frame(flagCommand, append(append([]byte{byte(len(name))}, name...), data...))
}

func pingFrame(context string) []byte {
	return commandFrame("PING", append([]byte{0, 100}, context...))
}

func (p *rawPeer) write(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawPeer) readFrame() (flags byte, body []byte, err error) {
	h, err := readFrameHeader(p)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, h.size)
	_, err = io.ReadFull(p, body)
	return h.bytes[0], body, err
}

// nextCommand reads frames up to the next command of the given name.
func (p *rawPeer) nextCommand(name string) []byte {
	p.t.Helper()
	prefix := append([]byte{byte(len(name))}, name...)
	for {
		flags, body, err := p.readFrame()
		if err != nil {
			p.t.Fatalf("wait for %s: %v", name, err)
		}
		if flags&flagCommand != 0 && bytes.HasPrefix(body, prefix) {
			return body[len(prefix):]
		}
	}
}

// nextMessageFrame reads frames up to the next one that is not a command.
func (p *rawPeer) nextMessageFrame() []byte {
	p.t.Helper()
	for {
		flags, body, err := p.readFrame()
		if err != nil {
			p.t.Fatalf("wait for a message: %v", err)
		}
		if flags&flagCommand == 0 {
			return body
		}
	}
}
