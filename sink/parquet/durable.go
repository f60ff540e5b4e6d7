package parquet

import (
	"os"
	"path/filepath"
	"sync"
)

// durableFolders remembers which folders have durable names, up to the root, so
// that each is synced once and not for every file. A folder counts only as long as
// it and all those above it are the very same: who knows who made another one. (When
// somebody else removes one and makes it anew, and the file system gives it the same
// number, its name is durable only once the system writes it by itself.)
type durableFolders struct {
	mu    sync.Mutex
	known map[string]os.FileInfo // by path below the root
}

// mostFolders bounds what is remembered; then it begins anew.
const mostFolders = 1024

// has tells whether all these folders are known.
func (f *durableFolders) has(chain map[string]os.FileInfo) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, info := range chain {
		if before, known := f.known[path]; !known || !os.SameFile(before, info) {
			return false
		}
	}
	return true
}

// forget is called when a folder was made, before its name is durable.
func (f *durableFolders) forget(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, path)
}

func (f *durableFolders) add(chain map[string]os.FileInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known)+len(chain) > mostFolders {
		f.known = make(map[string]os.FileInfo)
	}
	for path, info := range chain {
		f.known[path] = info
	}
}

// syncUpwards makes a folder's names durable, and its own name, up to the root: a
// process that died may have created it without getting that far.
func (o *outputRoot) syncUpwards(folder string) error {
	// Looked at before anything is synced: what takes a folder's place meanwhile is
	// another one.
	chain := make(map[string]os.FileInfo)
	for at := folder; ; at = filepath.Dir(at) {
		info, err := o.root.Stat(at)
		if err != nil {
			return o.explain("look at folder", at, err)
		}
		chain[at] = info
		if at == "." {
			break
		}
	}
	if o.durable.has(chain) {
		return o.sync(folder)
	}
	for at := folder; ; at = filepath.Dir(at) {
		if err := o.sync(at); err != nil {
			return err
		}
		if at == "." {
			break
		}
	}
	o.durable.add(chain)
	return nil
}
