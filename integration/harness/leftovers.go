//go:build unix

package harness

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// CheckNothingLeft fails the test when something of a worker is there that has
// no business once it is gone: a process that it or its guests started, a staged
// file in the output, a socket, a file in its temporary folder.
func (s *Site) CheckNothingLeft() {
	s.t.Helper()
	for _, process := range s.processes() {
		s.t.Errorf("a process is left: %s", process)
	}
	s.CheckNoStaging()
	for _, file := range s.Sockets() {
		s.t.Errorf("a socket is left: %s", file)
	}
	err := filepath.WalkDir(s.Temp, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != s.Temp {
			s.t.Errorf("something is left in the temporary folder: %s", path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

// Staged lists what is staged under the output folder: files and folders whose
// name begins with a dot.
func (s *Site) Staged() []string {
	s.t.Helper()
	return s.find(s.Output, func(entry fs.DirEntry) bool { return strings.HasPrefix(entry.Name(), ".") })
}

// Sockets lists the socket files anywhere at the site, the control socket of a
// running worker among them.
func (s *Site) Sockets() []string {
	s.t.Helper()
	return s.find(s.root, func(entry fs.DirEntry) bool { return entry.Type()&fs.ModeSocket != 0 })
}

func (s *Site) find(root string, wanted func(fs.DirEntry) bool) []string {
	s.t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path != root && wanted(entry) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	return found
}

// AwaitNoGuests waits until no process that the worker started is there, other
// than its warm interpreters.
func (s *Site) AwaitNoGuests(w *Worker) {
	s.t.Helper()
	s.Eventually("no process of a guest is left", func() error {
		if left := s.Guests(w); len(left) > 0 {
			return fmt.Errorf("still there: %s", strings.Join(left, "; "))
		}
		return nil
	})
}

// Eventually asks until the answer is nil. It is the last resort, for what sends
// no signal: another program's files and processes.
func (s *Site) Eventually(what string, ask func() error) {
	s.t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("waited %v until %s: %v", Patience, what, err)
		}
	}
}

// process is one that runs at a site.
type process struct {
	pid, parent int
	command     string
}

// warm tells a warm interpreter of the worker's from its guests: those that are
// forks of it have the same command, and another parent.
func (p process) warm(w *Worker) bool {
	return p.parent == w.PID() && strings.Contains(p.command+" ", "shim.py warm ")
}

func (p process) String() string { return fmt.Sprintf("%d %s", p.pid, p.command) }

// Guests lists what runs at the site, other than the worker itself and its warm
// interpreters.
func (s *Site) Guests(w *Worker) []string {
	s.t.Helper()
	var left []string
	for _, process := range s.processes() {
		if w == nil || process.pid != w.PID() && !process.warm(w) {
			left = append(left, process.String())
		}
	}
	return left
}

// CheckNoStaging fails the test when something is staged under the output folder.
func (s *Site) CheckNoStaging() {
	s.t.Helper()
	for _, file := range s.Staged() {
		s.t.Errorf("a staged file is left: %s", file)
	}
}
