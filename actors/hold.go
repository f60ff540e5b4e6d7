package actors

import "time"

// hold keeps jobs from starting while the disk takes no writes.
type hold struct {
	until time.Time
	times int // in a row
}

const roomHint = "make room on that disk or make it writable; the worker goes on by itself"

// longer holds for 2 s, then twice as long each time, at most a minute.
func (h *hold) longer() time.Duration {
	wait := roomPause(h.times)
	h.times++
	h.until = time.Now().Add(wait)
	return wait
}

// roomPause is how long to wait for room before trying again.
func roomPause(times int) time.Duration { return min(time.Minute, 2*time.Second<<min(times, 5)) }
