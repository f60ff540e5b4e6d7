package bridge

import (
	"os"
	"path/filepath"
)

// identity tells whether an environment is still the one that was imported: it
// was built anew, or packages came or went.
type identity struct {
	folder os.FileInfo
	files  map[string]os.FileInfo // nil values: not there
}

// identify looks at an interpreter, and at the environment that it lies in.
func identify(interpreter string) identity {
	folder := filepath.Dir(filepath.Dir(interpreter))
	paths := []string{interpreter, filepath.Join(folder, "pyvenv.cfg")}
	packages, _ := filepath.Glob(filepath.Join(folder, "lib", "python*", "site-packages"))
	id := identity{files: make(map[string]os.FileInfo)}
	id.folder, _ = os.Stat(folder)
	for _, path := range append(paths, packages...) {
		id.files[path], _ = os.Stat(path)
	}
	return id
}

func (id identity) changed() bool {
	for path, before := range id.files {
		now, _ := os.Stat(path)
		if before == nil || now == nil {
			if before != nil || now != nil {
				return true
			}
			continue
		}
		if !os.SameFile(before, now) || !before.ModTime().Equal(now.ModTime()) || before.Size() != now.Size() {
			return true
		}
	}
	return false
}

// sameFolder tells whether the environment is at least in the same folder as
// before, and not another under the same name.
func (id identity) sameFolder(other identity) bool {
	return id.folder != nil && other.folder != nil && os.SameFile(id.folder, other.folder)
}
