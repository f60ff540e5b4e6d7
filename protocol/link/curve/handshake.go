package curve

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/nacl/box"
)

// Client is who we are, and whom alone we talk to.
type Client struct {
	Server Key  // the server's public key
	Keys   Pair // ours; a server may ask for a key that it knows
}

var (
	// ErrNotTheServer: what came was not made with the secret of the server's key,
	// or it was changed on the way.
	ErrNotTheServer = errors.New("the peer has not got the secret of the server's key")

	// ErrMalformed: a command does not have the form that it must have.
	ErrMalformed = errors.New("malformed CURVE command")
)

// The sizes of the parts of commands, in bytes.
const (
	keySize         = 32
	cookieSize      = 96
	shortNonceSize  = 8
	longNonceSize   = 16
	welcomeSize     = longNonceSize + keySize + cookieSize + box.Overhead
	helloPadding    = 72 // an answer is never larger than its question
	helloSignature  = 64 // zeros, which prove that we know the server's key
	helloVersion    = "\x01\x00"
	readySizeAtMost = 64 << 10
)

// The numbers of our first two boxes. Those of messages follow.
const (
	helloNonce    = 1
	initiateNonce = 2
)

// Handshake is the client's side of one handshake. Its commands are given and taken
// without their names. They come in this order: [Client.Hello] goes out, WELCOME
// comes in and [Handshake.Initiate] goes out, READY comes in for [Handshake.Ready].
type Handshake struct {
	client    *Client
	transient Pair // ours, for this connection
	server    *Key // the server's public key for this connection
}

// Hello begins a handshake with a HELLO. It shows a key that is used for this
// connection only.
func (c *Client) Hello() (*Handshake, []byte, error) {
	transient, err := Generate()
	if err != nil {
		return nil, nil, err
	}
	h := &Handshake{client: c, transient: transient}
	return h, h.hello(), nil
}

func (h *Handshake) hello() []byte {
	hello := append([]byte(helloVersion), make([]byte, helloPadding)...)
	hello = append(hello, h.transient.Public[:]...)
	hello = binary.BigEndian.AppendUint64(hello, helloNonce)
	return box.Seal(hello, make([]byte, helloSignature), shortNonce("CurveZMQHELLO---", helloNonce),
		h.client.Server.bytes(), h.transient.secret.bytes())
}

// Initiate takes the server's WELCOME. When the server has proved that it is the one
// we mean, it gives the INITIATE, which says who we are and carries our metadata.
func (h *Handshake) Initiate(welcome, metadata []byte) ([]byte, error) {
	if len(welcome) != welcomeSize {
		return nil, ErrMalformed
	}
	opened, ok := box.Open(nil, welcome[longNonceSize:], longNonce("WELCOME-", welcome[:longNonceSize]),
		h.client.Server.bytes(), h.transient.secret.bytes())
	if !ok {
		return nil, ErrNotTheServer
	}
	h.server = (*Key)(opened)
	cookie := opened[keySize:]

	// The vouch: whoever has our secret key made the transient one, for this server.
	var fresh [longNonceSize]byte
	rand.Read(fresh[:]) // never fails
	vouch := box.Seal(nil, slices.Concat(h.transient.Public[:], h.client.Server[:]),
		longNonce("VOUCH---", fresh[:]), h.server.bytes(), h.client.Keys.secret.bytes())

	who := slices.Concat(h.client.Keys.Public[:], fresh[:], vouch, metadata)
	initiate := binary.BigEndian.AppendUint64(slices.Clone(cookie), initiateNonce)
	return box.Seal(initiate, who, shortNonce("CurveZMQINITIATE", initiateNonce), h.server.bytes(), h.transient.secret.bytes()), nil
}

// Ready takes the server's READY, and gives its metadata and the session.
func (h *Handshake) Ready(ready []byte) (metadata []byte, session *Session, err error) {
	if h.server == nil || len(ready) < shortNonceSize+box.Overhead || len(ready) > readySizeAtMost {
		return nil, nil, ErrMalformed
	}
	number := binary.BigEndian.Uint64(ready)
	metadata, ok := box.Open(nil, ready[shortNonceSize:], shortNonce("CurveZMQREADY---", number),
		h.server.bytes(), h.transient.secret.bytes())
	if !ok {
		return nil, nil, ErrNotTheServer
	}
	session = &Session{sent: initiateNonce, received: number, seals: clientMessage, opens: serverMessage}
	box.Precompute(&session.key, h.server.bytes(), h.transient.secret.bytes())
	return metadata, session, nil
}

// shortNonce is a purpose, 16 bytes, and a number.
func shortNonce(purpose string, number uint64) *[24]byte {
	var nonce [24]byte
	binary.BigEndian.PutUint64(nonce[copy(nonce[:], purpose):], number)
	return &nonce
}

// longNonce is a purpose, 8 bytes, and 16 random bytes.
func longNonce(purpose string, fresh []byte) *[24]byte {
	var nonce [24]byte
	copy(nonce[copy(nonce[:], purpose):], fresh)
	return &nonce
}
