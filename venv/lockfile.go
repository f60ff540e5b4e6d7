package venv

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// MaxLockfile is the largest lockfile that is looked at, in bytes. The largest
// real ones are a few MiB.
const MaxLockfile = 64 << 20

// lockVersion is the one version of uv.lock there is. uv raises `revision` for
// additions that older readers may ignore.
const lockVersion = 1

// lockfile is what is needed of a uv.lock to write the project around it anew.
type lockfile struct {
	requiresPython string
	packages       int // without the root
	root           rootPackage
}

// rootPackage is the project that the lock was made for.
type rootPackage struct {
	name, version string
	dependencies  []requirement // as the project wrote them, with those of its extras
	locked        []requirement // as the lock resolved them, without those of its extras
	groups        map[string][]requirement
	extras        []string
}

// requirement is one entry of requires-dist: a requirement of PEP 508 in parts.
type requirement struct {
	Name      string   `toml:"name"`
	Extras    []string `toml:"extras"`
	Extra     []string `toml:"extra"` // the same, in an entry of `dependencies`
	Specifier string   `toml:"specifier"`
	Marker    string   `toml:"marker"`
	Git       string   `toml:"git"`
	URL       string   `toml:"url"`
}

type lockDocument struct {
	Version        *int64        `toml:"version"`
	RequiresPython string        `toml:"requires-python"`
	Packages       []lockPackage `toml:"package"`
}

type lockPackage struct {
	Name         string         `toml:"name"`
	Version      string         `toml:"version"`
	Source       map[string]any `toml:"source"`
	Dependencies []requirement  `toml:"dependencies"`
	Metadata     *struct {
		RequiresDist   []requirement            `toml:"requires-dist"`
		RequiresDev    map[string][]requirement `toml:"requires-dev"`
		ProvidesExtras []string                 `toml:"provides-extras"`
	} `toml:"metadata"`
}

// local is the folder that a package comes from, "" for one from an index, a
// URL or a repository. The project itself is at ".".
func (p lockPackage) local() string {
	for _, kind := range []string{"virtual", "editable", "directory", "path"} {
		if folder, ok := p.Source[kind].(string); ok {
			return folder
		}
	}
	return ""
}

var (
	packageName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,200}[A-Za-z0-9])?$`)
	// pythonRequest lets through versions and version ranges ("3.12", ">=3.10,
	// <3.14", "3.13t") and nothing that uv would take for a file to run.
	pythonRequest = regexp.MustCompile(`^[0-9<>=!~][0-9A-Za-z.,<>=!~*+ -]{0,127}$`)
)

// parseLockfile reads a uv.lock of one project. Its errors are
// [*LockfileError]s.
func parseLockfile(content string) (lockfile, error) {
	if len(content) > MaxLockfile {
		return lockfile{}, &LockfileError{fmt.Sprintf("it has %d bytes, more than the %d that are taken", len(content), MaxLockfile)}
	}
	var document lockDocument
	if err := toml.Unmarshal([]byte(content), &document); err != nil {
		return lockfile{}, &LockfileError{"it is not readable TOML: " + err.Error()}
	}
	switch {
	case document.Version == nil:
		return lockfile{}, &LockfileError{"it names no version, so it is no uv.lock"}
	case *document.Version != lockVersion:
		return lockfile{}, &LockfileError{fmt.Sprintf("it has version %d, this worker knows version %d", *document.Version, lockVersion)}
	case document.RequiresPython != "" && !pythonRequest.MatchString(document.RequiresPython):
		return lockfile{}, &LockfileError{fmt.Sprintf("requires-python %q is no version range", document.RequiresPython)}
	}

	var roots []lockPackage
	var elsewhere []string
	for _, p := range document.Packages {
		switch folder := p.local(); folder {
		case "":
		case ".":
			roots = append(roots, p)
		default:
			elsewhere = append(elsewhere, p.Name+" ("+folder+")")
		}
	}
	slices.Sort(elsewhere)
	switch {
	case len(elsewhere) > 0:
		return lockfile{}, &LockfileError{"it needs files of the machine where it was made, such as other members of its workspace: " +
			strings.Join(clip(elsewhere, 5), ", ")}
	case len(roots) == 0:
		return lockfile{}, &LockfileError{"it has no root package, so it is the lock of a script or of a workspace without a project"}
	case len(roots) > 1:
		return lockfile{}, &LockfileError{fmt.Sprintf("it has %d root packages, %s and %s among them", len(roots), roots[0].Name, roots[1].Name)}
	}
	root, err := rootOf(roots[0])
	if err != nil {
		return lockfile{}, err
	}
	return lockfile{requiresPython: document.RequiresPython, packages: len(document.Packages) - 1, root: root}, nil
}

// rootOf checks and takes over what the root package says about the project.
func rootOf(p lockPackage) (rootPackage, error) {
	if !packageName.MatchString(p.Name) {
		return rootPackage{}, &LockfileError{fmt.Sprintf("the root package's name %q is no package name", p.Name)}
	}
	root := rootPackage{name: p.Name, version: p.Version, dependencies: p.Dependencies, locked: p.Dependencies}
	if root.version == "" {
		root.version = "0" // the project computes it, and the lock leaves it out
	}
	if p.Metadata != nil {
		root.dependencies = p.Metadata.RequiresDist
		root.groups = p.Metadata.RequiresDev
		root.extras = p.Metadata.ProvidesExtras
	}
	all := slices.Concat(root.dependencies, root.locked)
	for _, group := range root.groups {
		all = append(all, group...)
	}
	for _, r := range all {
		if !packageName.MatchString(r.Name) {
			return rootPackage{}, &LockfileError{fmt.Sprintf("%s depends on %q, which is no package name", p.Name, r.Name)}
		}
	}
	return root, nil
}

// extraOf is the extra of the project that a requirement belongs to, "" for a
// requirement of the project itself. uv writes it as the last part of the
// marker: "extra == 'name'" or "… and extra == 'name'".
func (r requirement) extraOf() string {
	_, after, found := strings.Cut(r.Marker, "extra == '")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(after, "'")
	return name
}

// String writes the requirement as PEP 508 has it.
func (r requirement) String() string {
	text := r.Name
	if extras := append(slices.Clone(r.Extras), r.Extra...); len(extras) > 0 {
		text += "[" + strings.Join(extras, ",") + "]"
	}
	switch {
	case r.Git != "":
		text += " @ git+" + gitReference(r.Git)
	case r.URL != "":
		text += " @ " + r.URL
	default:
		text += r.Specifier
	}
	if r.Marker != "" {
		text += " ; " + r.Marker
	}
	return text
}

// gitReference turns the lock's "https://host/repo?rev=main" into
// "https://host/repo@main". What else stands in the query is the lock's own.
func gitReference(lockURL string) string {
	address, query, _ := strings.Cut(lockURL, "?")
	query, _, _ = strings.Cut(query, "#")
	for part := range strings.SplitSeq(query, "&") {
		for _, key := range []string{"rev=", "tag=", "branch="} {
			if reference, ok := strings.CutPrefix(part, key); ok {
				return address + "@" + reference
			}
		}
	}
	return address
}

// clip shortens a list for a message.
func clip(names []string, most int) []string {
	if len(names) <= most {
		return names
	}
	return append(slices.Clone(names[:most]), fmt.Sprintf("and %d more", len(names)-most))
}
