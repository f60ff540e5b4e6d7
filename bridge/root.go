package bridge

import (
	"os/exec"
)

// root is a guest's first process: an interpreter of its own, or a fork of a warm
// one. Once ended it stays a zombie until reap, so that nobody else gets its pid
// while its tree is being killed.
type root interface {
	pid() int
	// await returns when the process has ended.
	await()
	// release lets go of what holds the tree together (Windows).
	release()
	// reap is called once, after await has returned. It gives the status as
	// [os.ProcessState] says it, "" when it is not known.
	reap() string
}

// coldRoot is an interpreter that was started for one guest.
type coldRoot struct {
	cmd  *exec.Cmd
	hold *processHold
}

// startCold starts an interpreter. Its stdin is the null device.
func (h *Host) startCold(cmd *exec.Cmd, outlive bool) (root, error) {
	cmd.SysProcAttr = processAttributes(outlive)
	if err := h.launcher.start(cmd); err != nil {
		return nil, err
	}
	hold, err := holdProcess(cmd)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return &coldRoot{cmd: cmd, hold: hold}, nil
}

func (r *coldRoot) pid() int { return r.cmd.Process.Pid }
func (r *coldRoot) await()   { awaitExit(r.cmd.Process) }
func (r *coldRoot) release() { r.hold.release() }

func (r *coldRoot) reap() string {
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.String()
}
