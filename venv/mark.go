package venv

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

const (
	markFile   = ".casparian-ready.json"
	useFile    = ".casparian-use"
	markFormat = 1
	markLimit  = 1 << 20 // bytes; a mark is a few hundred
)

// mark says that an environment was built by a worker, and is complete. It is
// the last file written into an environment, after everything else is durable,
// and before the environment gets its name. A folder without a mark belongs to
// somebody else.
type mark struct {
	Format  int       `json:"format"`
	EnvHash string    `json:"env_hash"`
	Owner   string    `json:"owner"`
	UV      string    `json:"uv"`     // version of the uv that built it
	Python  string    `json:"python"` // version of its interpreter
	Proven  []string  `json:"proven"` // modules that were imported from it
	Bytes   int64     `json:"bytes"`  // sum of file sizes, measured once, when built
	BuiltAt time.Time `json:"built_at"`
}

// writeMark makes the mark durable in an environment's folder.
func writeMark(folder string, m mark) error {
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	if err := writeDurably(filepath.Join(folder, useFile), nil); err != nil {
		return err
	}
	if err := writeDurably(filepath.Join(folder, markFile), append(content, '\n')); err != nil {
		return err
	}
	return syncFolder(folder)
}

func writeDurably(path string, content []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Sync()
}

// readMark reads an environment's mark. One that cannot be read, is of a format
// not known here or names another hash (a copied folder) counts as none: what
// is in doubt is not ours to delete.
func (s *Store) readMark(hash string) (mark, bool) {
	folder := s.path(hash)
	if info, err := os.Lstat(folder); err != nil || !info.IsDir() {
		return mark{}, false // a link to a folder is somebody's own arrangement
	}
	file, err := os.Open(filepath.Join(folder, markFile))
	if err != nil {
		return mark{}, false
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, markLimit))
	if err != nil {
		return mark{}, false
	}
	var m mark
	if err := json.Unmarshal(content, &m); err != nil {
		return mark{}, false
	}
	return m, m.Format == markFormat && m.EnvHash == hash
}

func (s *Store) ours(hash string) bool {
	m, ok := s.readMark(hash)
	return ok && m.Owner == s.config.Owner
}

// touch notes a use. It is best effort: a lost note only shifts the order of
// eviction. An environment without a mark has no use file, and needs none.
func (s *Store) touch(hash string) {
	now := s.now()
	_ = os.Chtimes(filepath.Join(s.path(hash), useFile), now, now)
}

// lastUse is when an environment with the mark m was last used.
func (s *Store) lastUse(hash string, m mark) time.Time {
	if info, err := os.Stat(filepath.Join(s.path(hash), useFile)); err == nil {
		return info.ModTime()
	}
	return m.BuiltAt
}

// size is the sum of the file sizes below a folder. Files that uv linked from
// its cache count in full: removing the environment frees them once the cache
// is pruned.
func size(folder string) (int64, error) {
	var total int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	return total, err
}
