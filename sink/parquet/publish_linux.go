package parquet

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// publishNew gives the staged file its final name in the same folder, and fails
// with fs.ErrExist when the name is taken. It is one atomic step where the file
// system has RENAME_NOREPLACE, else a link and a removal.
func (o *outputRoot) publishNew(staging, final string) error {
	folder, err := o.root.Open(filepath.Dir(final))
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := o.disk.Before(disk.Call{Op: disk.Rename, Path: o.absolute(staging), To: o.absolute(final)}); err != nil {
		return err
	}
	at := int(folder.Fd())
	err = unix.Renameat2(at, filepath.Base(staging), at, filepath.Base(final), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return o.linkNew(staging, final)
	}
	if err != nil {
		return &fs.PathError{Op: "rename to", Path: o.absolute(final), Err: err}
	}
	return nil
}
