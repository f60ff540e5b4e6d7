package drill

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// processes lists what runs of a round: whatever a worker starts inherits the
// round's variable. A zombie has no environment, and is not listed.
func (s *stage) processes() []leftProcess {
	entries, _ := os.ReadDir("/proc")
	mark := []byte(roundVariable + "=" + s.folder)
	var found []leftProcess
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// An error: it ended meanwhile, or is another user's.
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		for variable := range bytes.SplitSeq(environ, []byte{0}) {
			if !bytes.Equal(variable, mark) {
				continue
			}
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			found = append(found, leftProcess{pid, strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " ")), func() {
				if p, err := os.FindProcess(pid); err == nil {
					_ = p.Kill()
				}
			}})
			break
		}
	}
	return found
}
