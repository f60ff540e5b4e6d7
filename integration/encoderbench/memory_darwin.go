package main

import "golang.org/x/sys/unix"

// memoryBytes is the memory of the machine; zero: not known.
func memoryBytes() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}
