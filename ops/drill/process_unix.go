//go:build unix

package drill

import "syscall"

// apart keeps the worker from the terminal's Ctrl-C: the drill ends it itself.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// drain asks the worker to end in good order.
func (p *process) drain() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// supported says why there are no drills on this platform.
func supported() error { return nil }
