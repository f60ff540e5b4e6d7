package zmtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-zeromq/zmq4"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

const (
	greetingSize  = 64
	greetingFirst = 0xff // every ZMTP 2 or 3 peer begins with this byte
	mechanismAt   = 12   // where the name of the mechanism begins, 20 bytes, filled up with zeros
	mechanismEnd  = 32
)

// plainError is how libzmq 4.3.5 begins the ERROR of its PLAIN (observed): it means
// "\x05ERROR", but C takes an E behind \x5 for a digit.
const plainError = "\x5eRROR"

// shaking is the net.Conn that zmq4 shakes hands on, instead of the socket: it
// hands on the greeting and whole commands of a bounded size, and nothing else.
type shaking struct {
	net.Conn  // deadlines and addresses
	wire      *wire
	mechanism string
	asked     bool   // the greeting was asked for
	greeted   bool   // the greeting came
	ready     []byte // bytes to hand on
	failed    error  // the first error of reading; final
}

// Read gives the peer's greeting, then its commands.
func (s *shaking) Read(p []byte) (int, error) {
	for len(s.ready) == 0 && s.failed == nil {
		s.ready, s.failed = s.next()
	}
	if s.failed != nil {
		return 0, s.failed
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

func (s *shaking) next() ([]byte, error) {
	if !s.asked {
		s.asked = true
		return s.nextGreeting()
	}
	return s.nextCommand()
}

// nextGreeting looks at the first byte before it waits for the others: a peer
// that speaks something else may never send 64 bytes.
func (s *shaking) nextGreeting() ([]byte, error) {
	first, err := s.wire.in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] != greetingFirst {
		start, _ := s.wire.in.Peek(min(s.wire.in.Buffered(), 16))
		return nil, &ProtocolError{fmt.Sprintf("it begins with %q, not with a ZMTP greeting", start)}
	}
	greeting := make([]byte, greetingSize)
	if _, err := io.ReadFull(s.wire.in, greeting); err != nil {
		return nil, withinFrame(err)
	}
	if theirs := string(bytes.TrimRight(greeting[mechanismAt:mechanismEnd], "\x00")); theirs != s.mechanism {
		return nil, &SecurityError{fmt.Errorf("the peer wants the mechanism %q, we have %s", theirs, s.mechanism)}
	}
	s.greeted = true
	return greeting, nil
}

// hint says what it may mean that the peer hangs up: libzmq gives no reason for
// what has to do with security.
func (s *shaking) hint(m mechanism) string {
	switch {
	case !s.greeted:
		return "; it may want another mechanism than " + s.mechanism
	case m.Type() == zmq4.CurveSecurity && !m.outcome().announced:
		return "; its key may be another than the one that is given for it"
	}
	return ""
}

func (s *shaking) nextCommand() ([]byte, error) {
	h, err := readFrameHeader(s.wire.in)
	if err != nil {
		return nil, err
	}
	if !h.command() {
		return nil, &ProtocolError{"a message before the end of the handshake"}
	}
	if err := s.wire.check(h.flags(), h.size, 0, 0); err != nil {
		return nil, err
	}
	frame := append(make([]byte, 0, h.n+int(h.size)), h.raw()...)
	frame = frame[:cap(frame)]
	body := frame[h.n:]
	if _, err := io.ReadFull(s.wire.in, body); err != nil {
		return nil, withinFrame(err)
	}
	if reason, ok := bytes.CutPrefix(body, []byte(plainError)); ok {
		return nil, &RefusedError{errorReason(reason)}
	}
	name, data, err := splitCommand(body)
	switch {
	case err != nil:
		return nil, err
	case name == "ERROR":
		return nil, &RefusedError{errorReason(data)}
	}
	return frame, nil
}

// Write sends at once what zmq4 has to say.
func (s *shaking) Write(p []byte) (int, error) {
	n, err := s.wire.out.Write(p)
	if err == nil {
		err = s.wire.out.Flush()
	}
	return n, err
}

// shake is zmq4.Open without its panics: it slices the peer's metadata
// without looking at its length, and panics on a socket type that it does not know.
func (s *shaking) shake(o Options, m mechanism) (peer zmq4.Metadata, err error) {
	defer func() {
		if p := recover(); p != nil {
			peer, err = nil, &ProtocolError{fmt.Sprintf("malformed metadata (%v)", p)}
		}
	}()
	conn, err := zmq4.Open(s, m, o.Type, zmq4.SocketIdentity(o.Identity), o.Server, nil)
	if err != nil {
		return nil, err
	}
	return conn.Peer.Meta, nil
}

// mechanism is how a handshake goes on behind the greeting.
type mechanism interface {
	zmq4.Security
	outcome() opening
}

// opening is what a handshake leaves behind, also one that fails.
type opening struct {
	announced bool           // our metadata, and the identity in it, was sent
	session   *curve.Session // nil: frames go in clear
}

func (o *opening) outcome() opening { return *o }

// The frames of a handshake are in clear, and those that follow are not zmq4's.
func (*opening) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
func (*opening) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

func newMechanism(o Options) mechanism {
	switch {
	case o.Curve != nil:
		return &curveMechanism{client: *o.Curve}
	case o.Plain != nil:
		return &plainMechanism{plain: *o.Plain}
	}
	return &nullMechanism{}
}

var errClientOnly = errors.New("PLAIN and CURVE are there for the connecting side only")

// nullMechanism: each end says who it is, and is believed.
type nullMechanism struct{ opening }

func (*nullMechanism) Type() zmq4.SecurityType { return zmq4.NullSecurity }

func (m *nullMechanism) Handshake(conn *zmq4.Conn, _ bool) error {
	metadata, err := conn.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	m.announced = true
	if err := conn.SendCmd(zmq4.CmdReady, metadata); err != nil {
		return err
	}
	ready, err := receive(conn, zmq4.CmdReady)
	if err != nil {
		return err
	}
	return conn.Peer.Meta.UnmarshalZMTP(ready)
}

// plainMechanism: we send a name and a password, in clear.
type plainMechanism struct {
	opening
	plain Plain
}

func (*plainMechanism) Type() zmq4.SecurityType { return zmq4.PlainSecurity }

func (m *plainMechanism) Handshake(conn *zmq4.Conn, server bool) error {
	if server {
		return errClientOnly
	}
	hello := append([]byte{byte(len(m.plain.Username))}, m.plain.Username...)
	hello = append(append(hello, byte(len(m.plain.Password))), m.plain.Password...)
	if err := conn.SendCmd(zmq4.CmdHello, hello); err != nil {
		return err
	}
	if _, err := receive(conn, zmq4.CmdWelcome); err != nil {
		return err
	}
	metadata, err := conn.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	m.announced = true
	if err := conn.SendCmd(zmq4.CmdInitiate, metadata); err != nil {
		return err
	}
	ready, err := receive(conn, zmq4.CmdReady)
	if err != nil {
		return err
	}
	return conn.Peer.Meta.UnmarshalZMTP(ready)
}

// curveMechanism: both ends prove their keys, and agree on keys for the frames.
type curveMechanism struct {
	opening
	client curve.Client
}

func (*curveMechanism) Type() zmq4.SecurityType { return zmq4.CurveSecurity }

func (m *curveMechanism) Handshake(conn *zmq4.Conn, server bool) error {
	if server {
		return errClientOnly
	}
	handshake, hello, err := m.client.Hello()
	if err != nil {
		return err
	}
	if err := conn.SendCmd(zmq4.CmdHello, hello); err != nil {
		return err
	}
	welcome, err := receive(conn, zmq4.CmdWelcome)
	if err != nil {
		return err
	}
	metadata, err := conn.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	initiate, err := handshake.Initiate(welcome, metadata)
	if err != nil {
		return &SecurityError{err}
	}
	m.announced = true
	if err := conn.SendCmd(zmq4.CmdInitiate, initiate); err != nil {
		return err
	}
	ready, err := receive(conn, zmq4.CmdReady)
	if err != nil {
		return err
	}
	metadata, session, err := handshake.Ready(ready)
	if err != nil {
		return &SecurityError{err}
	}
	m.session = session
	return conn.Peer.Meta.UnmarshalZMTP(metadata)
}

// receive reads the command that must come next.
func receive(conn *zmq4.Conn, name string) ([]byte, error) {
	command, err := conn.RecvCmd()
	if err != nil {
		return nil, err
	}
	if command.Name != name {
		return nil, &ProtocolError{fmt.Sprintf("%q where %s must come", command.Name, name)}
	}
	return command.Body, nil
}
