package venv

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed prove.py
var proveScript string

// proof is what was seen when an environment was tried.
type proof struct {
	python string   // its version
	proven []string // modules that were imported
	notes  []string // for the person who watches
}

const (
	// proveTimeout bounds all imports together: one that hangs must not hold a
	// whole build up. What was imported before it counts.
	proveTimeout = 2 * time.Minute
	// proofLimit bounds what is kept of the proof's lines, in bytes.
	proofLimit = 4 << 20
)

// prove runs the environment's own interpreter and imports what was locked: a
// build that installs nothing also ends without an error. At least one of the
// direct dependencies that are installed must be importable; not every package
// has to be, some want a display or a device.
func prove(ctx context.Context, interpreter string, lock lockfile) (proof, error) {
	direct, certain := directDependencies(lock)
	stdout := &capped{limit: proofLimit}
	stderr := &output{}
	// Isolated from the variables and folders of the worker. The script comes
	// through stdin, and the names as arguments. What the imports compile is kept,
	// so that the first job does not wait for it: Python puts the right path into
	// compiled files of a renamed folder when it loads them.
	command := exec.Command(interpreter, append([]string{"-I", "-"}, direct...)...)
	command.Stdin = strings.NewReader(proveScript)
	command.Env = environmentFor(os.Environ())
	command.Stdout, command.Stderr = stdout, stderr
	bounded, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	err := run(bounded, command)
	if ctx.Err() != nil {
		return proof{}, failure("import", context.Cause(ctx), stderr.lines())
	}

	var p proof
	var found, failed []string
	reported := false
	for line := range bytes.Lines(stdout.content) {
		var said struct {
			Python, Imported, Failed, Why string
			Found                         *[]string
		}
		if json.Unmarshal(line, &said) != nil {
			continue // cut off by a crash
		}
		switch {
		case said.Python != "":
			p.python = said.Python
		case said.Found != nil:
			found, reported = *said.Found, true
		case said.Imported != "":
			p.proven = append(p.proven, said.Imported)
		case said.Failed != "":
			failed = append(failed, said.Failed+": "+said.Why)
		}
	}
	unproven := func(why string, cause error) error {
		reason := Unimportable
		tail := append(failed, stderr.lines()...)
		if diagnosed := diagnose(tail); diagnosed == DiskFull {
			reason = DiskFull
		}
		return &BuildError{Op: "import", Reason: reason, Hint: hints[reason], Err: errors.Join(errors.New(why), cause),
			Tail: tail[max(0, len(tail)-tailLines):]}
	}
	if !reported {
		return proof{}, unproven("its interpreter does not work", err)
	}
	if missing := slices.DeleteFunc(certain, func(name string) bool { return slices.Contains(found, name) }); len(missing) > 0 {
		return proof{}, unproven("uv ended well, but these locked packages are not installed: "+strings.Join(clip(missing, 5), ", "), nil)
	}
	if len(p.proven) == 0 && (len(failed) > 0 || err != nil) {
		return proof{}, unproven("no locked package can be imported", err)
	}

	p.notes = append(p.notes, "the new environment has Python "+p.python)
	switch {
	case len(p.proven) > 0:
		p.notes = append(p.notes, "imported from the new environment: "+strings.Join(p.proven, ", "))
	case lock.packages == 0:
		p.notes = append(p.notes, "the lockfile has no dependencies: nothing to import")
	case len(direct) == 0:
		p.notes = append(p.notes, fmt.Sprintf("none of the %d locked packages is a dependency of the project itself "+
			"(extras and dependency groups are not installed): nothing to import", lock.packages))
	default:
		p.notes = append(p.notes, "none of the dependencies brings a module for this machine: nothing to import")
	}
	for _, failure := range failed {
		p.notes = append(p.notes, "warning: could not import "+failure)
	}
	if err != nil {
		p.notes = append(p.notes, fmt.Sprintf("warning: the imports ended early: %v", err))
	}
	return p, nil
}

// directDependencies are the normalised names of the project's own
// dependencies, and those among them that are wanted on every machine. The
// lock's resolved list is asked: an override may have put a marker there that
// the project did not write.
func directDependencies(lock lockfile) (direct, certain []string) {
	for _, r := range lock.root.locked {
		name := normalName(r.Name)
		if !slices.Contains(direct, name) {
			direct = append(direct, name)
		}
		if r.Marker == "" && !slices.Contains(certain, name) {
			certain = append(certain, name)
		}
	}
	return direct, certain
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalName writes a package's name in the one form of all its spellings.
func normalName(name string) string {
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}

// capped keeps the beginning of what is written to it.
type capped struct {
	limit   int
	content []byte
}

func (c *capped) Write(p []byte) (int, error) {
	c.content = append(c.content, p[:min(len(p), c.limit-len(c.content))]...)
	return len(p), nil
}
