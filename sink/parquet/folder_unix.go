//go:build unix

package parquet

import "os"

// syncFolder makes the names in a folder durable.
func syncFolder(folder *os.File) error { return folder.Sync() }
