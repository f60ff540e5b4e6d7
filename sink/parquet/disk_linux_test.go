package parquet

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of so many bytes for the test.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	folder := t.TempDir()
	err := syscall.Mount("casparian-test", folder, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, syscall.EPERM) {
		t.Skip("NOT TESTED HERE: mounting a small tmpfs needs root; TestAFullDiskAtEachWrite covers a full disk by injection")
	}
	must(t, err)
	t.Cleanup(func() {
		err := syscall.Unmount(folder, 0)
		// The readers' process may be about to let go of a file; nothing tells when it has.
		for deadline := time.Now().Add(time.Minute); errors.Is(err, syscall.EBUSY) && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
			err = syscall.Unmount(folder, 0)
		}
		if err != nil {
			t.Errorf("unmount %s: %v", folder, err)
		}
	})
	return folder
}
