package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// diskCalls is everything that the journal asks of the file system, so that tests can
// make each of it fail.
type diskCalls struct {
	openFile   func(path string, flag int, perm os.FileMode) (*os.File, error)
	rename     func(from, to string) error
	link       func(from, to string) error
	remove     func(path string) error
	syncFolder func(path string) error
	commit     func(tx *bbolt.Tx) error // write, sync, write the meta page, sync
	sync       func(db *bbolt.DB) error // of a file whose commits are not synced
}

func callsOn(watch disk.Watch) *diskCalls {
	return &diskCalls{
		openFile:   watch.OpenFile,
		rename:     watch.Rename,
		link:       watch.Link,
		remove:     watch.Remove,
		syncFolder: watch.SyncFolder,
		commit: func(tx *bbolt.Tx) error {
			path := tx.DB().Path()
			if err := watch.Before(disk.Call{Op: disk.Write, Path: path}); err != nil {
				return err
			}
			unsynced := tx.DB().NoSync
			if err := tx.Commit(); err != nil || unsynced {
				return err
			}
			return watch.Before(disk.Call{Op: disk.Sync, Path: path})
		},
		sync: func(db *bbolt.DB) error {
			if err := watch.Before(disk.Call{Op: disk.Sync, Path: db.Path()}); err != nil {
				return err
			}
			return db.Sync()
		},
	}
}

// outOfRoom reports whether err means that the disk takes no writes for now, and
// that the very same write may be tried again: it is full, above a quota, or
// read-only. An error of a sync is never of this kind, whatever its number: after
// it nobody knows which pages have reached the disk.
func outOfRoom(err error) bool {
	if err == nil {
		return false
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		if failed.Op == "sync" {
			return false
		}
		for _, full := range disk.Full {
			if errors.Is(failed.Err, full) {
				return true
			}
		}
		return false
	}
	// bbolt wraps the failed growth of its file with %s: only the text is left.
	if text, grew := strings.CutPrefix(err.Error(), "file resize error: "); grew {
		for _, full := range disk.Full {
			if strings.HasSuffix(text, full.Error()) {
				return true
			}
		}
	}
	return false
}

const (
	probeName = "journal.probe"
	probeSize = 1 << 20
)

// probe finds out whether there is room again when no event is at hand to try
// with: it writes a file beside the journal and removes it.
func (d *diskCalls) probe(folder string) error {
	path := filepath.Join(folder, probeName)
	file, err := d.openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, probeSize))
	return errors.Join(err, file.Close(), d.remove(path))
}

// makeFolder creates the state directory, for its owner alone, if it is not there.
func (d *diskCalls) makeFolder(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return d.syncFolder(filepath.Dir(path))
}
