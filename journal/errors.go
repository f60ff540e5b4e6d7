package journal

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What an error of this package can be asked with errors.Is.
var (
	// ErrClosed: the journal was closed, and the event was not written.
	ErrClosed = errors.New("the journal is closed")
	// ErrFailed: storage failed in a way that leaves no trust in the open file; see
	// [StorageError].
	ErrFailed = errors.New("the journal has failed")
	// ErrLocked: another process has the journal open; see [LockedError].
	ErrLocked = errors.New("the journal is in use by another process")
	// ErrMissing: the state directory holds no journal.
	ErrMissing = errors.New("there is no journal")
	// ErrUncertain: the caller stopped waiting for an append while it was being
	// written. The event may be durable, now or a moment later.
	ErrUncertain = errors.New("the event was being written and may be durable")
	// ErrNoBlob: no blob is stored under this digest.
	ErrNoBlob = errors.New("there is no such blob")
	// ErrTooLarge: an event or a blob is above [MaxEvent] or [MaxBlob].
	ErrTooLarge = errors.New("too large for the journal")
)

// CorruptError says that the journal file does not hold what was written to it.
type CorruptError struct {
	Path string
	Seq  uint64 // the first bad record; 0 when the damage is not in a record
	Blob Digest // the bad blob, if it is one
	What string
	Hint string
	Err  error // what gave it away, may be nil
}

func (e *CorruptError) Error() string {
	var where string
	switch {
	case e.Blob != "":
		where = fmt.Sprintf("blob %s: ", e.Blob)
	case e.Seq != 0:
		where = fmt.Sprintf("record %d: ", e.Seq)
	}
	text := fmt.Sprintf("%s is damaged: %s%s", journalAt(e.Path), where, e.What)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return withHint(text, e.Hint)
}

func (e *CorruptError) Unwrap() error { return e.Err }

const corruptHint = "run `casparian-worker journal repair`: it keeps every record in front of the first bad one, sets the damaged " +
	"file aside, and tells which jobs are touched; where nothing can be kept, move the file out of the state directory, " +
	"and the worker begins an empty journal"

func corrupt(seq uint64, err error, what string, args ...any) error {
	return &CorruptError{Seq: seq, What: fmt.Sprintf(what, args...), Hint: corruptHint, Err: err}
}

// NewerError says that the journal is whole but was written by a newer worker,
// in a form that this one does not know.
type NewerError struct {
	Path string
	Seq  uint64 // the first record that is not understood; 0 for the file itself
	What string
	Hint string
}

func (e *NewerError) Error() string {
	where := ""
	if e.Seq != 0 {
		where = fmt.Sprintf("record %d: ", e.Seq)
	}
	return withHint(fmt.Sprintf("%s was written by a newer worker: %s%s", journalAt(e.Path), where, e.What), e.Hint)
}

func newer(seq uint64, what string, args ...any) error {
	return &NewerError{Seq: seq, What: fmt.Sprintf(what, args...),
		Hint: "run the newer casparian-worker, or give this one a state directory of its own"}
}

// LockedError says who keeps this process from opening the journal.
type LockedError struct {
	Path string
	// Owner is the worker that holds it; zero when that is not known.
	Owner Owner
	// Reading is set when no worker holds it, but a process that only reads.
	Reading bool
}

func (e *LockedError) Error() string {
	switch {
	case e.Reading:
		return withHint(fmt.Sprintf("journal %s is being read by another process", e.Path),
			"wait until that inspect or verify has ended")
	case e.Owner.PID == 0:
		return withHint(fmt.Sprintf("journal %s is in use by another process", e.Path), lockedHint)
	}
	who := "a worker"
	if e.Owner.WorkerID != "" {
		who = fmt.Sprintf("worker %q", e.Owner.WorkerID)
	}
	return withHint(fmt.Sprintf("journal %s is in use by %s (pid %d, since %s)",
		e.Path, who, e.Owner.PID, e.Owner.Since.Format(time.RFC3339)), lockedHint)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

const lockedHint = "one worker at a time can use a state directory: stop that worker, or start this one with another --state-dir"

// StorageError says that the disk refused an operation and that the journal takes
// no more events: it is poisoned until it is opened again.
type StorageError struct {
	Path string
	Op   string // what was being done
	Hint string
	Err  error
}

func (e *StorageError) Error() string {
	return withHint(fmt.Sprintf("journal %s: %s failed: %v", e.Path, e.Op, e.Err), e.Hint)
}

func (e *StorageError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrFailed) true.
func (e *StorageError) Is(target error) bool { return target == ErrFailed }

// PausedError says why appends wait: the disk is full or read-only. Nothing is
// lost, and the journal goes on by itself once it can write again.
type PausedError struct {
	Path  string
	Since time.Time
	Hint  string
	Err   error
}

func (e *PausedError) Error() string {
	return withHint(fmt.Sprintf("journal %s waits since %s: %v", e.Path, e.Since.Format(time.RFC3339), e.Err), e.Hint)
}

func (e *PausedError) Unwrap() error { return e.Err }

// MissingBlobError says that an event names a blob that is neither stored nor
// given with it. Nothing was written.
type MissingBlobError struct {
	Kind Kind
	Blob Digest
}

func (e *MissingBlobError) Error() string {
	return fmt.Sprintf("%s names blob %s, which is neither stored nor given with it", e.Kind, e.Blob)
}

// journalAt names the file, if it is known.
func journalAt(path string) string {
	if path == "" {
		return "the journal"
	}
	return "journal " + path
}

func withHint(text, hint string) string {
	if hint == "" {
		return text
	}
	return strings.TrimSuffix(text, ".") + " (" + hint + ")"
}

// at fills in the file of an error made by a part that does not know it.
func at(path string, err error) error {
	if bad, ok := errors.AsType[*CorruptError](err); ok && bad.Path == "" {
		bad.Path = path
	}
	if later, ok := errors.AsType[*NewerError](err); ok && later.Path == "" {
		later.Path = path
	}
	return err
}
