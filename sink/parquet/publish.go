package parquet

// linkNew publishes by a hard link, which never takes another file's place.
func (o *outputRoot) linkNew(staging, final string) error {
	if err := o.root.Link(staging, final); err != nil {
		return err
	}
	return o.root.Remove(staging)
}
