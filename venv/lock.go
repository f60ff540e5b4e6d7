package venv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lockPoll is how often a lock that another process holds is tried again. The
// operating systems offer no wait for a file lock that can be given up.
const lockPoll = 50 * time.Millisecond

// useWait bounds the wait for an environment's use lock. Another process holds
// it exclusively only for the moment of looking whether it is in use.
const useWait = 5 * time.Second

// fileLock is a lock on an open file. It ends with the process at the latest.
type fileLock struct{ file *os.File }

func (l *fileLock) release() {
	if l != nil {
		_ = l.file.Close() // lets the lock go, too
	}
}

// holdUse takes the shared use lock of an environment. An environment without a
// use file is not this worker's kind, and is never removed by it: nil is
// returned and does as a lock. So it is on a file system without locks.
func (s *Store) holdUse(hash string) (*fileLock, error) {
	path := filepath.Join(s.path(hash), useFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		file, err = os.Open(path) // a read-only environment can be used as well
	}
	if err != nil {
		return nil, nil
	}
	lock := &fileLock{file}
	ctx, cancel := context.WithTimeout(context.Background(), useWait)
	defer cancel()
	for {
		taken, err := tryLock(file, shared)
		if err != nil {
			lock.release()
			return nil, nil
		}
		if taken {
			break
		}
		if !pause(ctx, lockPoll) {
			lock.release()
			return nil, &NotProvisionedError{Hash: hash, Why: "it is being removed"}
		}
	}
	if !still(path, file) {
		lock.release()
		return nil, &NotProvisionedError{Hash: hash, Why: "it was just removed"}
	}
	return lock, nil
}

// claim takes the use lock of one of our environments for ourselves alone. It
// gives an [*InUseError] when a job has it.
func (s *Store) claim(hash string) (*fileLock, error) {
	path := filepath.Join(s.path(hash), useFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock environment %s: %w", short(hash), err)
	}
	taken, err := tryLock(file, exclusive)
	if err == nil && !taken {
		err = &InUseError{Hash: hash}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &fileLock{file}, nil
}

// buildLock is held by the process that builds a hash.
type buildLock struct {
	fileLock
	path string
}

// tryBuildLock takes the build lock of a hash, or gives nil when another
// process has it.
func (s *Store) tryBuildLock(hash string) (*buildLock, error) {
	if err := os.MkdirAll(s.work, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(s.work, hash+".lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	taken, err := tryLock(file, exclusive)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !taken || !still(path, file) { // its holder removed it as we opened it
		_ = file.Close()
		return nil, nil
	}
	return &buildLock{fileLock{file}, path}, nil
}

// awaitBuildLock waits for the build lock of a hash. waiting is called once, if
// another process has it.
func (s *Store) awaitBuildLock(ctx context.Context, hash string, waiting func()) (*buildLock, error) {
	for first := true; ; first = false {
		lock, err := s.tryBuildLock(hash)
		if err != nil || lock != nil {
			return lock, err
		}
		if first {
			waiting()
		}
		if !pause(ctx, lockPoll) {
			return nil, context.Cause(ctx)
		}
	}
}

// release gives the lock up and removes its file, which nobody else can have
// locked meanwhile. Where an open file cannot be removed, an empty file stays.
func (l *buildLock) release() {
	_ = os.Remove(l.path)
	l.fileLock.release()
}

// still tells whether path still leads to the open file.
func still(path string, file *os.File) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	here, err := file.Stat()
	return err == nil && os.SameFile(there, here)
}

// pause waits, and is false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// isInUse tells whether err is an [*InUseError].
func isInUse(err error) bool {
	var inUse *InUseError
	return errors.As(err, &inUse)
}
