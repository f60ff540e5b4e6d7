package curve

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"golang.org/x/crypto/nacl/box"
)

var (
	// ErrReplayed: a box came a second time, or behind a later one.
	ErrReplayed = errors.New("a box of CURVE came again or out of order")

	// ErrForged: a box was not made by the peer of this session, or was changed.
	ErrForged = errors.New("a box of CURVE was forged or changed on the way")

	// ErrExhausted: a session has used all of its numbers.
	ErrExhausted = errors.New("the session has no number left for another box")
)

// Overhead is by how many bytes the body of a MESSAGE is longer than what is in it.
const Overhead = len(messageName) + shortNonceSize + box.Overhead + 1

const (
	messageName   = "\x07MESSAGE"
	clientMessage = "CurveZMQMESSAGEC" // the purpose of a client's boxes
	serverMessage = "CurveZMQMESSAGES" // the purpose of a server's boxes
	keptScratch   = 1 << 20            // bytes; larger memory is given back
)

// The flags of a frame in a box.
const (
	More    = 1 // another frame of the same message follows
	Command = 2 // a command, not part of a message
)

// Session is the encrypted traffic of one connection. Seal and Open may be called
// at the same time as each other, but each from one goroutine at a time.
type Session struct {
	key            [32]byte
	sent, received uint64 // numbers of the last boxes
	seals, opens   string // purposes
	scratch        []byte
}

// Seal appends the body of a MESSAGE to to: one frame with its flags. The number of
// the box is used up whatever becomes of it.
func (s *Session) Seal(to []byte, flags byte, frame []byte) ([]byte, error) {
	if s.sent == math.MaxUint64 {
		return to, ErrExhausted
	}
	s.sent++
	s.scratch = append(append(s.scratch[:0], flags), frame...)
	to = slices.Grow(to, Overhead+len(frame))
	to = append(to, messageName...)
	to = binary.BigEndian.AppendUint64(to, s.sent)
	to = box.SealAfterPrecomputation(to, s.scratch, shortNonce(s.seals, s.sent), &s.key)
	if cap(s.scratch) > keptScratch {
		s.scratch = nil
	}
	return to, nil
}

// Open takes the body of a MESSAGE apart. The frame is in the memory behind to, which
// must not overlap the message, or in memory of its own if there is too little: what
// the message has beyond [Overhead], and one byte, is enough.
func (s *Session) Open(to, message []byte) (flags byte, frame []byte, err error) {
	if len(message) < Overhead || string(message[:len(messageName)]) != messageName {
		return 0, nil, ErrMalformed
	}
	message = message[len(messageName):]
	number := binary.BigEndian.Uint64(message)
	if number <= s.received {
		return 0, nil, ErrReplayed
	}
	opened, ok := box.OpenAfterPrecomputation(to[len(to):], message[shortNonceSize:], shortNonce(s.opens, number), &s.key)
	if !ok {
		return 0, nil, ErrForged
	}
	s.received = number
	return opened[0], opened[1:], nil
}
