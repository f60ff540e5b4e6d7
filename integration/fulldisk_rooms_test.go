//go:build linux && !drill

package integration

// roomsLeft are the bytes that a disk has left; `make drill` takes every page.
func roomsLeft() []int64 { return []int64{0, 64 << 10} }
