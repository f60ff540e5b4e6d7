package venv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// tool is a uv that was found, and how it is to be run.
type tool struct {
	path     string
	cacheDir string
	progress func(line string) // may be nil
}

// findUV finds the executable, or gives an [ErrUVMissing].
func findUV(path string) (string, error) {
	name := path
	if name == "" {
		name = "uv"
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUVMissing, err)
	}
	return filepath.Abs(found)
}

// run runs uv in a project's folder. Its errors are [*BuildError]s with the
// last lines and without a hash.
//
// Temporary files go below the project's folder, to be removed with it: uv leaves
// a lock file per project among them (observed with uv 0.13), and a killed uv
// leaves more.
func (t tool) run(ctx context.Context, folder string, variables []string, arguments ...string) error {
	temporary := filepath.Join(folder, "tmp")
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return fmt.Errorf("make a folder for temporary files: %w", err)
	}
	out := &output{progress: t.progress}
	command := exec.Command(t.path, arguments...)
	command.Dir = folder
	command.Env = append(environmentFor(os.Environ()), "TMPDIR="+temporary, "TMP="+temporary, "TEMP="+temporary)
	command.Env = append(command.Env, variables...)
	if t.cacheDir != "" {
		command.Env = append(command.Env, "UV_CACHE_DIR="+t.cacheDir)
	}
	command.Stdout, command.Stderr = out, out
	err := run(ctx, command)
	if err == nil {
		return nil
	}
	return failure("uv "+arguments[0], err, out.lines())
}

// version asks uv for its version.
func (t tool) version(ctx context.Context) (string, error) {
	out := &output{}
	command := exec.Command(t.path, "--version")
	command.Env = environmentFor(os.Environ())
	command.Stdout, command.Stderr = out, out
	if err := run(ctx, command); err != nil {
		return "", failure("uv --version", err, out.lines())
	}
	text := strings.Join(out.lines(), " ") // "uv 0.13.9 (x86_64-unknown-linux-gnu)"
	if fields := strings.Fields(text); len(fields) > 1 {
		return fields[1], nil
	}
	return text, nil
}

// failure classifies the error of a step that a program was run for.
func failure(op string, err error, tail []string) *BuildError {
	reason := reasonOf(err)
	var exit *exec.ExitError
	if errors.As(err, &exit) && reason == Failed {
		reason = diagnose(tail)
	}
	return &BuildError{Op: op, Reason: reason, Tail: tail, Hint: hints[reason], Err: err}
}

// reasonOf classifies an error of our own steps.
func reasonOf(err error) Reason {
	var (
		hash     *HashError
		mismatch *MismatchError
		lock     *LockfileError
		occupied *OccupiedError
		python   *PythonVersionError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, ErrUVMissing):
		return UVMissing
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, noRoom):
		return DiskFull
	case errors.As(err, &hash):
		return BadHash
	case errors.As(err, &mismatch):
		return HashMismatch
	case errors.As(err, &lock):
		return BadLockfile
	case errors.As(err, &occupied):
		return Occupied
	case errors.As(err, &python):
		return WrongPython
	}
	return Failed
}

// foreign are variables that belong to whatever the worker was started from and
// would bend a build: another environment, another project, another choice of
// what to install. Everything else of the user's stays: package indexes, caches,
// proxies, certificates, UV_PYTHON, UV_OFFLINE.
var foreign = map[string]bool{
	"VIRTUAL_ENV": true, "VIRTUAL_ENV_PROMPT": true,
	"CONDA_PREFIX": true, "CONDA_DEFAULT_ENV": true,
	"PYTHONHOME": true, "PYTHONPATH": true, "PYTHONSTARTUP": true, "__PYVENV_LAUNCHER__": true,
	"UV_PROJECT": true, "UV_PROJECT_ENVIRONMENT": true, "UV_WORKING_DIR": true, "UV_WORKING_DIRECTORY": true,
	"UV_NO_PROJECT": true, "UV_ISOLATED": true,
	"UV_FROZEN": true, "UV_LOCKED": true, "UV_NO_SYNC": true,
	"UV_DEV": true, "UV_NO_DEV": true, "UV_NO_GROUP": true, "UV_NO_DEFAULT_GROUPS": true,
	"UV_NO_EDITABLE": true, "UV_NO_INSTALL_PROJECT": true, "UV_NO_INSTALL_WORKSPACE": true, "UV_NO_INSTALL_LOCAL": true,
	"UV_VENV_SEED": true, "UV_VENV_CLEAR": true, "UV_VENV_RELOCATABLE": true,
	// A guest's mark: every process with it is taken for a part of a job and killed with it.
	"CASPARIAN_GUEST": true,
}

// environmentFor gives the variables that uv and Python are run with.
func environmentFor(own []string) []string {
	kept := make([]string, 0, len(own)+4)
	for _, variable := range own {
		name, _, _ := strings.Cut(variable, "=")
		if !foreign[strings.ToUpper(name)] {
			kept = append(kept, variable)
		}
	}
	return append(kept, "NO_COLOR=1", "UV_NO_PROGRESS=1", "GIT_TERMINAL_PROMPT=0", "PYTHONUTF8=1")
}
