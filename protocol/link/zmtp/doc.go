// Package zmtp is one ZMTP 3 connection that tells the truth: it is alive and
// within its limits, or it is closed with a reason.
//
// Greeting and metadata are those of github.com/go-zeromq/zmq4 ([zmq4.Open]). zmq4
// alone trusts its peer: it waits for a silent one for ever, panics on malformed
// metadata, allocates whatever length a frame declares, and answers a PING without
// its context, in the middle of whatever is being written. So it does not get the
// socket itself but a [net.Conn] of ours (handshake.go) that hands on whole commands
// of a bounded size, and it is gone when the handshake is done. Its interface for
// security makes HELLO and WELCOME possible, but not CURVE's frames: it writes the
// size of a frame before that is sealed, and does not tell how a frame is flagged.
// So frames are read and written here (wire.go), in clear or in the boxes of package
// curve, with limits that count before memory is taken and a deadline on progress, in
// memory (block.go) that is used again.
//
// Read in this order: options.go for what can be set, conn.go for the life of a
// connection, keepalive.go and life.go for its life signs, handshake.go for how it
// begins, wire.go and frame.go for the bytes, message.go and block.go for where they go.
//
// Package link supervises such a connection from the connecting side; package
// sentinel serves several from the accepting side.
package zmtp
