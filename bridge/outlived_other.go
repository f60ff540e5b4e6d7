//go:build !linux

package bridge

import "time"

// canOutlive: on Windows the Job Object ends a guest with its worker, and on macOS
// what a guest leaves cannot be found without its worker.
const canOutlive = false

// nonBlocking is for what this platform has not.
const nonBlocking = 0

// awaitForeign returns when a process that need not be our child has ended. It looks
// again and again, since the system tells only a parent.
func awaitForeign(p Process) {
	for Alive(p) {
		time.Sleep(100 * time.Millisecond)
	}
}
