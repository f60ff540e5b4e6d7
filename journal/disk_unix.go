//go:build unix

package journal

import (
	"os"
	"syscall"
)

var fullErrors = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}

// syncFolder makes the names in a folder durable: a file that was renamed into it
// is there after a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if closed := folder.Close(); err == nil {
		err = closed
	}
	return err
}
