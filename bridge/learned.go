package bridge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// learned remembers what plugins import beside the usual, so that the jobs of one
// that comes often can be forked from an interpreter that has imported it. It is
// kept in a file: what is lost with it is learned again.
type learned struct {
	path string

	mu      sync.Mutex
	imports map[string][]string // by key, in the order in which they are imported
	starts  map[string][]time.Time
}

const (
	learnedFile = "learned-imports.json"
	// mostLearned bounds the plugins, mostModules what is kept of each.
	mostLearned = 256
	mostModules = 1000
	// A plugin comes often when it had this many jobs within this time.
	oftenJobs = 5
	oftenTime = 10 * time.Minute
)

// openLearned reads what an earlier worker learned. A file that cannot be read is
// as good as none.
func openLearned(dir string) *learned {
	l := &learned{path: filepath.Join(dir, learnedFile), imports: map[string][]string{}, starts: map[string][]time.Time{}}
	if text, err := os.ReadFile(l.path); err == nil && json.Unmarshal(text, &l.imports) != nil || l.imports == nil {
		l.imports = map[string][]string{}
	}
	return l
}

func (k placeKey) text() string { return k.interpreter + "\n" + k.plugin }

// started counts a job. It gives what is to be imported for the jobs of its plugin,
// nil while they are too few or import nothing more than the usual.
func (l *learned) started(key placeKey, now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.starts) >= mostLearned {
		clear(l.starts)
	}
	starts := append(l.starts[key.text()], now)
	if len(starts) > oftenJobs {
		starts = starts[1:]
	}
	l.starts[key.text()] = starts
	if len(starts) < oftenJobs || now.Sub(starts[0]) > oftenTime {
		return nil
	}
	return slices.Clone(l.imports[key.text()])
}

// saw adds what a job imported. An error means that it is not kept.
func (l *learned) saw(key placeKey, modules []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.imports[key.text()]
	before := len(known)
	for _, module := range modules {
		if len(known) < mostModules && len(module) <= 200 && !slices.Contains(known, module) {
			known = append(known, module)
		}
	}
	if len(known) == before || before == 0 && len(l.imports) >= mostLearned {
		return nil
	}
	l.imports[key.text()] = known
	text, err := json.MarshalIndent(l.imports, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(l.path, text)
}
