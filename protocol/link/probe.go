package link

import (
	"context"
	"errors"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol/link/zmtp"
)

// Probe shakes hands with the peer at config's Endpoint once, with its security but
// without its identity, and hangs up in good order. So it does not come in the way of
// a link that has that identity, and a ROUTER forgets the visit. It gives the type of
// the peer's socket, and how long the peer took.
func Probe(ctx context.Context, config Config) (peer string, took time.Duration, err error) {
	config, to, err := config.complete()
	if err != nil {
		return "", 0, err
	}
	began := time.Now()
	socket, err := to[0].dial(ctx, config)
	if err != nil {
		return "", 0, err
	}
	options := config.options()
	options.Identity = ""
	conn, err := zmtp.Open(ctx, socket, options)
	if err != nil {
		return "", 0, err
	}
	took = time.Since(began)
	over, end := context.WithCancel(ctx)
	end()
	if err := conn.Serve(over, func(*zmtp.Message) error { return nil }); !errors.Is(err, ErrStopped) {
		return "", 0, err
	}
	return string(conn.PeerType()), took, nil
}
