package venv

import "syscall"

// dieWithParent has the kernel kill the child when this process dies, however
// it dies. Otherwise a uv that outlives a killed worker would go on writing
// into the half environment that the next worker sweeps away. The signal comes
// when the starting thread ends, so that one is held.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
