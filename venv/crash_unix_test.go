//go:build unix

package venv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	crashDir      = "CASPARIAN_TEST_DIR"
	crashUV       = "CASPARIAN_TEST_BUILDER_UV"
	crashLockfile = "CASPARIAN_TEST_LOCKFILE"
)

func init() { roles["worker"] = playWorker }

// playWorker is a worker process that builds one environment.
func playWorker() int {
	lock, err := os.ReadFile(os.Getenv(crashLockfile))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	store, err := Open(Config{Dir: os.Getenv(crashDir), UV: os.Getenv(crashUV), Owner: "worker-1"})
	if err == nil {
		_ = os.Unsetenv(roleVariable) // not for uv
		_, _, err = store.Build(context.Background(), specOf(string(lock)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKilledInTheMiddleOfABuild(t *testing.T) {
	double := newUVDouble(t, hold("sync"))
	store := open(t, withDouble(double))
	lock := lockOf(t, "six")
	spec := specOf(lock)
	lockPath := filepath.Join(t.TempDir(), "uv.lock")
	if err := os.WriteFile(lockPath, []byte(lock), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.CommandContext(t.Context(), self)
	worker.Env = append(os.Environ(), roleVariable+"=worker",
		crashDir+"="+store.dir, crashUV+"="+double.path, crashLockfile+"="+lockPath)
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}

	call := double.next(t) // uv sync is about to fill the environment
	if removed, err := store.Sweep(); err != nil || len(removed) != 0 {
		t.Errorf("swept under another worker's build: %v, %v", removed, err)
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait()
	if runtime.GOOS == "linux" {
		call.gone(t) // uv died with its worker
	}

	if _, err := store.Lookup(spec.Hash); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("half an environment is taken for a whole one: %v", err)
	}
	foreign := foreignEnvironment(t, store, HashLockfile("somebody else's"))
	halves, err := filepath.Glob(filepath.Join(store.work, buildingPrefix+"*"))
	if err != nil || len(halves) != 1 {
		t.Errorf("half-built: %v, %v", halves, err)
	}
	removed, err := store.Sweep()
	if err != nil || !slices.Equal(removed, []string{spec.Hash}) {
		t.Errorf("swept %v, %v", removed, err)
	}
	nothingInTheMaking(t, store)
	if _, err := os.Stat(filepath.Join(foreign, "pyvenv.cfg")); err != nil {
		t.Errorf("the sweep took somebody else's environment: %v", err)
	}
	if removed, err := store.Sweep(); err != nil || len(removed) != 0 {
		t.Errorf("swept again: %v, %v", removed, err)
	}

	answer := ask(t.Context(), store, spec)
	double.next(t).proceed(t)
	got := await(t, answer)
	if got.err != nil || got.cached {
		t.Fatalf("built again: %+v", got)
	}
	python(t, got.environment, "import six")
}

func TestSweepFinishesARemoval(t *testing.T) {
	store := open(t)
	environment := build(t, store, emptyLock(t, "half removed"))
	leaving, err := store.moveAway(environment.Hash) // and here the process died
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(leaving, store.work) {
		t.Fatalf("moved to %s", leaving)
	}
	if _, err := store.Lookup(environment.Hash); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("still there: %v", err)
	}
	removed, err := store.Sweep()
	if err != nil || !slices.Equal(removed, []string{environment.Hash}) {
		t.Errorf("swept %v, %v", removed, err)
	}
	nothingInTheMaking(t, store)
}

// What is in the work folder and has no name of ours is left alone.
func TestSweepLeavesWhatItDoesNotKnow(t *testing.T) {
	store := open(t)
	names := []string{"building-", "building-../..", "removing-system-1", "notes.txt", "x.lock"}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(store.work, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := store.Sweep()
	if err != nil || len(removed) != 0 {
		t.Errorf("swept %v, %v", removed, err)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(store.work, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
