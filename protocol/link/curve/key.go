package curve

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/box"
)

// Key is a public or a secret key, 32 bytes. Its text is Z85, 40 characters, as
// libzmq's tools write it.
type Key [32]byte

// ErrNotAKey refuses a text that is no key.
var ErrNotAKey = errors.New("is not a key: 40 characters of Z85 are")

// ParseKey reads the text of a key. Its error never repeats the text, which may be
// a secret.
func ParseKey(text string) (Key, error) {
	var key Key
	if err := decodeZ85(key[:], text); err != nil {
		return Key{}, fmt.Errorf("%w (%w)", ErrNotAKey, err)
	}
	return key, nil
}

// Text gives the key as Z85. There is no String: a secret key shall not get into a
// log by accident.
func (k Key) Text() string { return encodeZ85(k[:]) }

// bytes is the form that package box wants.
func (k *Key) bytes() *[32]byte { return (*[32]byte)(k) }

// Pair is a secret key and the public one that belongs to it.
type Pair struct {
	Public Key
	secret Key
}

// Generate makes a new pair.
func Generate() (Pair, error) {
	public, secret, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key pair: %w", err)
	}
	return Pair{*public, *secret}, nil
}

// PairOf finds the public key of a secret one.
func PairOf(secret Key) Pair {
	key, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		panic(err) // any 32 bytes are a secret key
	}
	return Pair{Key(key.PublicKey().Bytes()), secret}
}

// SecretText gives the secret key as Z85.
func (p Pair) SecretText() string { return p.secret.Text() }

// Format keeps the secret out of everything that is printed.
func (p Pair) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "key pair %s", p.Public.Text()) }
