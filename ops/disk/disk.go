// Package disk is the seam between what must not lose data (the journal, the
// sinks) and the file system: every call that changes a file or makes it durable
// goes through here, so that one function can see it, fail it, or end the process
// just before it.
//
// Nothing is in the way unless a [Watch] is given.
package disk

import (
	"errors"
	"io/fs"
	"os"
)

// Op is what is about to be done.
type Op string

const (
	Open       Op = "open" // of a file, for reading or writing; it may be created
	Write      Op = "write"
	Truncate   Op = "truncate"
	Sync       Op = "sync" // the content of a file
	Rename     Op = "rename"
	Link       Op = "link"
	Remove     Op = "remove"
	MakeFolder Op = "mkdir"
	SyncFolder Op = "sync-folder" // the names in a folder
)

// Call is one call about to be made.
type Call struct {
	Op   Op
	Path string // absolute where the caller's is
	To   string // of Rename and Link: the new name
	// Offset and Data are what a Write writes. Data must not be kept. It is nil where
	// the bytes are written by a library: a transaction of the journal is one Write
	// before, and one Sync after, all that bbolt does for it.
	Offset int64
	Data   []byte
	Size   int64 // of a Truncate
}

// Watch sees each call before it is made. When it returns an error, the call is not
// made and fails with that error, [*fs.PathError] around it; a [*Short] lets a Write
// take effect in part. It may be called from several goroutines. A nil Watch is the
// disk as it is.
type Watch func(Call) error

// Short makes a Write stop after so many bytes, as a full disk does.
type Short struct {
	Written int
	Err     error // why
}

func (s *Short) Error() string { return "short write: " + s.Err.Error() }
func (s *Short) Unwrap() error { return s.Err }

// Before tells the watch what is about to be done.
func (w Watch) Before(call Call) error {
	if w == nil {
		return nil
	}
	err := w(call)
	if err == nil {
		return nil
	}
	if _, located := errors.AsType[*fs.PathError](err); located {
		return err
	}
	return &fs.PathError{Op: string(call.Op), Path: call.Path, Err: err}
}

// OpenFile is [os.OpenFile].
func (w Watch) OpenFile(path string, flag int, perm os.FileMode) (*os.File, error) {
	if err := w.Before(Call{Op: Open, Path: path}); err != nil {
		return nil, err
	}
	return os.OpenFile(path, flag, perm)
}

// Rename is [os.Rename].
func (w Watch) Rename(from, to string) error {
	if err := w.Before(Call{Op: Rename, Path: from, To: to}); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Link is [os.Link].
func (w Watch) Link(from, to string) error {
	if err := w.Before(Call{Op: Link, Path: from, To: to}); err != nil {
		return err
	}
	return os.Link(from, to)
}

// Remove is [os.Remove].
func (w Watch) Remove(path string) error {
	if err := w.Before(Call{Op: Remove, Path: path}); err != nil {
		return err
	}
	return os.Remove(path)
}

// SyncFolder makes the names in a folder durable: a file that was renamed into it
// is there after a power cut. On Windows it does nothing, for want of a call: NTFS
// keeps renames in its own log.
func (w Watch) SyncFolder(path string) error {
	if err := w.Before(Call{Op: SyncFolder, Path: path}); err != nil {
		return err
	}
	return syncFolder(path)
}

// File is a file whose changes the watch sees.
type File struct {
	*os.File
	watch Watch
}

// Over puts the watch over an open file.
func (w Watch) Over(file *os.File) *File { return &File{File: file, watch: w} }

// WriteAt is [os.File.WriteAt].
func (f *File) WriteAt(p []byte, at int64) (int, error) {
	err := f.watch.Before(Call{Op: Write, Path: f.Name(), Offset: at, Data: p})
	if err == nil {
		return f.File.WriteAt(p, at)
	}
	if short, ok := errors.AsType[*Short](err); ok {
		n, failed := f.File.WriteAt(p[:min(short.Written, len(p))], at)
		return n, errors.Join(failed, err)
	}
	return 0, err
}

// Truncate is [os.File.Truncate].
func (f *File) Truncate(size int64) error {
	if err := f.watch.Before(Call{Op: Truncate, Path: f.Name(), Size: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Sync is [os.File.Sync].
func (f *File) Sync() error {
	if err := f.watch.Before(Call{Op: Sync, Path: f.Name()}); err != nil {
		return err
	}
	return f.File.Sync()
}
