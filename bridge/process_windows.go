package bridge

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// longestVariable: Windows allows 32,767 characters in one variable.
const longestVariable = 32766

// processAttributes starts the guest suspended: it must be in its Job Object
// before it runs, or its first child could escape.
func processAttributes(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_SUSPENDED,
	}
}

// processHold keeps the guest's Job Object. Closing its last handle kills the
// tree, so the operating system does it when the worker dies.
type processHold struct{ job windows.Handle }

var resumeProcess = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")

func holdProcess(cmd *exec.Cmd) (*processHold, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create a job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("set up the job object: %w", err)
	}
	const rights = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.PROCESS_SUSPEND_RESUME
	handle, err := windows.OpenProcess(rights, false, uint32(cmd.Process.Pid))
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("open the guest's process: %w", err)
	}
	defer windows.CloseHandle(handle)
	if err := windows.AssignProcessToJobObject(job, handle); err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("put the guest into its job object: %w", err)
	}
	if status, _, _ := resumeProcess.Call(uintptr(handle)); status != 0 {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("resume the guest: NTSTATUS %#x", status)
	}
	return &processHold{job: job}, nil
}

func (h *processHold) release() {
	if h.job != 0 {
		_ = windows.TerminateJobObject(h.job, 1)
		_ = windows.CloseHandle(h.job)
		h.job = 0
	}
}

// awaitExit returns when the process has ended. The open handle in os.Process
// keeps the pid taken until it is waited for.
func awaitExit(p *os.Process) {
	handle, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(p.Pid))
	if err != nil {
		return
	}
	defer windows.CloseHandle(handle)
	_, _ = windows.WaitForSingleObject(handle, windows.INFINITE)
}

// processTable has no groups or sessions: a guest's tree is its descendants.
func processTable() ([]process, error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	defer windows.CloseHandle(snapshot)
	var table []process
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		pid := int(entry.ProcessID)
		start, ended := processTimes(pid)
		table = append(table, process{pid: pid, parent: int(entry.ParentProcessID), start: start, ended: ended})
	}
	if err != windows.ERROR_NO_MORE_FILES {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	return orphansApart(table), nil
}

// orphansApart cuts a process off from a parent that is younger than itself:
// Windows keeps a parent's pid after it ended, and gives it to others.
func orphansApart(table []process) []process {
	starts := make(map[int]uint64, len(table))
	for _, entry := range table {
		starts[entry.pid] = entry.start
	}
	for i, entry := range table {
		if parent, known := starts[entry.parent]; known && parent > entry.start {
			table[i].parent = 0
		}
	}
	return table
}

func processTimes(pid int) (start uint64, ended bool) {
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return 0, false
	}
	defer windows.CloseHandle(handle)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(handle, &created, &exited, &kernel, &user); err != nil {
		return 0, false
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime), exited.HighDateTime != 0 || exited.LowDateTime != 0
}

func startTime(pid int) uint64 {
	start, _ := processTimes(pid)
	return start
}

// carriesMarker: another process's environment cannot be read; the Job Object
// holds what leaves the tree.
func carriesMarker(int, string) bool { return false }

func markerOf(int) string { return "" }

func killProcess(p process) {
	handle, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, uint32(p.pid))
	if err != nil {
		return
	}
	defer windows.CloseHandle(handle)
	if startTime(p.pid) == p.start {
		_ = windows.TerminateProcess(handle, 1)
	}
}

// age gives a start time as a number that grows.
func age(start uint64) uint64 { return start }
