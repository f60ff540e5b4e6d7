package venv

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

var sha256Of = regexp.MustCompile("sha256:[0-9a-f]{64}")

// refused builds, expects a failure of the given class, and checks what holds
// for every failure: nothing is provisioned and nothing is left.
func refused(t *testing.T, s *Store, spec Spec, want Reason) *BuildError {
	t.Helper()
	_, _, err := s.Build(t.Context(), spec)
	var failed *BuildError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a BuildError", err)
	}
	if failed.Reason != want {
		t.Fatalf("reason %q, want %q: %v", failed.Reason, want, err)
	}
	if _, err := s.Lookup(spec.Hash); err == nil {
		t.Error("the environment is there all the same")
	}
	nothingInTheMaking(t, s)
	return failed
}

// says checks that a person is shown the words.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	t.Log(err)
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("it does not say %q:\n%v", word, err)
		}
	}
}

func TestHashMustBeTheLockfiles(t *testing.T) {
	store := open(t)
	lock := emptyLock(t, "one")
	spec := Spec{Hash: HashLockfile(emptyLock(t, "other")), Lockfile: lock}
	failed := refused(t, store, spec, HashMismatch)
	says(t, failed, spec.Hash, HashLockfile(lock))
	var mismatch *MismatchError
	if !errors.As(failed, &mismatch) || mismatch.EnvHash != spec.Hash || mismatch.LockHash != HashLockfile(lock) {
		t.Errorf("mismatch: %+v", mismatch)
	}
}

func TestWithoutUVTheErrorSaysWhatToDo(t *testing.T) {
	lock := emptyLock(t, "no uv")
	store := open(t, func(c *Config) { c.UV = "" })
	t.Setenv("PATH", t.TempDir())
	failed := refused(t, store, specOf(lock), UVMissing)
	if !errors.Is(failed, ErrUVMissing) {
		t.Errorf("got %v", failed)
	}
	says(t, failed, "pip install uv")

	if _, err := Lock(t.Context(), "", []string{"six"}, ""); !errors.Is(err, ErrUVMissing) {
		t.Errorf("lock: %v", err)
	}
}

func TestOffline(t *testing.T) {
	lock := lockOf(t, "six")
	t.Run("uv was told to be", func(t *testing.T) {
		t.Setenv("UV_OFFLINE", "1")
		store := open(t, func(c *Config) { c.CacheDir = t.TempDir() })
		failed := refused(t, store, specOf(lock), Offline)
		says(t, failed, "uv sync", "six", "Network connectivity is disabled")
	})
	t.Run("nothing answers", func(t *testing.T) {
		ix := newIndex(t)
		ix.add(t, "grain", "1.0", "py3-none-any", map[string]string{"grain.py": ""})
		lock, err := Lock(t.Context(), parts.UV(t), []string{"grain"}, "")
		if err != nil {
			t.Fatal(err)
		}
		lock = strings.ReplaceAll(lock, ix.URL, "http://127.0.0.1:1") // its own port may be somebody else's next
		t.Setenv("UV_HTTP_RETRIES", "0")
		store := open(t, func(c *Config) { c.CacheDir = t.TempDir() })
		failed := refused(t, store, specOf(lock), Offline)
		says(t, failed, "grain")
	})
}

func TestUnresolvable(t *testing.T) {
	t.Run("another file than the one that was locked", func(t *testing.T) {
		edited := sha256Of.ReplaceAllString(lockOf(t, "six"), "sha256:"+strings.Repeat("0", 64))
		store := open(t, func(c *Config) { c.CacheDir = t.TempDir() })
		says(t, refused(t, store, specOf(edited), Unresolvable), "six", "ash mismatch")
	})
	t.Run("a file that is gone", func(t *testing.T) {
		ix := newIndex(t)
		ix.add(t, "grain", "1.0", "py3-none-any", map[string]string{"grain.py": ""})
		lock, err := Lock(t.Context(), parts.UV(t), []string{"grain"}, "")
		if err != nil {
			t.Fatal(err)
		}
		ix.vanish()
		store := open(t, func(c *Config) { c.CacheDir = t.TempDir() })
		says(t, refused(t, store, specOf(lock), Unresolvable), "404")
	})
	t.Run("nothing for this machine", func(t *testing.T) {
		ix := newIndex(t)
		ix.add(t, "grain", "1.0", "py3-none-win_arm64", map[string]string{"grain.py": ""})
		lock, err := Lock(t.Context(), parts.UV(t), []string{"grain"}, "")
		if err != nil {
			t.Fatal(err)
		}
		says(t, refused(t, open(t), specOf(lock), Unresolvable), "grain", "wheel")
	})
	t.Run("a lock with a hole", func(t *testing.T) {
		lock := lockOf(t, "six")
		before, _, _ := strings.Cut(lock, "[[package]]\nname = \"six\"")
		refused(t, open(t), specOf(before), Unresolvable)
	})
	t.Run("requirements that contradict each other", func(t *testing.T) {
		_, err := Lock(t.Context(), parts.UV(t), []string{"six<1.10", "six>1.15"}, "")
		var failed *BuildError
		if !errors.As(err, &failed) || failed.Reason != Unresolvable || failed.Op != "uv lock" {
			t.Fatalf("got %v", err)
		}
		says(t, err, "six")
	})
}

func TestWrongPython(t *testing.T) {
	lock := emptyLock(t, "python")
	t.Run("the lockfile wants one that there is not", func(t *testing.T) {
		edited := strings.Replace(lock, `requires-python = ">=3.9"`, `requires-python = ">=3.99"`, 1)
		says(t, refused(t, open(t), specOf(edited), WrongPython), "3.99", "uv python install")
	})
	t.Run("the Sentinel wants one that there is not", func(t *testing.T) {
		spec := specOf(lock)
		spec.PythonVersion = "3.99"
		says(t, refused(t, open(t), spec, WrongPython), "3.99")
	})
	t.Run("the Sentinel wants one that the lockfile excludes", func(t *testing.T) {
		edited := strings.Replace(lock, `requires-python = ">=3.9"`, `requires-python = "<3.9"`, 1)
		spec := specOf(edited)
		spec.PythonVersion = ">=3.9"
		says(t, refused(t, open(t), spec, WrongPython), "<3.9")
	})
	for _, version := range []string{"/bin/sh", "../python", "python", "--help", "3.12\x00", "3.12\n", strings.Repeat("3", 500)} {
		t.Run("no version: "+version[:min(12, len(version))], func(t *testing.T) {
			spec := specOf(lock)
			spec.PythonVersion = version
			failed := refused(t, open(t), spec, WrongPython)
			var bad *PythonVersionError
			if !errors.As(failed, &bad) || len(failed.Error()) > 500 {
				t.Errorf("got %v", failed)
			}
			if _, err := Lock(t.Context(), parts.UV(t), nil, version); !errors.As(err, &bad) {
				t.Errorf("lock: %v", err)
			}
		})
	}
	t.Run("and the right one is taken", func(t *testing.T) {
		spec := specOf(lock)
		spec.PythonVersion = "3"
		environment, _, err := open(t).Build(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := python(t, environment, "import sys; print(sys.version_info.major)"); got != "3" {
			t.Errorf("got %s", got)
		}
	})
}

func TestInstalledIsNotImportable(t *testing.T) {
	lockFrom := func(t *testing.T, requirements ...string) string {
		t.Helper()
		lock, err := Lock(t.Context(), parts.UV(t), requirements, "")
		if err != nil {
			t.Fatal(err)
		}
		return lock
	}
	broken := map[string]string{"husk/__init__.py": "raise RuntimeError('no kernel in here')"}

	t.Run("the only one raises", func(t *testing.T) {
		newIndex(t).add(t, "husk", "1.0", "py3-none-any", broken)
		failed := refused(t, open(t), specOf(lockFrom(t, "husk")), Unimportable)
		says(t, failed, "husk", "no kernel in here")
	})
	t.Run("the only one exits", func(t *testing.T) {
		newIndex(t).add(t, "quitter", "1.0", "py3-none-any", map[string]string{"quitter.py": "import os; os._exit(3)"})
		says(t, refused(t, open(t), specOf(lockFrom(t, "quitter")), Unimportable), "no locked package", "exit status 3")
	})
	t.Run("one of two raises: said, and no failure", func(t *testing.T) {
		ix := newIndex(t)
		ix.add(t, "husk", "1.0", "py3-none-any", broken)
		ix.add(t, "grain", "1.0", "py3-none-any", map[string]string{"grain.py": "print('noise that is no line of ours')"})
		var said []string
		store := open(t, func(c *Config) { c.Progress = func(_, line string) { said = append(said, line) } })
		build(t, store, lockFrom(t, "husk", "grain"))
		for _, want := range []string{
			"imported from the new environment: grain",
			"warning: could not import husk: RuntimeError: no kernel in here",
		} {
			if !slices.Contains(said, want) {
				t.Errorf("it did not say %q, but %q", want, said)
			}
		}
	})
	t.Run("modules are found where they are", func(t *testing.T) {
		ix := newIndex(t)
		ix.add(t, "mill_stone", "1.0", "py3-none-any", map[string]string{ // a namespace, and a name unlike the package's
			"mill/stone/__init__.py": "", "mill/stone/grind.py": "", "mill/stone/_tests/__init__.py": "raise RuntimeError",
		})
		ix.add(t, "chaff", "1.0", "py3-none-any", nil) // brings no module at all
		ix.add(t, "sieve", "1.0", "py3-none-any", map[string]string{"_sieve.py": "", "sieve/__init__.py": "import _sieve", "aaa.py": "raise RuntimeError"})
		store := open(t)
		environment := build(t, store, lockFrom(t, "mill-stone", "Chaff", "sieve"))
		m, _ := store.readMark(environment.Hash)
		if !slices.Equal(m.Proven, []string{"mill.stone", "sieve"}) {
			t.Errorf("proven: %q", m.Proven)
		}
	})
}

func TestLockIsALockfileThatBuilds(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	lock, err := Lock(t.Context(), parts.UV(t), []string{"six", "idna>=3"}, ">=3.9")
	if err != nil {
		t.Fatal(err)
	}
	python(t, build(t, open(t), lock), "import six, idna")

	_, err = Lock(t.Context(), parts.UV(t), []string{`six"] ; [tool.uv] #`}, "")
	var failed *BuildError
	if !errors.As(err, &failed) {
		t.Errorf("a requirement that is none: %v", err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
