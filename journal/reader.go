package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Reader is a journal open for reading, while no worker has it. Readers may share
// it. They keep a worker from starting as long as they have it open.
type Reader struct {
	store *store
	lock  *fileLock
}

// OpenReadOnly opens the journal of a state directory without changing anything.
//
// Errors: [ErrMissing] when there is none, [LockedError] when a worker has it,
// [CorruptError], [NewerError]. It does not read the log: that is for
// [Reader.Records] and [Reader.Verify].
func OpenReadOnly(dir string) (*Reader, error) {
	path := filepath.Join(dir, fileName)
	r, err := openReader(callsOn(nil), dir, path)
	if err != nil {
		return nil, fmt.Errorf("open %w", explain(path, err))
	}
	return r, nil
}

func openReader(d *diskCalls, dir, path string) (*Reader, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (is %s the state directory of a worker that has run?)", ErrMissing, dir)
	}
	lock, err := lockFolderToRead(d, dir)
	if err != nil {
		return nil, err
	}
	store, err := openStore(d, path, true)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Reader{store: store, lock: lock}, nil
}

// Info is what the file says of itself.
func (r *Reader) Info() (Info, error) { return r.store.currentInfo() }

// Records is [Journal.Records].
func (r *Reader) Records(from uint64, fn func(Record) error) error {
	return r.store.records(from, fn)
}

// State folds the log. It fails as [Open] would, with the first bad record.
func (r *Reader) State() (State, error) {
	state, _, _, err := r.store.replay()
	return state, err
}

// Blob is [Journal.Blob].
func (r *Reader) Blob(digest Digest) ([]byte, error) {
	content, err := r.store.blob(digest)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	return content, nil
}

// Verify checks everything that is stored; see [Verify].
func (r *Reader) Verify(ctx context.Context) (VerifyReport, error) {
	return r.store.verify(ctx)
}

// Close lets go of the journal.
func (r *Reader) Close() error {
	if err := errors.Join(r.store.close(), r.lock.release()); err != nil {
		return fmt.Errorf("close journal %s: %w", r.store.path, err)
	}
	return nil
}
