package venv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names in the work folder. Only this package makes folders there, so that
// whatever has such a name may be removed.
const (
	buildingPrefix = "building-"
	removingPrefix = "removing-"
)

// provision builds one environment, step by step. The second result is true
// when somebody else turned out to have built it meanwhile.
func (s *Store) provision(ctx context.Context, spec Spec) (Environment, bool, error) {
	lock, err := parseLockfile(spec.Lockfile)
	if err != nil {
		return Environment{}, false, err
	}
	path, err := findUV(s.config.UV)
	if err != nil {
		return Environment{}, false, err
	}
	say := func(line string) {
		if s.config.Progress != nil {
			s.config.Progress(spec.Hash, line)
		}
	}
	uv := tool{path: path, cacheDir: s.config.CacheDir, progress: say}

	held, err := s.awaitBuildLock(ctx, spec.Hash, func() {
		say("another worker process builds this environment: waiting for it")
	})
	if err != nil {
		return Environment{}, false, fmt.Errorf("take the build lock: %w", err)
	}
	defer held.release()
	if environment, err := s.Lookup(spec.Hash); err == nil {
		return environment, true, nil
	}
	if err := s.clear(spec.Hash); err != nil {
		return Environment{}, false, err
	}

	staging, err := os.MkdirTemp(s.work, buildingPrefix+spec.Hash+"-")
	if err != nil {
		return Environment{}, false, fmt.Errorf("make a folder to build in: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(staging); err != nil {
			say("warning: what the build left stays until the next sweep: " + err.Error())
		}
	}()

	folder, m, err := s.stage(ctx, uv, staging, lock, spec)
	if err != nil {
		return Environment{}, false, err
	}
	if err := s.publish(ctx, folder, m); err != nil {
		return Environment{}, false, err
	}
	s.touch(spec.Hash)
	environment, err := s.Lookup(spec.Hash)
	return environment, !environment.Built, err
}

// stage builds and proves the environment in a staging folder, and gives its
// folder and the mark it is to get.
func (s *Store) stage(ctx context.Context, uv tool, staging string, lock lockfile, spec Spec) (string, mark, error) {
	project := filepath.Join(staging, "project")
	folder := filepath.Join(staging, "environment")
	if err := projectOf(lock).write(project, spec.Lockfile); err != nil {
		return "", mark{}, fmt.Errorf("write the project around the lockfile: %w", err)
	}
	version, err := uv.version(ctx)
	if err != nil {
		return "", mark{}, err
	}

	// An environment holds absolute paths, unless it is made relocatable: then
	// its scripts find their interpreter beside them, and it can be renamed.
	python := pythonArguments(spec.PythonVersion, lock.requiresPython)
	// Quietly: it would tell people how to activate a folder that soon has another name.
	create := append([]string{"venv", "--quiet", "--no-project", "--relocatable", "--prompt=" + short(spec.Hash)}, python...)
	if err := uv.run(ctx, project, nil, append(create, folder)...); err != nil {
		return "", mark{}, err
	}
	// What the plugin runs on is the project's dependencies: development groups
	// and extras stay out, nothing in PREPARE_ENV asks for them.
	install := append([]string{"sync", "--frozen", "--no-install-project", "--no-default-groups"}, python...)
	if err := uv.run(ctx, project, []string{"UV_PROJECT_ENVIRONMENT=" + folder}, install...); err != nil {
		return "", mark{}, err
	}
	if err := checkRelocatable(folder); err != nil {
		return "", mark{}, err
	}

	proof, err := prove(ctx, interpreterIn(folder), lock)
	if err != nil {
		return "", mark{}, err
	}
	for _, note := range proof.notes {
		uv.progress(note)
	}
	bytes, err := size(folder)
	if err != nil {
		return "", mark{}, fmt.Errorf("measure the new environment: %w", err)
	}
	return folder, mark{
		Format: markFormat, EnvHash: spec.Hash, Owner: s.config.Owner, UV: version,
		Python: proof.python, Proven: proof.proven, Bytes: bytes, BuiltAt: s.now().UTC(),
	}, nil
}

// publish gives a staged environment its name. Its files are durable before its
// mark, and its mark before its name.
func (s *Store) publish(ctx context.Context, folder string, m mark) error {
	if err := syncTree(folder); err != nil {
		return fmt.Errorf("make the new environment durable: %w", err)
	}
	if err := writeMark(folder, m); err != nil {
		return fmt.Errorf("mark the new environment: %w", err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := os.Rename(folder, s.path(m.EnvHash)); err != nil {
		// Somebody who knows nothing of our locks put something there meanwhile.
		if _, usable := s.Lookup(m.EnvHash); usable == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", &OccupiedError{Path: s.path(m.EnvHash)}, err)
	}
	if err := syncFolder(s.dir); err != nil {
		return fmt.Errorf("make the new environment's name durable: %w", err)
	}
	return nil
}

// clear makes room for a build where something is that is no usable
// environment: one of ours that broke (the Python it was made from is gone) is
// removed, anything else is left alone.
func (s *Store) clear(hash string) error {
	if _, err := os.Lstat(s.path(hash)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	err := s.Remove(hash)
	var notOurs *NotOursError
	if errors.As(err, &notOurs) {
		return &OccupiedError{Path: s.path(hash)}
	}
	return err
}

// pythonArguments say which Python to take. Without them uv would look for a
// .python-version file in all folders above. UV_PYTHON is the user's choice of
// an interpreter for this machine, and goes before the lockfile's range.
func pythonArguments(wanted, required string) []string {
	switch {
	case wanted != "":
		return []string{"--python=" + wanted}
	case os.Getenv("UV_PYTHON") != "" || required == "":
		return nil
	}
	return []string{"--python=" + required}
}

// checkRelocatable makes sure that uv did not make the environment anew while
// it installed: that one would not survive the rename.
func checkRelocatable(folder string) error {
	path := filepath.Join(folder, "pyvenv.cfg")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("look at the new environment: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "relocatable" && strings.TrimSpace(value) == "true" {
			return nil
		}
	}
	return fmt.Errorf("look at the new environment: %s does not say relocatable, so uv made it anew at its passing place", path)
}
