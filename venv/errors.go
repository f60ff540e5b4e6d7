package venv

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotProvisioned: there is no usable environment under the hash. See
// [NotProvisionedError].
var ErrNotProvisioned = errors.New("environment not provisioned")

// ErrUVMissing: a build is needed, and there is no uv to do it with.
var ErrUVMissing = errors.New("uv was not found")

// NotProvisionedError says that an environment is not there. Its text begins
// with the words that the Sentinel's users know: "Environment <first 12 digits>
// not provisioned". It is an [ErrNotProvisioned].
type NotProvisionedError struct {
	Hash string
	Why  string // empty when there is simply nothing under the hash
}

func (e *NotProvisionedError) Error() string {
	text := "Environment " + short(e.Hash) + " not provisioned"
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text
}

// Is makes every NotProvisionedError an [ErrNotProvisioned].
func (e *NotProvisionedError) Is(target error) bool { return target == ErrNotProvisioned }

// InUseError says that an environment was not removed, because a job of this
// or another worker process is using it.
type InUseError struct{ Hash string }

func (e *InUseError) Error() string {
	return "environment " + short(e.Hash) + " is in use and stays"
}

// NotOursError says that an environment was not removed, because this worker
// did not build it.
type NotOursError struct{ Hash string }

func (e *NotOursError) Error() string {
	return "environment " + short(e.Hash) + " was not built by this worker and stays"
}

// MismatchError says that a lockfile is not the one that the env_hash names.
type MismatchError struct {
	EnvHash  string // what was asked for
	LockHash string // what the lockfile gives
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("env_hash is %s, but the lockfile that came with it hashes to %s", e.EnvHash, e.LockHash)
}

// LockfileError says why no environment can be built from a lockfile, whatever
// the machine.
type LockfileError struct{ Why string }

func (e *LockfileError) Error() string { return "uv.lock: " + e.Why }

// PythonVersionError says that the wanted Python is not given as a version or a
// range of versions. Anything else uv would take for the path of a program.
type PythonVersionError struct{ Version string }

func (e *PythonVersionError) Error() string {
	return fmt.Sprintf("python_version %.80q is neither a version nor a range of versions", e.Version)
}

// OccupiedError says that something that is not a usable environment is where
// the environment belongs. It is not this worker's to delete.
type OccupiedError struct{ Path string }

func (e *OccupiedError) Error() string {
	return e.Path + " is there already, is no usable environment, and was not built by this worker"
}

// Reason is the class of a failed build: what a person has to look at.
type Reason string

const (
	BadHash      Reason = "bad hash"       // the env_hash is no hash: [HashError]
	HashMismatch Reason = "hash mismatch"  // the lockfile is another one: [MismatchError]
	BadLockfile  Reason = "bad lockfile"   // nothing can be built from it: [LockfileError]
	UVMissing    Reason = "uv missing"     // [ErrUVMissing]
	Occupied     Reason = "occupied"       // the place is taken: [OccupiedError]
	Offline      Reason = "offline"        // a package index or download could not be reached
	Unresolvable Reason = "unresolvable"   // the lock names what cannot be had, or cannot be installed here
	WrongPython  Reason = "wrong Python"   // no interpreter of the wanted version
	DiskFull     Reason = "disk full"      // no room for the environment or for uv's cache
	TimedOut     Reason = "timed out"      // the build took longer than Config.BuildTimeout
	Cancelled    Reason = "cancelled"      // nobody waits for the build any more
	Unimportable Reason = "not importable" // installed, but no locked package can be imported
	Failed       Reason = "failed"         // anything else; the last lines say what
)

// BuildError says why there is no environment. Every error of [Store.Build] and
// [Lock] is one; errors.Is and errors.As see through it.
type BuildError struct {
	Hash   string   // empty when a lockfile was being made
	Op     string   // what was being done: "uv sync", "import", "make room for", …
	Reason Reason   //
	Tail   []string // the last lines that uv or Python printed, oldest first
	Hint   string   // what a person can do; may be empty
	Err    error    // the cause; never nil
}

func (e *BuildError) Error() string {
	var text strings.Builder
	if e.Hash != "" {
		fmt.Fprintf(&text, "build environment %s: ", short(e.Hash))
	}
	fmt.Fprintf(&text, "%s: %s: %v", e.Op, e.Reason, e.Err)
	if e.Hint != "" {
		fmt.Fprintf(&text, " (%s)", e.Hint)
	}
	for _, line := range e.Tail {
		text.WriteString("\n  " + line)
	}
	return text.String()
}

func (e *BuildError) Unwrap() error { return e.Err }

// hints are what a person can do about each class of failure.
var hints = map[Reason]string{
	HashMismatch: "deploy the plugin again, so that env_hash and lockfile are made together",
	BadLockfile:  "make the lockfile with `uv lock` in the plugin's own project, and deploy again",
	UVMissing:    "install it, for example with `pip install uv`, and have it on the worker's PATH",
	Occupied:     "move it away or delete it, then ask again",
	Offline:      "check the network, the proxy and the package index of this machine, or fill uv's cache",
	Unresolvable: "make the lockfile anew with `uv lock`, for this machine's platform too, and deploy again",
	WrongPython:  "install that Python on this machine, for example with `uv python install`",
	DiskFull:     "make room where the environments and uv's cache are, or lower the size cap of the environments",
	TimedOut:     "ask again: what was downloaded is kept in uv's cache",
}
