package parquet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
)

// outputRoot is the open output root. Every path given to it is relative, and
// the operating system resolves it below the root: a symlink that leads out is
// refused at each single use, so that nothing can be swapped in between a check
// and a write.
type outputRoot struct {
	root *os.Root
	path string // absolute, for messages
	disk disk.Watch

	durable *durableFolders // the driver's
}

// openRoot opens the output root. Without create, a missing root is an error
// that errors.Is(err, fs.ErrNotExist).
func (d *Driver) openRoot(create bool) (*outputRoot, error) {
	if create {
		if err := makeRoot(d.config.Disk, d.config.Root); err != nil {
			return nil, fmt.Errorf("create output root %s: %w", d.config.Root, err)
		}
	}
	root, err := os.OpenRoot(d.config.Root)
	if err != nil {
		return nil, fmt.Errorf("open output root %s: %w", d.config.Root, err)
	}
	return &outputRoot{root: root, path: d.config.Root, disk: d.config.Disk, durable: &d.durable}, nil
}

// makeRoot creates the root and what is missing above it, durably.
func makeRoot(watch disk.Watch, path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeRoot(watch, parent); err != nil {
			return err
		}
	}
	if err := watch.Before(disk.Call{Op: disk.MakeFolder, Path: path}); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return watch.SyncFolder(parent)
}

func (o *outputRoot) close() { o.root.Close() }

func (o *outputRoot) absolute(name string) string { return filepath.Join(o.path, name) }

// makeFolder creates a folder and what is missing above it, and makes the new
// names durable.
func (o *outputRoot) makeFolder(folder string) error {
	if folder == "." {
		return nil
	}
	parent := filepath.Dir(folder)
	if err := o.makeFolder(parent); err != nil {
		return err
	}
	err := o.disk.Before(disk.Call{Op: disk.MakeFolder, Path: o.absolute(folder)})
	if err == nil {
		err = o.root.Mkdir(folder, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		return o.checkFolder(folder)
	}
	if err != nil {
		return o.explain("create folder", folder, err)
	}
	o.durable.forget(folder)
	return o.sync(parent)
}

// checkFolder refuses a path that exists and is no folder, and one that leads
// out of the root. A path that does not exist is fine.
func (o *outputRoot) checkFolder(folder string) error {
	for at := folder; at != "."; at = filepath.Dir(at) {
		info, err := o.root.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// A symlink to nowhere exists as a name and is no place for a folder.
			if _, err := o.root.Lstat(at); err == nil {
				return &sink.PathError{Path: o.absolute(at), Reason: "it is a symlink that leads nowhere"}
			}
			continue
		case errors.Is(err, syscall.ENOTDIR):
			continue // a parent is a file: found further up
		case err != nil:
			return o.explain("look at folder", at, err)
		case !info.IsDir():
			return &sink.PathError{Path: o.absolute(at), Reason: "it is a file, and a folder is needed there"}
		}
		return nil
	}
	return nil
}

// openFile opens or creates a file that is to be written.
func (o *outputRoot) openFile(name string, flag int) (*os.File, error) {
	if err := o.disk.Before(disk.Call{Op: disk.Open, Path: o.absolute(name)}); err != nil {
		return nil, err
	}
	return o.root.OpenFile(name, flag, 0o644)
}

// rename gives a file another name, which may be taken.
func (o *outputRoot) rename(from, to string) error {
	if err := o.disk.Before(disk.Call{Op: disk.Rename, Path: o.absolute(from), To: o.absolute(to)}); err != nil {
		return err
	}
	return o.root.Rename(from, to)
}

// sync makes the names in a folder durable.
func (o *outputRoot) sync(folder string) error {
	file, err := o.root.Open(folder)
	if err != nil {
		return o.explain("open folder", folder, err)
	}
	defer file.Close()
	if err := o.disk.Before(disk.Call{Op: disk.SyncFolder, Path: o.absolute(folder)}); err != nil {
		return fmt.Errorf("make folder %s durable: %w", o.absolute(folder), err)
	}
	if err := syncFolder(file); err != nil {
		return fmt.Errorf("make folder %s durable: %w", o.absolute(folder), err)
	}
	return nil
}

// remove removes a file. A missing file is fine.
func (o *outputRoot) remove(name string) error {
	err := o.disk.Before(disk.Call{Op: disk.Remove, Path: o.absolute(name)})
	if err == nil {
		err = o.root.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o.explain("remove", name, err)
	}
	return nil
}

// list gives the files of a folder whose names are wanted, as paths below the
// root. A missing folder has none.
func (o *outputRoot) list(folder string, wanted func(name string) bool) (found []string, err error) {
	const namesAtOnce = 1024
	file, err := o.root.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, o.explain("open folder", folder, err)
	}
	defer file.Close()
	for {
		entries, err := file.ReadDir(namesAtOnce)
		for _, entry := range entries {
			if wanted(entry.Name()) {
				found = append(found, filepath.Join(folder, entry.Name()))
			}
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, o.explain("list folder", folder, err)
		}
	}
}

// removeStaged removes the target's staging files from a folder, except keep. A
// missing folder is fine.
func (o *outputRoot) removeStaged(folder string, target sink.Target, keep string) error {
	// Names are collected first: removing while reading may skip some.
	found, err := o.list(folder, func(name string) bool {
		return staged(name, target) && filepath.Join(folder, name) != keep
	})
	if err != nil || len(found) == 0 || crashpoint.Broken(crashpoint.StagedStays) {
		return err
	}
	for _, name := range found {
		crashpoint.Reach(crashpoint.SinkRemoveBefore)
		if err := o.remove(name); err != nil {
			return err
		}
		crashpoint.Reach(crashpoint.SinkRemoveAfter)
	}
	return o.sync(folder)
}

// explain turns the operating system's word for a bad path into a PathError and
// says of every other error what was being done.
func (o *outputRoot) explain(doing, name string, err error) error {
	switch {
	case escapes(err):
		return &sink.PathError{Path: o.absolute(name), Reason: "a symlink leads out of the output root " + o.path}
	case errors.Is(err, syscall.ENOTDIR):
		return &sink.PathError{Path: o.absolute(name), Reason: "a part of it is a file, and a folder is needed there", Err: err}
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP):
		return &sink.PathError{Path: o.absolute(name), Reason: "the file system does not take it", Err: err}
	}
	return fmt.Errorf("%s %s: %w", doing, o.absolute(name), err)
}

// escapes recognises the refusal of os.Root, which has a text and no type.
func escapes(err error) bool {
	return err != nil && strings.Contains(err.Error(), "path escapes from parent")
}
