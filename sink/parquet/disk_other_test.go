//go:build !linux

package parquet

import "testing"

func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	t.Skip("NOT TESTED HERE: a small file system is mounted on Linux only; TestAFullDiskAtEachWrite covers a full disk by injection")
	return ""
}
