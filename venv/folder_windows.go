package venv

// syncFolder does nothing: Windows cannot flush a folder, and NTFS journals
// names on its own.
func syncFolder(string) error { return nil }
