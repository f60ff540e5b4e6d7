//go:build !linux

package parquet

// publishNew gives the staged file its final name, and fails with fs.ErrExist
// when the name is taken. It is a link and a removal: between the two the file
// has both names, which a repeated Commit puts right.
func (o *outputRoot) publishNew(staging, final string) error {
	return o.linkNew(staging, final)
}
