package link

import "github.com/casparian-flow/casparian-worker/protocol/link/zmtp"

// Event is something that happened on the link. The set is sealed: Up, Down and
// Received.
type Event interface{ event() }

// Up: a connection is open, its handshake done. Send takes its number from now on.
type Up struct{ Connection uint64 }

// Down: the connection has ended. Nothing more comes from it or goes to it. What
// was sent on it and not answered may be lost.
type Down struct {
	Connection uint64
	Reason     error // never nil
}

// Received: a message came in. Its frames, at least one, belong to the consumer.
type Received struct {
	Connection uint64
	Frames     [][]byte
	// Echoed is how many of the messages that we sent on the connection had reached
	// the peer's socket before this one left it, for certain. What we sent later cannot
	// have led to it. It lags behind unless [Config.Echo] is set.
	Echoed uint64

	message *zmtp.Message
}

// Release gives the memory of the frames back, for messages to come. Nobody may use them
// from then on, nor what shares memory with them. It is no duty, but a consumer of large
// messages that releases them keeps the garbage collector out of it. A second call does
// nothing.
func (r Received) Release() { r.message.Release() }

func (Up) event()       {}
func (Down) event()     {}
func (Received) event() {}
