package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// longestVariable is MAX_ARG_STRLEN less the NUL: one string of the environment,
// name and equals sign included.
const longestVariable = 128<<10 - 1

// processAttributes gives the guest a session of its own, and has the kernel kill it
// when the worker dies, unless it is to outlive that. The kernel watches the thread
// that forked, not the process, which is why guests are started from one thread that
// lives as long as the host (see launcher).
func processAttributes(outlive bool) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if !outlive {
		attributes.Pdeathsig = syscall.SIGKILL
	}
	return attributes
}

// processHold is what has to be kept while a guest lives: nothing on Linux.
type processHold struct{}

func holdProcess(*exec.Cmd) (*processHold, error) { return &processHold{}, nil }
func (*processHold) release()                     {}

// awaitExit returns when the process has ended. It stays a zombie until it is
// waited for, so that nobody else gets its pid while its tree is being killed.
func awaitExit(p *os.Process) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// processTable reads /proc. Processes that end meanwhile are left out.
func processTable() ([]process, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	table := make([]process, 0, len(names))
	line := make([]byte, longestStat)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if entry, ok := readProcess(pid, line); ok {
			table = append(table, entry)
		}
	}
	return table, nil
}

// longestStat is more than /proc/PID/stat ever has: 52 fields, and a command of 64 bytes.
const longestStat = 2 << 10

// readProcess reads one line of the process table from /proc/PID/stat (proc(5)) into a
// buffer of longestStat. Every job's end reads the whole table: it is done with as few
// system calls as there can be.
func readProcess(pid int, line []byte) (process, bool) {
	file, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return process{}, false
	}
	n, err := unix.Read(file, line)
	_ = unix.Close(file)
	if err != nil {
		return process{}, false
	}
	stat := line[:n]
	// The second field is the command in parentheses, and may hold any byte.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return process{}, false
	}
	entry := process{pid: pid}
	field := 2 // what follows the command is the third
	for text := range bytes.FieldsSeq(stat[end+1:]) {
		field++
		switch field {
		case 3:
			entry.ended = text[0] == 'Z' || text[0] == 'X'
		case 4:
			entry.parent, _ = strconv.Atoi(string(text))
		case 5:
			entry.group, _ = strconv.Atoi(string(text))
		case 6:
			entry.session, _ = strconv.Atoi(string(text))
		case 22:
			ticks, err := strconv.ParseUint(string(text), 10, 64)
			// The kernel counts ticks since boot. Mixed with the boot's own id, a start
			// time says nothing about a process of an earlier boot.
			entry.start = ticks ^ bootID()
			return entry, err == nil
		}
	}
	return process{}, false
}

var bootID = sync.OnceValue(func() uint64 {
	sum := fnv.New64a()
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	_, _ = sum.Write(id)
	return sum.Sum64()
})

// age gives a start time of this boot as a number that grows.
func age(start uint64) uint64 { return start ^ bootID() }

func startTime(pid int) uint64 {
	entry, _ := readProcess(pid, make([]byte, longestStat))
	return entry.start
}

// environOf reads the environment with which the process was started, mostly at once:
// each read makes the kernel look into the memory of the process anew.
func environOf(pid int) []byte {
	file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return nil
	}
	defer file.Close()
	var environ bytes.Buffer
	environ.Grow(8 << 10)
	_, _ = environ.ReadFrom(file) // of a process that just ends there is nothing
	return environ.Bytes()
}

// carriesMarker looks into the environment with which the process was started.
// Only processes of our own user can be read, and no others are looked for.
func carriesMarker(pid int, marker string) bool {
	wanted := []byte(MarkerVariable + "=" + marker)
	for variable := range bytes.SplitSeq(environOf(pid), []byte{0}) {
		if bytes.Equal(variable, wanted) {
			return true
		}
	}
	return false
}

// markerOf gives the marker of a process; "" when it has none.
func markerOf(pid int) string {
	for variable := range bytes.SplitSeq(environOf(pid), []byte{0}) {
		if marker, is := bytes.CutPrefix(variable, []byte(MarkerVariable+"=")); is {
			return string(marker)
		}
	}
	return ""
}

// killProcess kills through a pidfd, so that the signal cannot reach another
// process that was given the pid since the table was read.
func killProcess(p process) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
			_ = unix.Kill(p.pid, unix.SIGKILL) // a kernel before 5.3, or a sandbox without pidfds
		}
		return
	}
	defer unix.Close(fd)
	if startTime(p.pid) == p.start {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}
