package yield

import "golang.org/x/sys/unix"

// giveWay is raw: the call returns at once when nobody waits, and to hand the goroutine's
// place to another would cost more than it.
func giveWay() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
