package bridge

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

type pipeListener struct {
	net.Listener
	name string
}

// ours: a folder of sockets is never needed here.
func ours(os.FileInfo) bool { return false }

// socketFolderFits: a pipe's name does not depend on a folder.
func socketFolderFits(string) bool { return true }

// listen opens a named pipe under a random name. Its access list names the
// worker's own user (OW, owner rights) and nobody else, and refuses the network.
func listen(string) (listener, error) {
	return listenAgain(`\\.\pipe\casparian-guest-` + randomName())
}

// listenAgain opens a pipe under a name that nobody has.
func listenAgain(name string) (listener, error) {
	l, err := winio.ListenPipe(name, &winio.PipeConfig{
		SecurityDescriptor: "D:P(D;;GA;;;NU)(A;;GA;;;OW)",
		InputBufferSize:    256 << 10,
		OutputBufferSize:   64 << 10,
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", name, err)
	}
	return &pipeListener{Listener: l, name: name}, nil
}

func (l *pipeListener) Address() string { return l.name }

func (l *pipeListener) Close() error {
	err := l.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Peer: the access list has refused other users already.
func (l *pipeListener) Peer(conn net.Conn) (int, error) {
	handle, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return 0, nil
	}
	var pid uint32
	if err := windows.GetNamedPipeClientProcessId(windows.Handle(handle.Fd()), &pid); err != nil {
		return 0, fmt.Errorf("peer of the pipe: %w", err)
	}
	return int(pid), nil
}

// sweepSockets: a pipe ends with the process that opened it.
func sweepSockets(string) error { return nil }
