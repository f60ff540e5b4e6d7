package venv

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

type lockKind uint32

const (
	shared    lockKind = 0
	exclusive lockKind = windows.LOCKFILE_EXCLUSIVE_LOCK
)

// renameWhileLocked: Windows does not rename a folder while a file in it is
// open. That is a guard of its own: an environment is moved away after its lock
// was let go, and if a job took it in between, its open use file and its
// running python.exe make the rename fail.
const renameWhileLocked = false

// heldOpen tells whether a rename failed because something inside is open.
func heldOpen(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// tryLock locks the whole file without waiting. Windows enforces it on reads
// and writes, which nobody does on these files.
func tryLock(file *os.File, kind lockKind) (bool, error) {
	err := windows.LockFileEx(windows.Handle(file.Fd()),
		uint32(kind)|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
