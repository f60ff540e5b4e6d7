//go:build unix

package venv

import (
	"io/fs"
	"path/filepath"
)

func interpreterIn(environment string) string {
	return filepath.Join(environment, "bin", "python")
}

func executable(info fs.FileInfo) bool { return info.Mode().Perm()&0o111 != 0 }
