package journal

import (
	"syscall"

	"golang.org/x/sys/windows"
)

var fullErrors = []syscall.Errno{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_WRITE_PROTECT}

// syncFolder does nothing: Windows has no call for it, and NTFS keeps renames in
// its own log.
func syncFolder(string) error { return nil }
