//go:build !linux

package main

import "time"

// usage is what a process tree has used. Only Linux tells that of a whole tree in
// files; elsewhere the table has times alone.
type usage struct {
	cpu        float64
	peak, tree int64
}

type census struct {
	resident             int64
	descriptors, threads int
}

func censusOf(int) census { return census{} }

func watch(int, time.Duration) (stop func() usage) { return func() usage { return usage{} } }

func memoryOf() int64 { return 0 }
