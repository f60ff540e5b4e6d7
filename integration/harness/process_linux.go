package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// processes lists what runs at the site. Everything that a worker starts
// inherits the site's variable; a zombie has no environment and is not listed.
func (s *Site) processes() []process {
	s.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
	}
	mark := []byte(siteVariable + "=" + s.root)
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // ended meanwhile, or another user's
		}
		for _, variable := range bytes.Split(environ, []byte{0}) {
			if bytes.Equal(variable, mark) {
				command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				found = append(found, process{pid, parentOf(pid), strings.ReplaceAll(string(command), "\x00", " ")})
				break
			}
		}
	}
	return found
}

// parentOf reads the fourth field of /proc/PID/stat; the second may hold any byte.
func parentOf(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}

// PeakMemory is the most resident memory that a running process ever had, in bytes.
func PeakMemory(t testing.TB, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no VmHWM in the status of process %d", pid)
	return 0
}

// Descriptors counts the files and sockets that the worker has open.
func (w *Worker) Descriptors() int {
	w.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.PID()))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(open)
}
