package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestAWatchSeesEachCallBeforeItIsMade: what it lets through happens, and what it
// refuses does not.
func TestAWatchSeesEachCallBeforeItIsMade(t *testing.T) {
	dir := t.TempDir()
	var seen []Op
	var refuse error
	watch := Watch(func(call Call) error {
		seen = append(seen, call.Op)
		return refuse
	})
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	opened, err := watch.OpenFile(a, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	file := watch.Over(opened)
	defer file.Close()
	steps := []func() error{
		func() error { _, err := file.WriteAt([]byte("whole"), 0); return err },
		file.Sync,
		func() error { return file.Truncate(3) },
		func() error { return watch.Link(a, b) },
		func() error { return watch.Rename(b, b+"c") },
		func() error { return watch.Remove(b + "c") },
		func() error { return watch.SyncFolder(dir) },
	}
	refuse = syscall.EIO
	for i, step := range steps {
		var located *fs.PathError
		if err := step(); !errors.Is(err, syscall.EIO) || !errors.As(err, &located) {
			t.Errorf("step %d, refused: %v", i, err)
		}
	}
	if content, err := os.ReadFile(a); err != nil || len(content) != 0 {
		t.Errorf("%q, %v after refusals", content, err)
	}
	refuse, seen = nil, nil
	for i, step := range steps {
		if err := step(); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if want := []Op{Write, Sync, Truncate, Link, Rename, Remove, SyncFolder}; !slices.Equal(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}
	refuse = &Short{Written: 2, Err: syscall.ENOSPC}
	n, err := file.WriteAt([]byte("WXYZ"), 0)
	if content, _ := os.ReadFile(a); n != 2 || !IsFull(err) || string(content) != "WXo" {
		t.Errorf("a short write: %d, %v, %q", n, err, content)
	}
}

func TestNoWatchIsInTheWayOfNothing(t *testing.T) {
	var watch Watch
	path := filepath.Join(t.TempDir(), "a")
	file, err := watch.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Over(file).WriteAt([]byte("x"), 0); err != nil {
		t.Error(err)
	}
	if err := errors.Join(file.Close(), watch.Remove(path)); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskIsToldFromABrokenOne(t *testing.T) {
	for err, full := range map[error]bool{
		nil:                                      false,
		Full[0]:                                  true,
		&fs.PathError{Op: "write", Err: Full[0]}: true,
		&os.LinkError{Op: "rename", Err: Full[2]}: true,
		syscall.EIO: false,
	} {
		if IsFull(err) != full {
			t.Errorf("%v", err)
		}
	}
}
