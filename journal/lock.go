package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Owner is who has a journal open for writing. It is kept in the lock file, for
// the message that a second worker gives.
type Owner struct {
	WorkerID string    `json:"worker_id"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
}

const (
	lockName = "journal.lock"
	lockWait = time.Second
	lockPoll = 25 * time.Millisecond
)

// fileLock is the hold on a state directory: exclusive for a worker, shared for
// those that only read. It is on a file of its own and not on the journal, so
// that it is held before the journal exists and while the journal is replaced. The
// operating system lets go of it when the process dies, however it dies. The file
// itself stays.
type fileLock struct {
	file      *os.File
	exclusive bool
}

// lockFolder takes the lock, or says within about a second who has it.
func lockFolder(d *diskCalls, folder string, owner Owner) (*fileLock, error) {
	path := filepath.Join(folder, lockName)
	file, err := d.openFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := waitForLock(file, true); err != nil {
		refused := lockRefused(file, folder, err)
		return nil, errors.Join(refused, file.Close())
	}
	lock := &fileLock{file: file, exclusive: true}
	// The owner's name is for a message alone: a disk too full to take it is no
	// reason to keep a worker from starting.
	if err := writeOwner(file, owner); err != nil && !outOfRoom(err) {
		return nil, errors.Join(err, lock.release())
	}
	return lock, nil
}

// lockFolderToRead takes the lock together with other readers. A folder without a
// lock file (a copy, or a read-only disk) is read without one.
func lockFolderToRead(d *diskCalls, folder string) (*fileLock, error) {
	file, err := d.openFile(filepath.Join(folder, lockName), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := waitForLock(file, false); err != nil {
		refused := lockRefused(file, folder, err)
		return nil, errors.Join(refused, file.Close())
	}
	return &fileLock{file: file}, nil
}

// errHeld: the lock is with somebody else.
var errHeld = errors.New("held")

func waitForLock(file *os.File, exclusive bool) error {
	deadline := time.Now().Add(lockWait)
	for {
		err := tryLock(file, exclusive)
		if !errors.Is(err, errHeld) || time.Now().After(deadline) {
			return err
		}
		// A file lock can be waited for or tried, but not waited for until a deadline.
		time.Sleep(lockPoll)
	}
}

// lockRefused explains why the lock could not be had.
func lockRefused(file *os.File, folder string, err error) error {
	if !errors.Is(err, errHeld) {
		return fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	refused := &LockedError{Path: filepath.Join(folder, fileName)}
	if tryLock(file, false) == nil { // readers let other readers in, a worker does not
		refused.Reading = true
		return errors.Join(refused, unlock(file))
	}
	if content, err := io.ReadAll(io.NewSectionReader(file, 0, 4096)); err == nil {
		if json.Unmarshal(content, &refused.Owner) != nil {
			refused.Owner = Owner{} // it is just being written
		}
	}
	return refused
}

func writeOwner(file *os.File, owner Owner) error {
	content, err := json.Marshal(owner)
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(append(content, '\n'), 0)
	return err
}

// release lets go of the lock. A nil lock has nothing to let go of.
func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	var err error
	if l.exclusive {
		err = l.file.Truncate(0)
	}
	return errors.Join(err, unlock(l.file), l.file.Close())
}
