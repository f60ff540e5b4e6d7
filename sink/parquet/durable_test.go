package parquet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// A folder's own name is synced once, and again when another folder stands in its
// place; its names are synced each time.
func TestFolderNamesAreSyncedOnce(t *testing.T) {
	base := t.TempDir()
	var synced []string
	driver, err := New(Config{Root: base, Disk: func(call disk.Call) error {
		if call.Op == disk.SyncFolder {
			path, err := filepath.Rel(base, call.Path)
			if err != nil {
				t.Error(err)
			}
			synced = append(synced, filepath.ToSlash(path))
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	create := func() {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(base, "a", "b"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, want ...string) {
		t.Helper()
		synced = nil
		if err := driver.syncNames(filepath.Join("a", "b")); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(synced, want) {
			t.Errorf("%s: synced %q, want %q", what, synced, want)
		}
	}
	create()
	expect("the first time", "a/b", "a", ".")
	expect("again", "a/b")
	if err := os.Rename(filepath.Join(base, "a"), filepath.Join(base, "old")); err != nil {
		t.Fatal(err)
	}
	create()
	expect("another folder of that name", "a/b", "a", ".")
	expect("and again", "a/b")
	// One that the driver makes itself counts as another, whatever its number.
	if err := os.RemoveAll(filepath.Join(base, "a", "b")); err != nil {
		t.Fatal(err)
	}
	root, err := driver.openRoot(true)
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	if err := root.makeFolder(filepath.Join("a", "b")); err != nil {
		t.Fatal(err)
	}
	expect("a folder made anew", "a/b", "a", ".")
	if err := os.RemoveAll(filepath.Join(base, "a")); err != nil {
		t.Fatal(err)
	}
	if err := driver.syncNames("a"); err == nil {
		t.Error("a folder that is not there was synced")
	}
}
