package sink

import (
	"fmt"
	"math"
	"strings"
)

// A full disk has no type of its own: the error of the operating system stays
// in the chain, so that errors.Is(err, syscall.ENOSPC) finds it.

// UnknownSchemeError: no driver is registered for the URI's scheme.
type UnknownSchemeError struct {
	URI    string
	Scheme string   // empty when the URI has none
	Known  []string // sorted
}

func (e *UnknownSchemeError) Error() string {
	known := "known schemes: " + strings.Join(e.Known, ", ")
	if e.Scheme == "" {
		return fmt.Sprintf("sink %q has no scheme (%s)", e.URI, known)
	}
	return fmt.Sprintf("sink %q: unknown scheme %q (%s)", e.URI, e.Scheme, known)
}

// OptionError: an option of a sink is unknown, given twice, or has a value that
// it cannot have.
type OptionError struct {
	Option string   // the option's name, "mode" for the sink's mode
	Value  string   // the value that was refused; empty when the name is unknown
	Reason string   // what is wrong
	Known  []string // the names or values that are possible
}

func (e *OptionError) Error() string {
	text := fmt.Sprintf("sink option %q", e.Option)
	if e.Value != "" {
		text += fmt.Sprintf(" = %q", e.Value)
	}
	text += ": " + e.Reason
	if len(e.Known) > 0 {
		text += " (possible: " + strings.Join(e.Known, ", ") + ")"
	}
	return text
}

// PathError: a path that must not, or cannot, be written: it leads out of the
// output root, holds a NUL, runs through a file, or has no name.
type PathError struct {
	Path   string // as it was given
	Reason string
	Err    error // the operating system's error, if it found the fault
}

func (e *PathError) Error() string {
	text := fmt.Sprintf("output path %q refused: %s", e.Path, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *PathError) Unwrap() error { return e.Err }

// ExistsError: mode "error", and the final name is taken.
type ExistsError struct {
	Path string // absolute
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("output %s exists already and the sink's mode is %q (remove it, or use mode %q or %q)",
		e.Path, Error, Append, Replace)
}

// SchemaError: a batch does not fit the schema of the batches before it.
type SchemaError struct {
	Column string // path of the column, nested fields after a dot
	Have   string // type in the output so far; empty when the column is new
	Got    string // type in the batch; empty when the column is missing
	Batch  int64  // number of the batch in this writer, counted from 1
	Reason string // empty when the two types say it all
}

func (e *SchemaError) Error() string {
	text := fmt.Sprintf("batch %d: ", e.Batch)
	switch {
	case e.Have == "":
		text += fmt.Sprintf("column %q (%s) is not in the batches before", e.Column, e.Got)
	case e.Got == "":
		text += fmt.Sprintf("column %q (%s) is missing", e.Column, e.Have)
	default:
		text += fmt.Sprintf("column %q is %s and was %s before", e.Column, e.Got, e.Have)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text + " (give every batch the same columns and types: cast them in the plugin)"
}

// UnsupportedTypeError: a column's type cannot be stored by the sink.
type UnsupportedTypeError struct {
	Column string // path of the column, nested fields after a dot
	Type   string
	Reason string
}

func (e *UnsupportedTypeError) Error() string {
	return fmt.Sprintf("column %q has type %s, which cannot be stored: %s (cast or drop it in the plugin)",
		e.Column, e.Type, e.Reason)
}

// ValueError: a batch carries values that its own type does not allow, or that
// the sink cannot represent: broken offsets, text that is not UTF-8, a time out
// of range.
type ValueError struct {
	Column string // empty when it is not known which
	Batch  int64  // number of the batch in this writer, counted from 1
	Reason string
}

func (e *ValueError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("batch %d: bad data: %s", e.Batch, e.Reason)
	}
	return fmt.Sprintf("batch %d: column %q: bad data: %s", e.Batch, e.Column, e.Reason)
}

// JobIDError: the job id does not fit the signed 64 bits of a lineage column.
type JobIDError struct {
	JobID uint64
}

func (e *JobIDError) Error() string {
	return fmt.Sprintf("job id %d is above %d and cannot be stored in the column _job_id", e.JobID, int64(math.MaxInt64))
}

// TokenError: a token is not one of this driver, or belongs to another target.
type TokenError struct {
	Reason string
}

func (e *TokenError) Error() string { return "token not usable: " + e.Reason }

// DamageError: a staged file is not what its token says. What it holds cannot
// be trusted; the job must start over.
type DamageError struct {
	Path   string // absolute
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("staged file %s is damaged: %s", e.Path, e.Reason)
}

// LostError: a sealed output is neither staged nor published any more.
type LostError struct {
	Staging string // absolute
	Final   string // absolute
}

func (e *LostError) Error() string {
	return fmt.Sprintf("sealed output is lost: %s is gone and %s is not its content (was it removed, or the output root changed?)",
		e.Staging, e.Final)
}
