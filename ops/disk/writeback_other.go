//go:build !linux

package disk

// Hasten does nothing where the system has no call for it: see the one for Linux.
func (f *File) Hasten(at, length int64) {}
