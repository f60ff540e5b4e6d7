//go:build unix && !linux

package harness

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// processes lists what runs at the site. Elsewhere than on Linux the environment
// of a process is not there to be read in a file, so ps shows it (-E) and the
// site's variable is looked for in its output.
func (s *Site) processes() []process {
	s.t.Helper()
	output, err := exec.Command("ps", "-axwwE", "-o", "pid=,ppid=,command=").Output()
	if err != nil {
		s.t.Fatalf("list processes: %v", err)
	}
	var found []process
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.Contains(line, siteVariable+"="+s.root) {
			continue
		}
		pid, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		if pid > 0 {
			found = append(found, process{pid, parent, fields[2]})
		}
	}
	return found
}

// PeakMemory gives the resident memory of now: the peak is told on Linux alone.
func PeakMemory(t testing.TB, pid int) int64 {
	t.Helper()
	output, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatalf("memory of process %d: %v", pid, err)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(output)), 10, 64)
	if err != nil {
		t.Fatalf("memory of process %d: %v", pid, err)
	}
	return kib << 10
}

// Descriptors cannot be counted here: it is 0.
func (w *Worker) Descriptors() int { return 0 }
