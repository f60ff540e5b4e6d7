package bridge

import "net"

// A socket's file is named guest-RANDOM.sock. Windows pipes have no files.
const (
	socketPrefix = "guest-"
	socketSuffix = ".sock"
)

// listener is where one guest connects: a Unix socket, or a named pipe on
// Windows. Closing it unblocks Accept, and removes what a guest could find.
type listener interface {
	// Address is what the guest is given in BRIDGE_SOCKET.
	Address() string
	Accept() (net.Conn, error)
	// Peer tells which process is at the other end, and refuses another user's.
	// pid is 0 where the platform does not tell: then the token has to do.
	Peer(net.Conn) (pid int, err error)
	// Close may be called twice, and from any goroutine.
	Close() error
}
