package parquet

import "github.com/casparian-flow/casparian-worker/ops/disk"

// linkNew publishes by a hard link, which never takes another file's place.
func (o *outputRoot) linkNew(staging, final string) error {
	if err := o.disk.Before(disk.Call{Op: disk.Link, Path: o.absolute(staging), To: o.absolute(final)}); err != nil {
		return err
	}
	if err := o.root.Link(staging, final); err != nil {
		return err
	}
	return o.remove(staging)
}
