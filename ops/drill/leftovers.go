package drill

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// endTime is how long processes may take to be gone once their worker has ended.
const endTime = 10 * time.Second

// leftovers lists what is there at a round's end and has no business to be: files
// staged in the output, sockets, anything in the temporary folder, processes. The
// processes are killed.
func (s *stage) leftovers() []string {
	var found []string
	walk := func(root string, is func(path string, entry fs.DirEntry) string) {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && path != root {
				if what := is(path, entry); what != "" {
					found = append(found, what+" "+s.relative(path))
				}
			}
			return nil
		})
	}
	walk(s.output(), func(_ string, entry fs.DirEntry) string {
		b := s.drill.expectedOf(s.round.load)
		aside := strings.HasSuffix(entry.Name(), ".aside") && b != nil && b.agrees > sameRows // of other data than before
		if strings.HasPrefix(entry.Name(), ".") && !aside {
			return "staged file"
		}
		return ""
	})
	walk(s.folder, func(_ string, entry fs.DirEntry) string {
		if entry.Type()&fs.ModeSocket != 0 {
			return "socket"
		}
		return ""
	})
	walk(s.temp(), func(string, fs.DirEntry) string { return "temporary file" })
	// Other programs' processes send no signal when they end.
	for deadline := time.Now().Add(endTime); ; time.Sleep(20 * time.Millisecond) {
		left := s.processes()
		if len(left) == 0 {
			return found
		}
		if time.Now().After(deadline) {
			for _, p := range left {
				found = append(found, fmt.Sprintf("process %d %s", p.pid, p.command))
				p.kill()
			}
			return found
		}
	}
}

func (s *stage) relative(path string) string {
	if short, err := filepath.Rel(s.folder, path); err == nil {
		return short
	}
	return path
}

// leftProcess is a process that outlived its worker.
type leftProcess struct {
	pid     int
	command string
	kill    func()
}
