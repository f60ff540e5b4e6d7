// Package curve is the client's side of CURVE, ZeroMQ's security: both ends prove
// who they are with keys, and everything after is encrypted.
//
// It knows bytes only: a [Handshake] makes the commands HELLO and INITIATE and reads
// WELCOME and READY, then a [Session] seals frames into MESSAGE commands and opens
// those of the server. Who carries them is no business of this package. It follows
// RFC 26 (https://rfc.zeromq.org/spec/26/) as libzmq speaks it; the cryptography is
// that of golang.org/x/crypto/nacl.
//
// The server's key is known beforehand. A server that has not got the secret of that
// key learns nothing from us but a key that was made for this one connection: not
// who we are, and not a byte of a message.
//
// Every connection has keys of its own, and each of them numbers its boxes from 1
// up: no number is used twice under a key. The server's numbers must grow, too, or
// the connection is over.
package curve
