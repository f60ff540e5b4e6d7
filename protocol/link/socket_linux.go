package link

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsentLimit is how many bytes may wait in the system's send buffer, in bytes.
// What waits there delays our PING and looks like progress when it is none.
const unsentLimit = 128 << 10

// tune sets how long sent bytes may stay unacknowledged before the kernel gives
// the connection up, and how much it may hold back unsent.
func tune(socket syscall.RawConn, unacknowledged time.Duration) error {
	var failed error
	err := socket.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
		if failed != nil {
			failed = fmt.Errorf("set TCP_USER_TIMEOUT: %w", failed)
			return
		}
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
		if failed != nil {
			failed = fmt.Errorf("set TCP_NOTSENT_LOWAT: %w", failed)
		}
	})
	if err != nil {
		return err
	}
	return failed
}
