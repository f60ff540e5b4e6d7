package parts

import (
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// HeldPort is a loopback address, host:port, on which nobody listens and which nobody
// gets who asks for any free port, until the test ends: a socket holds it. Who asks for
// this one can listen there, and again after that.
func HeldPort(t testing.TB) string {
	t.Helper()
	// With SO_REUSEADDR on both sockets, which libzmq and Go set as well, a port may be
	// bound twice as long as one of the two does not listen.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
}
