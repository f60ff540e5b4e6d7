package bridge

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// controlPair gives the two ends of a connection between a host and a warm
// interpreter: it keeps messages apart, and nobody else can reach it.
func controlPair() (ours *net.UnixConn, theirs *os.File, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("a socket pair: %w", err)
	}
	theirs = os.NewFile(uintptr(ends[1]), "warm interpreter")
	mine := os.NewFile(uintptr(ends[0]), "warm interpreter")
	defer mine.Close()
	conn, err := net.FileConn(mine)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("a socket pair: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}

// rights attaches a descriptor to a message.
func rights(file *os.File) []byte { return unix.UnixRights(int(file.Fd())) }

// residentBytes is the resident memory of a process, 0 when it is not there.
func residentBytes(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
