//go:build unix

package venv

import (
	"os/exec"
	"syscall"
)

// group is the process group of a command: the command, and whatever it starts
// that does not leave the group on purpose.
type group struct{ command *exec.Cmd }

func newGroup(command *exec.Cmd) *group {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(command.SysProcAttr)
	return &group{command}
}

func (g *group) started() error { return nil }

// kill ends all processes of the group at once. What they were writing is
// thrown away, and uv's cache is made for that: its entries are renamed in.
func (g *group) kill() { _ = syscall.Kill(-g.command.Process.Pid, syscall.SIGKILL) }

func (g *group) close() {}
