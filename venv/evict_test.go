package venv

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestVictims(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2024, 1, 1, hour, 0, 0, 0, time.UTC) }
	cases := []struct {
		name       string
		most       int64
		candidates []candidate
		want       []string
	}{
		{"nothing built", 10, nil, nil},
		{"below the cap", 30, []candidate{{"a", 10, at(1), false}, {"b", 20, at(2), false}}, nil},
		{"least recently used first", 25, []candidate{{"a", 10, at(3), false}, {"b", 10, at(1), false}, {"c", 10, at(2), false}}, []string{"b"}},
		{"as many as it takes", 10, []candidate{{"a", 10, at(3), false}, {"b", 10, at(1), false}, {"c", 10, at(2), false}}, []string{"b", "c"}},
		{"not the one in use", 25, []candidate{{"a", 10, at(1), true}, {"b", 10, at(2), false}, {"c", 10, at(3), false}}, []string{"b"}},
		{"what is in use counts", 15, []candidate{{"a", 20, at(1), true}, {"b", 10, at(2), false}, {"c", 10, at(3), false}}, []string{"b"}},
		{"all in use", 1, []candidate{{"a", 10, at(1), true}, {"b", 10, at(2), true}}, nil},
		{"not the one just used", 1, []candidate{{"a", 10, at(1), false}}, nil},
		{"same time: by name", 15, []candidate{{"b", 10, at(1), false}, {"a", 10, at(1), false}}, []string{"a"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := victims(c.candidates, c.most); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// clock gives a later time at each call.
func clock(s *Store) {
	var hours atomic.Int64
	s.now = func() time.Time {
		return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours.Add(1)) * time.Hour)
	}
}

func TestEvictionTakesWhatWasNotUsedForLongest(t *testing.T) {
	store := open(t, func(c *Config) { c.MaxBytes = 1 })
	clock(store)
	var hashes []string
	for _, name := range []string{"oats", "rye", "wheat"} {
		hashes = append(hashes, build(t, store, emptyLock(t, name)).Hash)
	}
	oats, rye, wheat := hashes[0], hashes[1], hashes[2]

	_, release, err := store.Acquire(oats)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.Victims(); err != nil || !slices.Equal(got, []string{rye, wheat}) {
		t.Errorf("with oats in use: %v, %v, want rye and wheat", got, err)
	}
	var inUse *InUseError
	if err := store.Remove(oats); !errors.As(err, &inUse) {
		t.Errorf("remove what is in use: %v", err)
	}
	// A second use, and the end of the first, keep it in use.
	_, releaseToo, err := store.Acquire(oats)
	if err != nil {
		t.Fatal(err)
	}
	release()
	release()
	if err := store.Remove(oats); !errors.As(err, &inUse) {
		t.Errorf("remove what is still in use: %v", err)
	}
	releaseToo()

	// PREPARE_ENV for one that is there is a use, too.
	build(t, store, emptyLock(t, "rye"))
	if got, err := store.Victims(); err != nil || !slices.Equal(got, []string{wheat, oats}) {
		t.Errorf("after rye was asked for: %v, %v, want wheat and oats", got, err)
	}
	for _, hash := range []string{wheat, oats} {
		if err := store.Remove(hash); err != nil {
			t.Errorf("remove: %v", err)
		}
		if _, err := store.Lookup(hash); !errors.Is(err, ErrNotProvisioned) {
			t.Errorf("after the removal: %v", err)
		}
		if err := store.Remove(hash); err != nil {
			t.Errorf("remove again: %v", err)
		}
	}
	if got, err := store.Victims(); err != nil || len(got) != 0 {
		t.Errorf("at the end: %v, %v", got, err)
	}
	if _, err := store.Lookup(rye); err != nil {
		t.Errorf("rye: %v", err)
	}
	nothingInTheMaking(t, store)
}

func TestNoCapNoVictims(t *testing.T) {
	store := open(t)
	build(t, store, emptyLock(t, "no cap"))
	build(t, store, emptyLock(t, "no cap either"))
	if got, err := store.Victims(); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// Two workers share a folder: each uses what is there, neither takes away what
// the other has in use or has built.
func TestWorkersRespectEachOther(t *testing.T) {
	first := open(t, func(c *Config) { c.MaxBytes = 1 })
	clock(first)
	sameOwner := open(t, in(first.dir))
	stranger := open(t, in(first.dir), func(c *Config) { c.Owner = "worker-2"; c.MaxBytes = 1 })
	used := build(t, first, emptyLock(t, "shared"))
	build(t, first, emptyLock(t, "newer"))

	for name, other := range map[string]*Store{"of the same owner": sameOwner, "of another owner": stranger} {
		_, release, err := other.Acquire(used.Hash)
		if err != nil {
			t.Fatal(err)
		}
		// The use is the newest of all: only being in use keeps it from eviction.
		old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(first.dir, used.Hash, useFile), old, old); err != nil {
			t.Fatal(err)
		}
		if got, err := first.Victims(); err != nil || len(got) != 0 {
			t.Errorf("in use by a worker %s: victims %v, %v", name, got, err)
		}
		var inUse *InUseError
		if err := first.Remove(used.Hash); !errors.As(err, &inUse) {
			t.Errorf("in use by a worker %s: remove: %v", name, err)
		}
		release()
	}

	if found, err := stranger.Lookup(used.Hash); err != nil || found.Built {
		t.Errorf("the stranger sees %+v, %v", found, err)
	}
	if got, err := stranger.Victims(); err != nil || len(got) != 0 {
		t.Errorf("the stranger's victims: %v, %v", got, err)
	}
	var notOurs *NotOursError
	if err := stranger.Remove(used.Hash); !errors.As(err, &notOurs) {
		t.Errorf("the stranger's remove: %v", err)
	}
	if err := first.Remove(used.Hash); err != nil {
		t.Errorf("remove: %v", err)
	}
}
