//go:build unix

package venv

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

type lockKind int

const (
	shared    lockKind = unix.LOCK_SH
	exclusive lockKind = unix.LOCK_EX
)

// renameWhileLocked: a folder can be renamed while a file in it is open, so
// that an environment is moved away under its lock.
const renameWhileLocked = true

// heldOpen: nothing that somebody has open keeps a folder from being renamed.
func heldOpen(error) bool { return false }

// tryLock takes an advisory lock on the open file, without waiting. Two opens of
// one file exclude each other also within a process. Children do not inherit
// it: Go opens files close-on-exec.
func tryLock(file *os.File, kind lockKind) (bool, error) {
	for {
		err := unix.Flock(int(file.Fd()), int(kind)|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		}
		return false, err
	}
}
