// Package zmtp is one ZMTP 3 connection that tells the truth: it is alive and
// within its limits, or it is closed with a reason.
//
// The handshake and the framing are those of github.com/go-zeromq/zmq4
// ([zmq4.Open] and [zmq4.Conn]). zmq4 alone trusts its peer: it waits for a
// silent one for ever, panics on malformed metadata, allocates whatever length a
// frame declares, and answers a PING without its context, in the middle of whatever
// is being written. So it does not get the socket itself but a [net.Conn] of ours
// (wire.go) that reads every frame header first, keeps the limits, takes out the
// commands, and writes with a deadline on progress.
//
// Read in this order: options.go for what can be set, conn.go for the life of a
// connection, keepalive.go for its life signs, wire.go and frame.go for the bytes.
//
// Package link supervises such a connection from the connecting side; package
// sentinel serves several from the accepting side.
package zmtp
