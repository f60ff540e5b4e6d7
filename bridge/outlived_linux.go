package bridge

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// canOutlive: a guest can go on with another worker when its own dies.
const canOutlive = true

// nonBlocking opens a pipe so that closing it ends a read.
const nonBlocking = unix.O_NONBLOCK

// awaitForeign returns when a process that need not be our child has ended.
func awaitForeign(p Process) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		// The kernel tells only a parent of a process's end.
		for startTime(p.PID) == p.StartTime { // a kernel before 5.3, or a sandbox without pidfds
			if entry, found := readProcess(p.PID, make([]byte, longestStat)); !found || entry.ended {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		return
	}
	defer unix.Close(fd)
	if startTime(p.PID) != p.StartTime {
		return
	}
	// A pidfd can be read once its process has ended, reaped or not.
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(poll, -1); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
