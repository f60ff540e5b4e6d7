package venv

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func TestLockedPackagesCanBeImported(t *testing.T) {
	store := open(t)
	lock := lockOf(t, "six", "tabulate")
	spec := specOf(lock)

	if _, err := store.Lookup(spec.Hash); !errors.Is(err, ErrNotProvisioned) {
		t.Fatalf("before the build: %v", err)
	}
	environment, cached, err := store.Build(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if cached || !environment.Built || environment.Hash != spec.Hash {
		t.Errorf("first build: %+v, cached %v", environment, cached)
	}
	home := filepath.Join(store.dir, spec.Hash)
	if got := python(t, environment, "import six, tabulate; print(six.__file__)"); !strings.HasPrefix(got, home) {
		t.Errorf("six came from %s, not from %s", got, home)
	}
	nothingInTheMaking(t, store)

	// The proof leaves compiled files for the first job, and their paths are right.
	compiled, err := filepath.Glob(filepath.Join(home, "lib", "python3*", "site-packages", "__pycache__", "six.*.pyc"))
	if err != nil || len(compiled) != 1 {
		t.Errorf("compiled: %v, %v", compiled, err)
	}
	if got := python(t, environment, "import six; print(six.with_metaclass.__code__.co_filename)"); !strings.HasPrefix(got, home) {
		t.Errorf("a traceback would show %s", got)
	}

	again, cached, err := store.Build(t.Context(), spec)
	if err != nil || !cached || again != environment {
		t.Errorf("second build: %+v, cached %v, %v", again, cached, err)
	}
	restarted := open(t, in(store.dir))
	if found, err := restarted.Lookup(spec.Hash); err != nil || found != environment {
		t.Errorf("after a restart: %+v, %v", found, err)
	}

	m, ok := store.readMark(spec.Hash)
	if !ok {
		t.Fatal("the environment has no mark")
	}
	if !slices.Equal(m.Proven, []string{"six", "tabulate"}) || m.Bytes < 10_000 || m.Owner != "worker-1" ||
		m.UV == "" || !strings.HasPrefix(m.Python, "3.") || m.BuiltAt.IsZero() {
		t.Errorf("mark: %+v", m)
	}
}

// An environment gets its name when it is complete, so whatever in it names a
// path has to hold after the rename.
func TestScriptsWorkAfterTheRename(t *testing.T) {
	store := open(t)
	environment := build(t, store, lockOf(t, "six", "tabulate"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	script := exec.CommandContext(ctx, filepath.Join(filepath.Dir(environment.Interpreter), "tabulate"))
	script.Stdin = strings.NewReader("grain mass\n")
	printed, err := script.CombinedOutput()
	if err != nil || !strings.Contains(string(printed), "grain  mass") {
		t.Errorf("tabulate: %v\n%s", err, printed)
	}
}

func TestLockWithoutDependenciesIsFineAndSaysSo(t *testing.T) {
	var said []string
	store := open(t, func(c *Config) { c.Progress = func(_, line string) { said = append(said, line) } })
	environment := build(t, store, emptyLock(t, "fine"))
	if got := python(t, environment, "print(6 * 7)"); got != "42" {
		t.Errorf("got %s", got)
	}
	if !slices.Contains(said, "the lockfile has no dependencies: nothing to import") {
		t.Errorf("said %q", said)
	}
}

// A real project: dependencies with markers and extras, extras of its own,
// dependency groups. What is written around its lock must be the same project
// in uv's eyes, and what is installed are its dependencies.
func TestProjectIsRebuiltFromItsLock(t *testing.T) {
	uv := parts.UV(t)
	folder := t.TempDir()
	original := `
[project]
name = "Grain.Sorter"
version = "1.2.3"
requires-python = ">=3.9"
dependencies = ["six", "idna>=3,<4; sys_platform != 'none'", "tabulate[widechars]", "colorama; sys_platform == 'none'"]
[project.optional-dependencies]
fast = ["toml>0.9; python_version > '3.3'"]
[dependency-groups]
dev = ["iniconfig"]
`
	if err := os.WriteFile(filepath.Join(folder, "pyproject.toml"), []byte(original), 0o600); err != nil {
		t.Fatal(err)
	}
	uvIn(t, uv, folder, "lock")
	content, err := os.ReadFile(filepath.Join(folder, "uv.lock"))
	if err != nil {
		t.Fatal(err)
	}
	lock := string(content)

	parsed, err := parseLockfile(lock)
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := t.TempDir()
	if err := projectOf(parsed).write(rebuilt, lock); err != nil {
		t.Fatal(err)
	}
	uvIn(t, uv, rebuilt, "lock", "--check")

	store := open(t)
	environment := build(t, store, lock)
	python(t, environment, "import six, idna, tabulate, wcwidth")
	for _, absent := range []string{"toml", "iniconfig", "colorama"} {
		if got := python(t, environment, "import importlib.util; print(importlib.util.find_spec('"+absent+"'))"); got != "None" {
			t.Errorf("%s is installed: %s", absent, got)
		}
	}
}

func uvIn(t *testing.T, uv, folder string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, uv, arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // uv leaves lock files there
	if printed, err := command.CombinedOutput(); err != nil {
		t.Fatalf("uv %v: %v\n%s", arguments, err, printed)
	}
}

// The worker may have been started from anywhere: a folder below a project of
// its own, an activated environment, variables that bend what uv does.
func TestSurroundingsDoNotBendTheBuild(t *testing.T) {
	around := t.TempDir()
	hostile := `
[project]
name = "around"
version = "1"
requires-python = ">=3.99"
[tool.uv]
required-version = ">=99"
index-url = "http://127.0.0.1:1/nothing"
[tool.uv.workspace]
members = ["**"]
`
	if err := os.WriteFile(filepath.Join(around, "pyproject.toml"), []byte(hostile), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(around, "elsewhere")
	lock := lockOf(t, "six")
	t.Setenv(parts.UVVariable, parts.UV(t)) // it is looked for from the test's own folder
	t.Chdir(around)
	for name, value := range map[string]string{
		"VIRTUAL_ENV": elsewhere, "UV_PROJECT_ENVIRONMENT": elsewhere, "UV_PROJECT": around, "UV_WORKING_DIR": around,
		"UV_LOCKED": "1", "UV_NO_SYNC": "1", "PYTHONPATH": around, "PYTHONHOME": around,
	} {
		t.Setenv(name, value)
	}
	store := open(t, in("venvs")) // relative, too
	environment := build(t, store, lock)
	if !filepath.IsAbs(environment.Interpreter) {
		t.Errorf("the interpreter's path %s is not absolute", environment.Interpreter)
	}
	python(t, environment, "import six")
	if _, err := os.Stat(elsewhere); !os.IsNotExist(err) {
		t.Errorf("something was made in %s: %v", elsewhere, err)
	}
}

func TestEnvironmentThatBrokeIsBuiltAgain(t *testing.T) {
	store := open(t)
	lock := emptyLock(t, "breaks")
	environment := build(t, store, lock)
	// As after an upgrade of the Python that it was made from.
	if err := os.Remove(environment.Interpreter); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(t.TempDir(), "gone"), environment.Interpreter); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lookup(environment.Hash); !errors.Is(err, ErrNotProvisioned) {
		t.Fatalf("broken: %v", err)
	}
	again, cached, err := store.Build(t.Context(), specOf(lock))
	if err != nil || cached {
		t.Fatalf("cached %v, %v", cached, err)
	}
	if got := python(t, again, "print('works')"); got != "works" {
		t.Error(got)
	}
	nothingInTheMaking(t, store)
}

func TestMarkOfAnotherFormatOrFolderIsNotTaken(t *testing.T) {
	store := open(t)
	environment := build(t, store, emptyLock(t, "marked"))
	path := filepath.Join(store.dir, environment.Hash, markFile)
	m, _ := store.readMark(environment.Hash)

	newer, copied := m, m
	newer.Format++
	copied.EnvHash = strings.Repeat("0", 64)
	for name, changed := range map[string]any{"newer format": newer, "copied folder": copied, "not a mark": 17} {
		t.Run(name, func(t *testing.T) {
			content, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := store.Lookup(environment.Hash)
			if err != nil || found.Built {
				t.Errorf("%+v, %v", found, err)
			}
			var notOurs *NotOursError
			if err := store.Remove(environment.Hash); !errors.As(err, &notOurs) {
				t.Errorf("remove: %v", err)
			}
		})
	}
}
