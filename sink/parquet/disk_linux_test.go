package parquet

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
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
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Errorf("unmount %s: %v", folder, err)
		}
	})
	return folder
}
