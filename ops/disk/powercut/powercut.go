// Package powercut is a model, for tests, of what a power cut leaves of a folder.
//
// A [Recorder] watches every call that changes the folder (see [disk.Watch]) and
// remembers what was synced. [Recorder.Cut] makes one of the folders that a cut
// at this moment may leave: of what was written since the last sync of a file, any
// subset of its sectors; of the renames, creations and removals since the last sync of
// their folder, any subset; of a transaction of the journal that is under way, any of
// its steps.
package powercut

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// sector is what a disk writes as a whole.
const sector = 512

// Recorder follows one folder and all below it, which one goroutine changes.
type Recorder struct {
	root    string
	random  *rand.Rand
	cutting func(*Recorder)
	meta    int // bytes at the start of a journal that are its two meta pages

	files   map[string]*content // as they are, by path below the root
	durable map[string]*content // as they are named for certain
	pending []change            // of names, since their folder was synced, in order
	last    disk.Call           // the call that is being made
}

// content is what one file holds, whatever its name.
type content struct {
	now    []byte // as written
	synced []byte // as of its last sync
	// transactions counts those written since the last sync. The meta pages of a
	// single one are written when all else of it is synced.
	transactions int
}

// change gives a file a name: from is empty for one that is new, to for one that is
// removed.
type change struct {
	from, to string
	file     *content
}

// New records a folder, which must be empty. cutting is called before each call of
// the disk, when a cut may happen, and may then use Cut. All chance comes from seed.
func New(root string, seed uint64, cutting func(*Recorder)) *Recorder {
	return &Recorder{root: root, random: rand.New(rand.NewPCG(seed, seed)), cutting: cutting, meta: 2 * os.Getpagesize(),
		files: map[string]*content{}, durable: map[string]*content{}}
}

// Watch is the [disk.Watch] for what is tested.
func (r *Recorder) Watch(call disk.Call) error {
	if err := r.settle(); err != nil {
		return err
	}
	r.cutting(r)
	if c := r.files[r.below(call.Path)]; c != nil && call.Op == disk.Write && call.Data == nil {
		c.transactions++
	}
	r.last = call
	return nil
}

// settle takes in what the last call has done.
func (r *Recorder) settle() error {
	if err := r.look(); err != nil {
		return err
	}
	call := r.last
	r.last = disk.Call{}
	switch call.Op {
	case disk.Sync:
		if c := r.files[r.below(call.Path)]; c != nil {
			c.synced, c.transactions = slices.Clone(c.now), 0
		}
	case disk.SyncFolder:
		folder := r.below(call.Path)
		r.pending = slices.DeleteFunc(r.pending, func(n change) bool {
			inside := filepath.Dir(cmp.Or(n.to, n.from)) == folder
			if inside {
				n.apply(r.durable)
			}
			return inside
		})
	}
	return nil
}

// look reads the folder and notes what has changed.
func (r *Recorder) look() error {
	found := map[string][]byte{}
	err := filepath.WalkDir(r.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		bytes, err := os.ReadFile(path)
		found[r.below(path)] = bytes
		return err
	})
	if err != nil {
		return err
	}
	from, to := r.below(r.last.Path), r.below(r.last.To)
	if file := r.files[from]; file != nil && found[to] != nil {
		switch r.last.Op {
		case disk.Rename:
			r.files[to] = file
			delete(r.files, from)
			r.pending = append(r.pending, change{from, to, file})
		case disk.Link:
			r.files[to] = file
			r.pending = append(r.pending, change{"", to, file})
		}
	}
	for path, file := range r.files {
		if _, there := found[path]; !there {
			delete(r.files, path)
			r.pending = append(r.pending, change{path, "", file})
		}
	}
	for path, bytes := range found {
		if r.files[path] == nil {
			r.files[path] = &content{}
			r.pending = append(r.pending, change{"", path, r.files[path]})
		}
		r.files[path].now = bytes
	}
	return nil
}

func (n change) apply(names map[string]*content) {
	if n.from != "" && names[n.from] == n.file {
		delete(names, n.from)
	}
	if n.to != "" {
		names[n.to] = n.file
	}
}

// below gives a path below the root.
func (r *Recorder) below(path string) string {
	rest, err := filepath.Rel(r.root, path)
	if err != nil {
		return ""
	}
	return rest
}

// Cut writes into an empty folder what a power cut at this moment may leave.
func (r *Recorder) Cut(into string) error {
	names := maps.Clone(r.durable)
	for _, n := range r.pending {
		if r.random.IntN(2) == 0 {
			n.apply(names)
		}
	}
	for path, file := range names {
		target := filepath.Join(into, path)
		err := os.MkdirAll(filepath.Dir(target), 0o755)
		if err == nil {
			err = os.WriteFile(target, r.torn(file), 0o644)
		}
		if err != nil {
			return fmt.Errorf("what a cut leaves: %w", err)
		}
	}
	return nil
}

// torn gives what may be left of a file: what was synced, and any of the sectors
// that were written since.
func (r *Recorder) torn(c *content) []byte {
	single := c.transactions == 1
	metaPhase := single && r.random.IntN(2) == 0
	size := len(c.synced)
	if metaPhase || r.random.IntN(2) == 0 {
		size = len(c.now)
	}
	left := make([]byte, size)
	copy(left, c.synced)
	likely := r.random.IntN(5) // of 4: none, some, half, most, all
	for at := 0; at < min(size, len(c.now)); at += sector {
		written := r.random.IntN(4) < likely
		if meta := at < r.meta; single && meta != metaPhase {
			written = metaPhase // the pages are all there by then, the meta pages not yet
		}
		if written {
			copy(left[at:min(at+sector, size)], c.now[at:])
		}
	}
	return left
}
