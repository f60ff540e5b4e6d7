// Package link keeps a DEALER connected to a ROUTER, for months, and does not
// pretend: it says when a connection is up, hands over what comes in, and sends
// a message on exactly the connection that the caller means, or not at all.
//
// It moves messages of frames and knows nothing of what is in them.
//
// # What it promises
//
//   - [Link.Run] dials until its context ends, whatever the peer does: not there
//     yet, restarted, frozen, speaking something else, closing at once. It waits
//     between dials, longer with every failure, and with a random part.
//   - Every connection has a number. The events of one come as [Up], any number of
//     [Received], [Down], and those of the next one after them. Every Up is
//     followed by its Down, as long as the consumer drains [Link.Events].
//   - A nil from [Link.Send] means: the socket of that very connection took every
//     byte of the message. A message is never split between connections, never
//     sent behind a part of another one, and never queued for a later connection.
//   - A peer from which no byte came for two heartbeat intervals is given up, also
//     when the network swallows everything, also when the peer is only frozen. The
//     PINGs of a libzmq peer are answered.
//   - With CURVE everything is encrypted, and a peer that has not got the secret of the
//     server's key that was given learns nothing of us: no identity, no key, no message.
//   - What a peer can cost is bounded: the size and the frames of a message, on its
//     header already, while memory is taken only as the bytes come; the time of a
//     handshake; the time without progress of a write; the messages waiting for the
//     consumer. Garbage, lies and boxes that were tampered with end the connection with
//     a typed reason, which is logged and counted by its [Kind] in [Status.Reasons].
//   - When Run returns, no goroutine and no descriptor is left.
//
// # What it cannot
//
//   - A nil from Send is not an acknowledgement. The bytes may be lost on the way,
//     in the peer's buffers, or with the peer. What must not be lost needs an answer
//     from the application, and to be sent again on a new connection until it comes.
//   - It cannot see whether the peer's application reads. libzmq's I/O thread
//     answers PINGs while the application is stuck.
//   - It cannot see that its identity is taken; see below.
//   - While the consumer does not drain Events, the link stops reading once its
//     queue is full. Then it answers no PINGs, and the peer may give it up.
//   - A peer that enforces a heartbeat timeout shorter than the time that one large
//     message takes on the network will break the connection: ZMTP cannot put a PING
//     into a message.
//
// # Several endpoints
//
// [Config.Fallback] are endpoints to go on with when Config.Endpoint cannot be reached,
// or does not keep a connection for MaxBackoff. They are tried in order, round and
// round, and the back-off grows with every round. A connection that holds is never left
// for an endpoint further up: moving costs more than it gains, and a peer that comes
// and goes would shake the link with it. Only when it ends anyway, and had been stable,
// the link begins with the first again.
//
// # The identity that is still taken
//
// A ROUTER without ZMQ_ROUTER_HANDOVER ignores a second connection under an identity
// that it has. It does so in silence: the handshake succeeds, what we send is taken,
// our PINGs are answered, and nothing reaches the application, not even after the
// old connection has died (observed with libzmq 4.3.5). So the link dials again only
// when the peer must have let go of the old connection:
//
//   - When the peer's FIN was seen, it has. The link waits its back-off, which gives
//     the peer's application thread time to note it.
//   - After any other end (silence, reset, stalled write, broken protocol) the link
//     waits for the TTL of its last PING, two heartbeat intervals, and a second.
//     That goes for the next endpoint, too, which may be another way to the same peer.
//     libzmq drops a connection on which nothing came for the TTL, and frees the
//     identity. It stops that clock with every other frame, so a PING follows right
//     behind our messages, at most every 100 ms.
//   - When Run's context ends, the link sends its FIN, waits shortly for the peer's,
//     and 100 ms more, so that whoever comes next finds the identity free.
//
// Where it may have happened all the same, after a process that was killed (see
// [Config.Suspect]) and after an end without the peer's FIN, since a peer that is busy
// or stood still keeps no time, the link heals it: when no message has arrived by the
// time the old connection must be gone, it is closed in good order and made anew, once.
// The peer gives no sign by which to know better.
//
// Not covered: a network that is cut between a message and the PING behind it (at
// most 100 ms), and an application that does not touch its ROUTER socket between
// the end of one connection and the start of the next, both times (libzmq lets go of
// an identity on that thread).
package link
