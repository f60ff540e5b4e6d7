package drill

import (
	"errors"
	"syscall"
)

var errUnsupported = errors.New("drill: there is no signal here that asks a worker to end in good order; drill on Linux or macOS")

func apart() *syscall.SysProcAttr { return nil }

func (p *process) drain() error { return errUnsupported }

// supported says why there are no drills on this platform.
func supported() error { return errUnsupported }
