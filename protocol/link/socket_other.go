//go:build !linux

package link

import (
	"syscall"
	"time"
)

// tune has nothing to set here. In the place of TCP_USER_TIMEOUT stand the
// heartbeats and keep-alive; the system's own send buffer bounds what waits unsent.
func tune(syscall.RawConn, time.Duration) error { return nil }
