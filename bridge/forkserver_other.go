//go:build !linux

package bridge

import (
	"errors"
	"net"
	"os"
)

// Warm interpreters are for Linux alone. macOS does not promise that a process
// which has used its frameworks, as numpy does, can be forked; Windows cannot fork.

func controlPair() (*net.UnixConn, *os.File, error) {
	return nil, nil, errors.New("warm guests need Linux")
}

func rights(*os.File) []byte { return nil }

func memoryPressure() string { return "" }

func residentBytes(int) int64 { return 0 }
