//go:build unix

package bridge

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// longestSocketPath: sun_path holds 104 bytes on macOS and 108 on Linux, the
	// closing NUL included.
	longestSocketPath = 103
	socketNameLength  = len(socketPrefix) + 16 + len(socketSuffix)
)

type unixListener struct {
	*net.UnixListener
	path string
}

// socketFolderFits tells whether a socket in this folder can have an address.
func socketFolderFits(folder string) bool {
	return len(folder)+1+socketNameLength <= longestSocketPath
}

// ours tells whether a file is the worker's user's.
func ours(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == uint32(os.Geteuid())
}

// listen opens a socket under a random name. The folder's mode 0700 keeps other
// users away from the moment it exists.
func listen(folder string) (listener, error) {
	return listenAgain(filepath.Join(folder, socketPrefix+randomName()[:16]+socketSuffix))
}

// listenAgain opens a socket where there is none any more.
func listenAgain(path string) (listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &unixListener{UnixListener: l, path: path}, nil
}

func (l *unixListener) Address() string           { return l.path }
func (l *unixListener) Accept() (net.Conn, error) { return l.UnixListener.Accept() }

// Close also removes the socket's file.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *unixListener) Peer(conn net.Conn) (int, error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	var uid uint32
	var pid int
	var credentials error
	if err := raw.Control(func(fd uintptr) { uid, pid, credentials = peerCredentials(int(fd)) }); err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	if credentials != nil {
		return 0, fmt.Errorf("peer credentials: %w", credentials)
	}
	if uid != uint32(os.Geteuid()) {
		return 0, fmt.Errorf("a process of user %d connected, only user %d may", uid, os.Geteuid())
	}
	return pid, nil
}

// sweepSockets removes the sockets that a dead worker left. A socket that still
// takes connections has a living owner, and stays.
func sweepSockets(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", folder, err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.Type() != os.ModeSocket || !strings.HasPrefix(name, socketPrefix) || !strings.HasSuffix(name, socketSuffix) {
			continue
		}
		path := filepath.Join(folder, name)
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			_ = conn.Close()
			continue
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("sweep %s: %w", folder, err)
			}
		}
	}
	return nil
}
