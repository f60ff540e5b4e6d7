//go:build unix

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// binaries holds what was built for this test run. Its folder is removed by [Main].
var binaries struct {
	folder string
	raced  func() (string, error)
	plain  func() (string, error)
	mutant func() (string, error)
}

// Main runs a package's tests and removes the binaries that they built. Call it
// from TestMain with what checks for leftover goroutines.
func Main(m *testing.M, leaked func() error) int {
	folder, err := os.MkdirTemp("", "casparian-harness-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	defer os.RemoveAll(folder)
	binaries.folder = folder
	binaries.raced = sync.OnceValues(func() (string, error) { return compile(true, "") })
	binaries.plain = sync.OnceValues(func() (string, error) { return compile(false, "") })
	binaries.mutant = sync.OnceValues(func() (string, error) { return compile(true, "mutation") })

	status := m.Run()
	if err := leaked(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// Binary is the worker, built once per test run: with the race detector, as
// every test wants it, or plain, as it ships, for tests that measure.
func Binary(t testing.TB, plain bool) string {
	t.Helper()
	build := binaries.raced
	if plain {
		build = binaries.plain
	}
	return built(t, build)
}

// Mutant is a worker whose guarantees `drill --break` can break; see package
// crashpoint.
func Mutant(t testing.TB) string {
	t.Helper()
	return built(t, binaries.mutant)
}

func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	if build == nil {
		t.Fatal("harness.Main must run the tests")
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func compile(race bool, tag string) (string, error) {
	path := filepath.Join(binaries.folder, "casparian-worker")
	arguments := []string{"build"}
	environment := os.Environ()
	if race && hasCompiler() {
		path += "-race"
		arguments = append(arguments, "-race") // the packages that `go test -race` has built already
	} else {
		environment = append(environment, "CGO_ENABLED=0")
		arguments = append(arguments, "-trimpath", "-ldflags", "-s -w") // those of `make build`
	}
	if tag != "" {
		path += "-" + tag
		arguments = append(arguments, "-tags", tag)
	}
	arguments = append(arguments, "-o", path, "github.com/casparian-flow/casparian-worker/cmd/casparian-worker")
	build := exec.Command("go", arguments...)
	build.Env = environment
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, output)
	}
	return path, nil
}

// hasCompiler tells whether the race detector can be linked, which needs cgo.
func hasCompiler() bool {
	output, err := exec.Command("go", "env", "CGO_ENABLED").Output()
	return err == nil && strings.TrimSpace(string(output)) == "1"
}

// script is the path of one of the harness's Python files.
func script(t testing.TB, elements ...string) string {
	t.Helper()
	return filepath.Join(append([]string{parts.Root(t), "integration"}, elements...)...)
}
