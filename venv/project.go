package venv

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// pyproject is the part of a pyproject.toml that is written here.
type pyproject struct {
	Project struct {
		Name           string              `toml:"name"`
		Version        string              `toml:"version"`
		RequiresPython string              `toml:"requires-python,omitempty"`
		Dependencies   []string            `toml:"dependencies"`
		Extras         map[string][]string `toml:"optional-dependencies,omitempty"`
	} `toml:"project"`
	Groups map[string][]string `toml:"dependency-groups,omitempty"`
	Tool   struct {
		UV toolUV `toml:"uv"`
	} `toml:"tool"`
}

// toolUV makes the project the root of a workspace of its own, with settings of
// its own: uv then looks for neither in the folders above.
type toolUV struct {
	Package   bool `toml:"package"` // never built: there is no source
	Workspace struct {
		Members []string `toml:"members"`
	} `toml:"workspace"`
}

func newPyproject(name, version string) pyproject {
	var p pyproject
	p.Project.Name, p.Project.Version = name, version
	p.Project.Dependencies = []string{}
	p.Tool.UV.Workspace.Members = []string{}
	return p
}

// projectOf writes anew the project that a lock was made for, from the lock's
// own root package. The environment builder gets a lock and no project; but `uv
// sync --frozen` installs what the lock says for the project of that name, and
// refuses a project of any other ("Missing workspace member", observed with uv
// 0.13).
func projectOf(lock lockfile) pyproject {
	p := newPyproject(lock.root.name, lock.root.version)
	p.Project.RequiresPython = lock.requiresPython
	if len(lock.root.extras) > 0 {
		p.Project.Extras = map[string][]string{}
	}
	for _, extra := range lock.root.extras {
		p.Project.Extras[extra] = []string{}
	}
	for _, r := range lock.root.dependencies {
		extra := r.extraOf()
		if extra == "" {
			p.Project.Dependencies = append(p.Project.Dependencies, r.String())
		} else if _, provided := p.Project.Extras[extra]; provided {
			p.Project.Extras[extra] = append(p.Project.Extras[extra], r.String())
		}
	}
	if len(lock.root.groups) > 0 {
		p.Groups = map[string][]string{}
	}
	for name, group := range lock.root.groups {
		p.Groups[name] = []string{}
		for _, r := range group {
			p.Groups[name] = append(p.Groups[name], r.String())
		}
	}
	return p
}

// write puts the project into a folder, which is made, and with it the lockfile
// unless that is empty.
func (p pyproject) write(folder, lockfile string) error {
	content, err := toml.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode pyproject.toml: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "pyproject.toml"), content, 0o600); err != nil {
		return err
	}
	if lockfile == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(folder, lockName), []byte(lockfile), 0o600)
}

const lockName = "uv.lock"
