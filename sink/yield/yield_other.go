//go:build !linux

package yield

// giveWay does nothing: only Linux is known to leave a thread waiting.
func giveWay() {}
