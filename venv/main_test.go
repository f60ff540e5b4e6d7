package venv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// roleVariable makes this test binary play another program: see uvdouble_test.go
// and crash_test.go.
const roleVariable = "CASPARIAN_TEST_ROLE"

// roles are the other programs.
var roles = map[string]func() int{}

// patience bounds every wait of a test for something that must happen, on a machine
// that has much else to do.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	if play, ok := roles[os.Getenv(roleVariable)]; ok {
		os.Exit(play())
	}
	// One cache for all tests: each package is downloaded once.
	cache, err := os.MkdirTemp("", "casparian-venv-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("UV_CACHE_DIR", cache)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(cache)
		os.Exit(code)
	}))
}

// open opens a store in a folder of the test, with the real uv.
func open(t *testing.T, change ...func(*Config)) *Store {
	t.Helper()
	config := Config{
		Dir: filepath.Join(t.TempDir(), "venvs"), UV: parts.UV(t), Owner: "worker-1", BuildTimeout: patience,
		Progress: func(hash, line string) { t.Logf("%s: %s", short(hash), line) },
	}
	for _, c := range change {
		c(&config)
	}
	store, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// in opens a store on a given folder.
func in(dir string) func(*Config) { return func(c *Config) { c.Dir = dir } }

var locks sync.Map // joined requirements → lockfile

// lockOf makes a real lockfile. The same requirements are locked once per run.
func lockOf(t *testing.T, requirements ...string) string {
	t.Helper()
	key := strings.Join(requirements, "\n")
	if known, ok := locks.Load(key); ok {
		return known.(string)
	}
	lock, err := Lock(t.Context(), parts.UV(t), requirements, ">=3.9")
	if err != nil {
		t.Fatalf("lock %v: %v", requirements, err)
	}
	locks.Store(key, lock)
	return lock
}

// emptyLock is a lockfile without dependencies; each name gives another hash.
func emptyLock(t *testing.T, name string) string {
	t.Helper()
	return lockOf(t) + "\n# " + name + "\n"
}

func specOf(lock string) Spec { return Spec{Hash: HashLockfile(lock), Lockfile: lock} }

// build builds and expects it to succeed.
func build(t *testing.T, s *Store, lock string) Environment {
	t.Helper()
	environment, _, err := s.Build(t.Context(), specOf(lock))
	if err != nil {
		t.Fatal(err)
	}
	return environment
}

// python runs a line of Python in an environment and gives what it prints.
func python(t *testing.T, environment Environment, code string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	printed, err := exec.CommandContext(ctx, environment.Interpreter, "-I", "-c", code).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", code, err, printed)
	}
	return strings.TrimSpace(string(printed))
}

// nothingInTheMaking checks that no build or removal left anything behind.
func nothingInTheMaking(t *testing.T, s *Store) {
	t.Helper()
	entries, err := os.ReadDir(s.work)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("left behind: %s", entry.Name())
	}
}
