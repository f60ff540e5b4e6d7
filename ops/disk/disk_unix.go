//go:build unix

package disk

import (
	"os"
	"syscall"
)

// Full are the system's words for a disk that takes no writes.
var Full = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}

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
