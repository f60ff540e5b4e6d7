package bridge

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// longestVariable leaves room under ARG_MAX (1 MiB for arguments and the whole
// environment together).
const longestVariable = 512 << 10

// processAttributes gives the guest a session of its own. macOS has no signal
// for a parent's death: a guest notices it at its next publish, and a restarted
// worker kills what is left over.
func processAttributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// processHold is what has to be kept while a guest lives: nothing on macOS.
type processHold struct{}

func holdProcess(*exec.Cmd) (*processHold, error) { return &processHold{}, nil }
func (*processHold) release()                     {}

// awaitExit returns when the process has ended. A kqueue tells without reaping, so
// that the pid stays taken while the tree is being killed.
func awaitExit(p *os.Process) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	change := unix.Kevent_t{Fflags: unix.NOTE_EXIT}
	unix.SetKevent(&change, p.Pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	events := make([]unix.Kevent_t, 1)
	for {
		n, err := unix.Kevent(queue, []unix.Kevent_t{change}, events, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n > 0 {
			return
		}
	}
}

func processTable() ([]process, error) {
	entries, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	table := make([]process, 0, len(entries))
	for i := range entries {
		table = append(table, fromKernel(&entries[i]))
	}
	return table, nil
}

func fromKernel(entry *unix.KinfoProc) process {
	const zombie = 5 // SZOMB in sys/proc.h
	start := entry.Proc.P_starttime
	return process{
		pid:    int(entry.Proc.P_pid),
		parent: int(entry.Eproc.Ppid),
		group:  int(entry.Eproc.Pgid),
		start:  uint64(start.Sec)*1_000_000 + uint64(start.Usec),
		ended:  entry.Proc.P_stat == zombie,
	}
}

func startTime(pid int) uint64 {
	entry, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0
	}
	return fromKernel(entry).start
}

// carriesMarker: macOS does not show other processes' environments reliably;
// group and descendants have to do.
func carriesMarker(int, string) bool { return false }

func markerOf(int) string { return "" }

func killProcess(p process) {
	if startTime(p.pid) == p.start {
		_ = unix.Kill(p.pid, unix.SIGKILL)
	}
}

// age gives a start time as a number that grows.
func age(start uint64) uint64 { return start }
