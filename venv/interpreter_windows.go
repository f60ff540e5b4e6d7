package venv

import (
	"io/fs"
	"path/filepath"
)

func interpreterIn(environment string) string {
	return filepath.Join(environment, "Scripts", "python.exe")
}

// executable: Windows has no permission bit for it; the name ends in .exe.
func executable(fs.FileInfo) bool { return true }
