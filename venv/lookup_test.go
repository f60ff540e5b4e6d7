package venv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func TestNotProvisionedSaysSoInTheKnownWords(t *testing.T) {
	store := open(t)
	hash := HashLockfile("nothing")
	_, err := store.Lookup(hash)
	if !errors.Is(err, ErrNotProvisioned) || err.Error() != "Environment "+hash[:12]+" not provisioned" {
		t.Errorf("got %v", err)
	}
	_, release, err := store.Acquire(hash)
	if !errors.Is(err, ErrNotProvisioned) || release != nil {
		t.Errorf("acquire: %v", err)
	}
}

func TestNamesThatAreNoHashTouchNothing(t *testing.T) {
	store := open(t)
	good := HashLockfile("")
	names := map[string]struct {
		hash string
		none bool // no folder of an environment can have this name either
	}{
		"empty":          {"", true},
		"dot":            {".", true},
		"parent":         {"..", true},
		"path":           {"../" + good[3:], true},
		"slash inside":   {good[:32] + "/" + good[33:], true},
		"backslash":      {good[:32] + `\` + good[33:], true},
		"NUL":            {good[:63] + "\x00", true},
		"upper case":     {strings.ToUpper(good), false},
		"too short":      {good[:63], false},
		"too long":       {good + "0", false},
		"not hex":        {good[:63] + "g", false},
		"not ASCII":      {good[:62] + "é", true},
		"System":         {"System", false},
		"our own folder": {workFolder, true},
		"a megabyte":     {strings.Repeat("a", 1<<20), true},
	}
	for name, c := range names {
		t.Run(name, func(t *testing.T) {
			hash := c.hash
			var bad *HashError
			if _, err := store.Lookup(hash); errors.As(err, &bad) != c.none || !c.none && !errors.Is(err, ErrNotProvisioned) || len(err.Error()) > 600 {
				t.Errorf("lookup: %v", err)
			}
			if _, _, err := store.Acquire(hash); errors.As(err, &bad) != c.none || err == nil {
				t.Errorf("acquire: %v", err)
			}
			if err := store.Remove(hash); !errors.As(err, &bad) {
				t.Errorf("remove: %v", err)
			}
			_, _, err := store.Build(t.Context(), Spec{Hash: hash})
			var failed *BuildError
			if !errors.As(err, &bad) || !errors.As(err, &failed) || failed.Reason != BadHash || failed.Hash != "" {
				t.Errorf("build: %v", err)
			}
		})
	}
	entries, err := os.ReadDir(store.dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestSystemIsTheMachinesOwnPython(t *testing.T) {
	t.Run("by name", func(t *testing.T) {
		store := open(t, func(c *Config) { c.SystemPython = parts.Python(t) })
		environment, cached, err := store.Build(t.Context(), Spec{Hash: System})
		if err != nil || !cached || environment.Built || environment.Interpreter != parts.Python(t) {
			t.Fatalf("%+v, %v, %v", environment, cached, err)
		}
		acquired, release, err := store.Acquire(System)
		if err != nil || acquired != environment {
			t.Fatalf("%+v, %v", acquired, err)
		}
		release()
		python(t, environment, "import pyarrow")
		var notOurs *NotOursError
		if err := store.Remove(System); !errors.As(err, &notOurs) {
			t.Errorf("remove: %v", err)
		}
	})
	t.Run("on PATH, python3 before python", func(t *testing.T) {
		t.Setenv("PATH", parts.Bin(t))
		environment, err := open(t).Lookup(System)
		if err != nil || environment.Interpreter != filepath.Join(parts.Bin(t), "python3") {
			t.Errorf("%+v, %v", environment, err)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		store := open(t)
		t.Setenv("PATH", t.TempDir())
		_, err := store.Lookup(System)
		if !errors.Is(err, ErrNotProvisioned) || !strings.HasPrefix(err.Error(), "Environment system not provisioned: ") {
			t.Errorf("got %v", err)
		}
	})
}

// foreignEnvironment makes an environment as another program of the field would.
func foreignEnvironment(t *testing.T, s *Store, hash string) string {
	t.Helper()
	folder := filepath.Join(s.dir, hash)
	uvIn(t, parts.UV(t), t.TempDir(), "venv", "--no-project", folder)
	return folder
}

func TestEnvironmentOfAnotherProgramIsUsedAsItIs(t *testing.T) {
	noUV := func(c *Config) { c.UV = filepath.Join(c.Dir, "no-uv-here"); c.MaxBytes = 1 }
	store := open(t, noUV)
	lock := emptyLock(t, "foreign")
	spec := specOf(lock)
	folder := foreignEnvironment(t, store, spec.Hash)

	environment, cached, err := store.Build(t.Context(), spec)
	if err != nil || !cached || environment.Built {
		t.Fatalf("%+v, cached %v, %v", environment, cached, err)
	}
	if _, release, err := store.Acquire(spec.Hash); err != nil {
		t.Errorf("acquire: %v", err)
	} else {
		release()
		release() // twice is once
	}
	if chosen, err := store.Victims(); err != nil || len(chosen) != 0 {
		t.Errorf("victims %v, %v", chosen, err)
	}
	var notOurs *NotOursError
	if err := store.Remove(spec.Hash); !errors.As(err, &notOurs) {
		t.Errorf("remove: %v", err)
	}
	if removed, err := store.Sweep(); err != nil || len(removed) != 0 {
		t.Errorf("sweep removed %v, %v", removed, err)
	}
	if got := python(t, environment, "import sys; print(sys.prefix)"); got != folder {
		t.Errorf("prefix %s, want %s", got, folder)
	}
	if _, err := os.Stat(filepath.Join(folder, useFile)); !os.IsNotExist(err) {
		t.Errorf("something was written into it: %v", err)
	}
}

func TestWhatIsInTheWayIsNotDeleted(t *testing.T) {
	lock := emptyLock(t, "in the way")
	spec := specOf(lock)
	cases := map[string]func(path string) error{
		"half an environment of another program": func(path string) error {
			if err := os.MkdirAll(filepath.Join(path, "bin"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(path, "bin", "python"), []byte("not executable"), 0o600)
		},
		"a file":        func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"a broken link": func(path string) error { return os.Symlink(path+"-gone", path) },
	}
	for name, place := range cases {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			path := filepath.Join(store.dir, spec.Hash)
			if err := place(path); err != nil {
				t.Fatal(err)
			}
			_, _, err := store.Build(t.Context(), spec)
			var failed *BuildError
			var occupied *OccupiedError
			if !errors.As(err, &failed) || failed.Reason != Occupied || !errors.As(err, &occupied) || occupied.Path != path {
				t.Errorf("got %v", err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("it is gone: %v", err)
			}
			nothingInTheMaking(t, store)
		})
	}
}
