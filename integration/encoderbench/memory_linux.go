package main

import "golang.org/x/sys/unix"

// memoryBytes is the memory of the machine; zero: not known.
func memoryBytes() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
