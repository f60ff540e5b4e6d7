package venv

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// candidate is one environment that this worker built, as eviction sees it.
type candidate struct {
	hash    string
	bytes   int64
	lastUse time.Time
	inUse   bool
}

// Victims tells which environments to remove now, least recently used first, so
// that what this worker built fits Config.MaxBytes again. It removes nothing:
// the caller journals the decision and then calls [Store.Remove] for each.
//
// Never a victim is an environment in use, one that this worker did not build,
// and the most recently used one: it was just asked for, and a cap smaller than
// one environment would let no job run.
func (s *Store) Victims() ([]string, error) {
	if s.config.MaxBytes <= 0 {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	var candidates []candidate
	for _, entry := range entries {
		hash := entry.Name()
		if hash == System || checkHash(hash) != nil {
			continue
		}
		m, ok := s.readMark(hash)
		if !ok || m.Owner != s.config.Owner {
			continue
		}
		candidates = append(candidates, candidate{hash: hash, bytes: m.Bytes, lastUse: s.lastUse(hash, m), inUse: s.inUse(hash)})
	}
	return victims(candidates, s.config.MaxBytes), nil
}

// victims is the decision, without the looking.
func victims(candidates []candidate, most int64) []string {
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(a.lastUse.Compare(b.lastUse), cmp.Compare(a.hash, b.hash))
	})
	var total int64
	for _, c := range candidates {
		total += c.bytes
	}
	var chosen []string
	for i, c := range candidates {
		if total <= most || i == len(candidates)-1 {
			break
		}
		if !c.inUse {
			chosen = append(chosen, c.hash)
			total -= c.bytes
		}
	}
	return chosen
}

// inUse tells whether a job of this or another process has the environment.
func (s *Store) inUse(hash string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins[hash] > 0 {
		return true
	}
	lock, err := s.claim(hash)
	lock.release()
	return isInUse(err)
}

// Remove removes an environment that this worker built. It gives a
// [*NotOursError] or an [*InUseError] and removes nothing otherwise. An
// environment that is not there is removed already.
func (s *Store) Remove(hash string) error {
	if err := checkHash(hash); err != nil {
		return err
	}
	if hash == System {
		return &NotOursError{Hash: hash}
	}
	if _, err := os.Lstat(s.path(hash)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	leaving, err := s.moveAway(hash)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(leaving); err != nil {
		return fmt.Errorf("remove environment %s: %w", short(hash), err)
	}
	return nil
}

// moveAway takes the environment's name from it in one step, so that a crash
// half-way through the deleting leaves nothing that looks like an environment.
func (s *Store) moveAway(hash string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ours(hash) {
		return "", &NotOursError{Hash: hash}
	}
	if s.pins[hash] > 0 {
		return "", &InUseError{Hash: hash}
	}
	lock, err := s.claim(hash)
	if err != nil {
		return "", err
	}
	defer func() { lock.release() }()
	if err := os.MkdirAll(s.work, 0o700); err != nil {
		return "", fmt.Errorf("remove environment %s: %w", short(hash), err)
	}
	around, err := os.MkdirTemp(s.work, removingPrefix+hash+"-")
	if err != nil {
		return "", fmt.Errorf("remove environment %s: %w", short(hash), err)
	}
	if !renameWhileLocked {
		lock.release()
		lock = nil
	}
	if err := os.Rename(s.path(hash), filepath.Join(around, "environment")); err != nil {
		_ = os.Remove(around)
		if heldOpen(err) {
			return "", &InUseError{Hash: hash}
		}
		return "", fmt.Errorf("remove environment %s: %w", short(hash), err)
	}
	return around, syncFolder(s.dir)
}

// Sweep removes what builds and removals left behind that a crash cut short,
// and gives the hashes that they were for. What another process is building
// right now is left alone, and so is every environment.
func (s *Store) Sweep() (removed []string, err error) {
	entries, err := os.ReadDir(s.work)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sweep environments: %w", err)
	}
	var problems []error
	for _, entry := range entries {
		hash, building := leftover(entry.Name())
		if checkHash(hash) != nil || hash == System {
			continue
		}
		swept, err := s.sweep(entry.Name(), hash, building)
		if err != nil {
			problems = append(problems, fmt.Errorf("sweep %s: %w", filepath.Join(s.work, entry.Name()), err))
		} else if swept && !slices.Contains(removed, hash) {
			removed = append(removed, hash)
		}
	}
	return removed, errors.Join(problems...)
}

// leftover takes a name in the work folder apart: "building-<hash>-123",
// "removing-<hash>-123" or "<hash>.lock".
func leftover(name string) (hash string, building bool) {
	if rest, ok := strings.CutPrefix(name, removingPrefix); ok {
		hash, _, _ = strings.Cut(rest, "-")
		return hash, false
	}
	if rest, ok := strings.CutPrefix(name, buildingPrefix); ok {
		hash, _, _ = strings.Cut(rest, "-")
		return hash, true
	}
	hash, _ = strings.CutSuffix(name, ".lock")
	return hash, true
}

// sweep removes one leftover. One of a build goes under the build's lock, whose
// file goes with it.
func (s *Store) sweep(name, hash string, building bool) (bool, error) {
	if building {
		lock, err := s.tryBuildLock(hash)
		if err != nil || lock == nil {
			return false, err
		}
		defer lock.release()
		if strings.HasSuffix(name, ".lock") {
			return false, nil
		}
	}
	return true, os.RemoveAll(filepath.Join(s.work, name))
}
