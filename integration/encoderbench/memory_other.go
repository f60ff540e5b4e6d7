//go:build !linux && !darwin

package main

// memoryBytes is the memory of the machine; zero: not known. No call here is
// worth its code for one line of a report.
func memoryBytes() uint64 { return 0 }
