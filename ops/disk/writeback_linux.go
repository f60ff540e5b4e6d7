package disk

import "golang.org/x/sys/unix"

// Hasten asks the system to begin to write out a part of the file, so that a later Sync
// has less to wait for. It makes nothing durable and tells of no failure: Sync does.
func (f *File) Hasten(at, length int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), at, length, unix.SYNC_FILE_RANGE_WRITE)
	})
}
