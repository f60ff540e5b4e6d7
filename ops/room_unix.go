//go:build unix

package ops

import "golang.org/x/sys/unix"

// roomOn is how many bytes a folder's disk has free for this user.
func roomOn(folder string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(folder, &disk); err != nil {
		return 0, err
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil
}
