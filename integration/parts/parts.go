// Package parts finds the real parts that tests run against: a CPython with
// libzmq (through pyzmq), pyarrow, pandas, duckdb and polars, and a real uv.
//
// `make tools` installs them under .tools in the module's root. Two variables
// point elsewhere: CASPARIAN_TEST_PYTHON and CASPARIAN_TEST_UV.
//
// On a person's machine a missing part skips the test and says what to run.
// With CI=true it fails the test: a suite that ran nothing must not look green.
package parts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

const (
	// PythonVariable names another interpreter to use, which must have every
	// package of integration/requirements.txt.
	PythonVariable = "CASPARIAN_TEST_PYTHON"
	// UVVariable names another uv to use.
	UVVariable = "CASPARIAN_TEST_UV"
)

// Python is the path of an interpreter with pyzmq, pyarrow, pandas, numpy,
// duckdb, polars and pydantic.
func Python(t testing.TB) string {
	t.Helper()
	return find(t, PythonVariable, "python")
}

// UV is the path of a real uv.
func UV(t testing.TB) string {
	t.Helper()
	return find(t, UVVariable, "uv")
}

// Bin is the folder that holds the interpreter of [Python]. Put it first on a
// worker's PATH, and the environment `system` has the packages above.
func Bin(t testing.TB) string {
	t.Helper()
	return filepath.Dir(Python(t))
}

// Root is the module's root folder, the one that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	root, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Required tells whether a missing part is a failure (CI=true) or a reason to
// skip a test.
func Required() bool {
	return os.Getenv("CI") == "true"
}

func find(t testing.TB, variable, name string) string {
	t.Helper()
	path, err := locate(variable, name)
	if err == nil {
		return path
	}
	Missing(t, err)
	return ""
}

// Missing ends a test that cannot be run here: it fails where all must be run, and is
// skipped elsewhere.
func Missing(t testing.TB, why any) {
	t.Helper()
	if Required() {
		t.Fatal(why)
	}
	t.Skip(why)
}

// locate takes the variable's value when it is set, even when it is wrong: a
// wrong path must not be replaced by another part in silence.
func locate(variable, name string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s=%s cannot be run: %w", variable, path, err)
		}
		return found, nil
	}
	root, err := root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".tools", "py", "bin", name)
	if runtime.GOOS == "windows" {
		path = filepath.Join(root, ".tools", "py", "Scripts", name+".exe")
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("the real %s for tests is missing (%w): run `make tools`, or set %s", name, err, variable)
	}
	return path, nil
}

// root walks up from the folder that a test runs in, which Go sets to the
// package's own.
func root() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("find the module's root: no go.mod above the test's folder")
		}
		folder = parent
	}
}
