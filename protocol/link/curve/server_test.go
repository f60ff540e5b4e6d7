package curve

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/crypto/nacl/box"
)

// server is the other side of a handshake, without the cookie's state: libzmq is
// met in the tests of package link.
type server struct {
	keys      Pair
	transient Pair
	client    *[32]byte // transient
	cookie    [cookieSize]byte
}

func newServer(t testing.TB, keys Pair) *server {
	t.Helper()
	transient, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{keys: keys, transient: transient}
	rand.Read(s.cookie[:])
	return s
}

func (s *server) welcome(hello []byte) ([]byte, error) {
	const begin = len(helloVersion) + helloPadding
	if len(hello) != begin+keySize+shortNonceSize+helloSignature+box.Overhead {
		return nil, ErrMalformed
	}
	s.client = (*[32]byte)(hello[begin:])
	number := binary.BigEndian.Uint64(hello[begin+keySize:])
	if _, ok := box.Open(nil, hello[begin+keySize+shortNonceSize:], shortNonce("CurveZMQHELLO---", number), s.client, s.keys.secret.bytes()); !ok {
		return nil, ErrForged
	}
	var fresh [longNonceSize]byte
	rand.Read(fresh[:])
	what := append(bytes.Clone(s.transient.Public[:]), s.cookie[:]...)
	return box.Seal(bytes.Clone(fresh[:]), what, longNonce("WELCOME-", fresh[:]), s.client, s.keys.secret.bytes()), nil
}

// ready gives READY, the client's key and metadata, and the session.
func (s *server) ready(initiate, metadata []byte) (ready []byte, client Key, theirs []byte, session *Session, err error) {
	cookie, rest := initiate[:cookieSize], initiate[cookieSize:]
	if !bytes.Equal(cookie, s.cookie[:]) {
		return nil, client, nil, nil, errors.New("another cookie")
	}
	number := binary.BigEndian.Uint64(rest)
	who, ok := box.Open(nil, rest[shortNonceSize:], shortNonce("CurveZMQINITIATE", number), s.client, s.transient.secret.bytes())
	if !ok {
		return nil, client, nil, nil, ErrForged
	}
	client = Key(who[:keySize])
	const vouchSize = 2*keySize + box.Overhead
	fresh, vouch := who[keySize:keySize+longNonceSize], who[keySize+longNonceSize:keySize+longNonceSize+vouchSize]
	vouched, ok := box.Open(nil, vouch, longNonce("VOUCH---", fresh), client.bytes(), s.transient.secret.bytes())
	if !ok || !bytes.Equal(vouched, append(bytes.Clone(s.client[:]), s.keys.Public[:]...)) {
		return nil, client, nil, nil, errors.New("a bad vouch")
	}
	theirs = who[keySize+longNonceSize+vouchSize:]
	ready = box.Seal(binary.BigEndian.AppendUint64(nil, 1), metadata, shortNonce("CurveZMQREADY---", 1), s.client, s.transient.secret.bytes())
	session = &Session{sent: 1, received: number, seals: serverMessage, opens: clientMessage}
	box.Precompute(&session.key, s.client, s.transient.secret.bytes())
	return ready, client, theirs, session, nil
}

func pair(t testing.TB) Pair {
	t.Helper()
	p, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sessions gives the two ends of an open connection.
func sessions(t testing.TB) (client, peer *Session) {
	t.Helper()
	ours, theirs := pair(t), pair(t)
	s := newServer(t, theirs)
	h, hello, err := (&Client{Server: theirs.Public, Keys: ours}).Hello()
	if err != nil {
		t.Fatal(err)
	}
	welcome, err := s.welcome(hello)
	if err != nil {
		t.Fatal(err)
	}
	initiate, err := h.Initiate(welcome, []byte("our metadata"))
	if err != nil {
		t.Fatal(err)
	}
	ready, who, metadata, peer, err := s.ready(initiate, []byte("their metadata"))
	if err != nil || who != ours.Public || string(metadata) != "our metadata" {
		t.Fatalf("the server got %q from %s: %v", metadata, who.Text(), err)
	}
	metadata, client, err = h.Ready(ready)
	if err != nil || string(metadata) != "their metadata" {
		t.Fatalf("the client got %q: %v", metadata, err)
	}
	return client, peer
}
