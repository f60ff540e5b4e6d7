//go:build !linux

package parts

import (
	"net"
	"testing"
)

// HeldPort is a loopback address, host:port, on which nobody listens. Only on Linux is
// it kept from others, too.
func HeldPort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
