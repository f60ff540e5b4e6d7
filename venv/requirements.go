package venv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Lock makes a uv.lock for a list of requirements ("six", "idna>=3"), with `uv
// lock` on a project that it writes for the purpose. uv is the executable, ""
// the one on PATH; requiresPython is a range of versions, "" leaves it to uv.
//
// With [HashLockfile] of the result, it is what [Store.Build] takes. Every
// error is a [*BuildError].
func Lock(ctx context.Context, uv string, requirements []string, requiresPython string) (string, error) {
	lock, err := lockRequirements(ctx, uv, requirements, requiresPython)
	if err == nil {
		return lock, nil
	}
	var failed *BuildError
	if errors.As(err, &failed) {
		return "", failed
	}
	reason := reasonOf(err)
	return "", &BuildError{Op: "lock requirements", Reason: reason, Hint: hints[reason], Err: err}
}

func lockRequirements(ctx context.Context, uv string, requirements []string, requiresPython string) (_ string, err error) {
	if requiresPython != "" && !pythonRequest.MatchString(requiresPython) {
		return "", &PythonVersionError{Version: requiresPython}
	}
	path, err := findUV(uv)
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "casparian-lock-")
	if err != nil {
		return "", fmt.Errorf("make a folder to lock in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	project := newPyproject("casparian-plugin", "0")
	project.Project.RequiresPython = requiresPython
	project.Project.Dependencies = append(project.Project.Dependencies, requirements...)
	if err := project.write(folder, ""); err != nil {
		return "", fmt.Errorf("write the project of the requirements: %w", err)
	}
	python := pythonArguments("", requiresPython)
	if err := (tool{path: path}).run(ctx, folder, nil, append([]string{"lock"}, python...)...); err != nil {
		return "", err
	}
	return readLock(filepath.Join(folder, lockName))
}

func readLock(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the new lockfile: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, MaxLockfile+1))
	if err != nil {
		return "", fmt.Errorf("read the new lockfile: %w", err)
	}
	if len(content) > MaxLockfile {
		return "", &LockfileError{fmt.Sprintf("it would have more than %d bytes", MaxLockfile)}
	}
	return string(content), nil
}
