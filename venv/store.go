// Package venv keeps the Python environments that jobs run in: one folder per
// env_hash, built from a uv.lock with the real uv.
//
// The folder of environments is shared with other programs of the field. What
// is there already is used as it is and never removed. What this worker builds
// appears under its hash in one rename, complete and proven, so that no other
// program takes half an environment for a whole one:
//
//	DIR/<hash>/                          an environment
//	DIR/<hash>/.casparian-ready.json     this worker's mark, see mark.go
//	DIR/<hash>/.casparian-use            locked while in use; its time is the last use
//	DIR/.casparian-worker/<hash>.lock    held by the one process that builds the hash
//	DIR/.casparian-worker/building-…     an environment in the making
//	DIR/.casparian-worker/removing-…     an environment on its way out
//
// Reading order: store.go (what is there), build.go (one build per hash),
// provision.go (the steps of a build), evict.go (what goes).
package venv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Config is what a [Store] is opened with.
type Config struct {
	// Dir holds one folder per environment. It is made when it is missing.
	Dir string
	// UV is the uv executable; "" means the one on PATH. It is only looked for
	// when something has to be built.
	UV string
	// SystemPython is the interpreter of the environment `system`; "" means
	// python3, then python, on PATH.
	SystemPython string
	// Owner tells this worker's environments from those of another worker on the
	// same Dir: only environments with this name in their mark count against
	// MaxBytes and are evicted. Use the worker's id.
	Owner string
	// MaxBytes caps the size of what this worker built; 0 means no cap. The most
	// recently used environment stays even when it alone is larger.
	MaxBytes int64
	// BuildTimeout bounds one build; 0 means [DefaultBuildTimeout].
	BuildTimeout time.Duration
	// CacheDir is uv's cache; "" means uv's own choice. Put it on Dir's file
	// system: then files are linked, not copied.
	CacheDir string
	// Progress gets every line that uv prints, and a few of our own. It is called
	// for one line at a time per build, holds the build up while it runs, and may
	// be nil.
	Progress func(hash, line string)
}

// DefaultBuildTimeout bounds a build that no other bound was given for. Large
// wheels over a slow line take long; for ever is not an answer.
const DefaultBuildTimeout = 30 * time.Minute

// Environment is a Python to run jobs with.
type Environment struct {
	Hash        string
	Interpreter string // absolute path, to be run as it is: resolving its links leaves the environment
	Built       bool   // by this worker
}

// Store is the folder of environments. Its methods may be called from any
// goroutine; several processes may have a Store on the same folder.
type Store struct {
	config Config
	dir    string // absolute
	work   string // dir/.casparian-worker
	now    func() time.Time

	mu      sync.Mutex
	pins    map[string]int // uses in this process
	flights map[string]*flight
}

// Open takes the folder of environments, and makes it when it is missing. It
// starts nothing; a Store needs no closing.
func Open(config Config) (*Store, error) {
	if config.Dir == "" {
		return nil, errors.New("open environments: no folder is given")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open environments %s: %w", config.Dir, err)
	}
	if config.BuildTimeout <= 0 {
		config.BuildTimeout = DefaultBuildTimeout
	}
	work := filepath.Join(dir, workFolder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open environments %s: %w", dir, err)
	}
	return &Store{
		config: config, dir: dir, work: work, now: time.Now,
		pins: map[string]int{}, flights: map[string]*flight{},
	}, nil
}

const workFolder = ".casparian-worker"

func (s *Store) path(hash string) string { return filepath.Join(s.dir, hash) }

// Lookup finds an environment. When there is none it gives an
// [ErrNotProvisioned], for a name that no environment can have a [*HashError]. An
// environment that people put there themselves need not be named by a hash.
func (s *Store) Lookup(hash string) (Environment, error) {
	if err := checkName(hash); err != nil {
		return Environment{}, err
	}
	if hash == System {
		return s.system()
	}
	folder := s.path(hash)
	if _, err := os.Stat(folder); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return Environment{}, &NotProvisionedError{Hash: hash}
		}
		return Environment{}, &NotProvisionedError{Hash: hash, Why: err.Error()}
	}
	interpreter := interpreterIn(folder)
	if why := runnable(interpreter); why != "" {
		return Environment{}, &NotProvisionedError{Hash: hash, Why: interpreter + " " + why}
	}
	return Environment{Hash: hash, Interpreter: interpreter, Built: s.ours(hash)}, nil
}

// system finds the machine's own Python.
func (s *Store) system() (Environment, error) {
	names := []string{"python3", "python"}
	if s.config.SystemPython != "" {
		names = []string{s.config.SystemPython}
	}
	var first error
	for _, name := range names {
		found, err := exec.LookPath(name)
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err == nil {
			return Environment{Hash: System, Interpreter: found}, nil
		}
		if first == nil {
			first = err
		}
	}
	return Environment{}, &NotProvisionedError{Hash: System, Why: fmt.Sprintf(
		"this machine's own Python was not found (%v): install Python 3, or name its interpreter", first)}
}

// runnable says what keeps a file from being an interpreter, "" if nothing. It
// follows links: an environment's python is a link to a Python that may be gone.
func runnable(interpreter string) string {
	info, err := os.Stat(interpreter)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "does not exist, or links to a Python that is gone"
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return "is not a file"
	case !executable(info):
		return "is not executable"
	}
	return ""
}

// Acquire is [Store.Lookup] for a job: until release is called, the environment
// is not evicted, by this or another worker process. Both ends count as a use
// for the least-recently-used order. release may be called more than once.
func (s *Store) Acquire(hash string) (Environment, func(), error) {
	environment, err := s.Lookup(hash)
	if err != nil {
		return Environment{}, nil, err
	}
	if hash == System {
		return environment, func() {}, nil
	}
	use, err := s.holdUse(hash)
	if err != nil {
		return Environment{}, nil, err
	}

	s.mu.Lock()
	environment, err = s.Lookup(hash) // it may have gone while the lock was waited for
	if err == nil {
		s.pins[hash]++
	}
	s.mu.Unlock()
	if err != nil {
		use.release()
		return Environment{}, nil, err
	}

	s.touch(hash)
	var once sync.Once
	return environment, func() {
		once.Do(func() {
			s.touch(hash)
			s.mu.Lock()
			if s.pins[hash]--; s.pins[hash] == 0 {
				delete(s.pins, hash)
			}
			s.mu.Unlock()
			use.release()
		})
	}, nil
}
