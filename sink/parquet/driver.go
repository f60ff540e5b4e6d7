// Package parquet is the sink driver for parquet:// URIs: one Parquet file per
// job and output, below one output root.
//
// Rows are encoded into a hidden file in the folder of the final one, and
// published by a rename. Read naming.go for what lands where, encoder.go for
// the seam between encoding and assembling, writer.go for the way of a batch,
// and docs/sinks.md for the rules that a user sees.
package parquet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
)

// The defaults suit a worker that stays small: a row group in the making takes
// its encoded bytes in memory, and on its first rows its plain ones.
const (
	DefaultCompression   = "snappy"
	DefaultRowGroupRows  = 256 << 10
	DefaultRowGroupBytes = 32 << 20
)

// Config says how a driver writes.
type Config struct {
	// Root is the output root: every file is below it. A relative path is taken
	// from the current folder when the driver is made. It is created when the
	// first file is.
	Root string
	// Compression is the codec of URIs that name none: snappy, zstd, gzip, lz4 or
	// none. Empty means snappy.
	Compression string
	// RowGroupRows and RowGroupBytes end a row group, whichever is reached first.
	// The bytes are those of the plain values before encoding. 0 means the default.
	RowGroupRows  int64
	RowGroupBytes int64
	// WorkerVersion goes into every file's metadata.
	WorkerVersion string
	// Disk sees every call that changes a file before it is made; nil is the disk
	// as it is.
	Disk disk.Watch
}

// Driver writes Parquet files. It keeps nothing open between calls, and remembers
// only which folders are durable.
type Driver struct {
	config    Config
	createdBy string // of every file's metadata
	durable   durableFolders
}

var _ sink.Driver = (*Driver)(nil)

// New makes a driver. A wrong compression is an [*sink.OptionError].
func New(config Config) (*Driver, error) {
	if config.Root == "" {
		return nil, &sink.PathError{Path: config.Root, Reason: "the output root is empty"}
	}
	root, err := filepath.Abs(config.Root)
	if err != nil {
		return nil, fmt.Errorf("output root %s: %w", config.Root, err)
	}
	config.Root = root
	if config.Compression == "" {
		config.Compression = DefaultCompression
	}
	if !slices.Contains(codecNames, config.Compression) {
		return nil, &sink.OptionError{Option: optionCompression, Value: config.Compression, Reason: "not a possible value", Known: codecNames}
	}
	if config.RowGroupRows < 0 || config.RowGroupBytes < 0 {
		return nil, &sink.OptionError{Option: "row group", Value: fmt.Sprintf("%d rows, %d bytes", config.RowGroupRows, config.RowGroupBytes),
			Reason: "must not be negative"}
	}
	if config.RowGroupRows == 0 {
		config.RowGroupRows = DefaultRowGroupRows
	}
	if config.RowGroupBytes == 0 {
		config.RowGroupBytes = DefaultRowGroupBytes
	}
	createdBy := "casparian-worker version " + config.WorkerVersion
	if config.WorkerVersion == "" {
		createdBy += "unknown"
	}
	return &Driver{config: config, createdBy: createdBy}, nil
}

// Check refuses what cannot be written: see [sink.Driver]. It creates nothing.
func (d *Driver) Check(target sink.Target) error {
	loc, err := d.checkTarget(target)
	if err != nil {
		return err
	}
	root, err := d.openRoot(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing can be in the way
	}
	if err != nil {
		return err
	}
	defer root.close()
	return d.checkPlace(root, loc, target)
}

// checkTarget is the part of Check that needs no disk.
func (d *Driver) checkTarget(target sink.Target) (location, error) {
	if target.JobID > math.MaxInt64 {
		return location{}, &sink.JobIDError{JobID: target.JobID}
	}
	return d.locate(target)
}

// checkPlace looks at what is where the output shall be.
func (d *Driver) checkPlace(root *outputRoot, loc location, target sink.Target) error {
	if err := root.checkFolder(loc.folder); err != nil {
		return err
	}
	info, err := root.root.Lstat(loc.final)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return root.explain("look at", loc.final, err)
	case info.IsDir():
		return &sink.PathError{Path: root.absolute(loc.final), Reason: "it is a folder, and a file is to be written there"}
	case target.Mode == sink.Error && !d.earlier(loc, target):
		return &sink.ExistsError{Path: root.absolute(loc.final)}
	}
	return nil
}

// earlier tells whether the final name is taken by an earlier generation of the
// same job.
func (d *Driver) earlier(loc location, target sink.Target) bool {
	return slices.ContainsFunc(target.Earlier, func(artifact string) bool {
		path, err := d.publishedPath(artifact)
		return err == nil && path == loc.final
	})
}

// Open begins or resumes a staged file: see [sink.Driver]. A token of another
// target, or of other options, is a [*sink.TokenError], a staged file that does not
// match its token a [*sink.DamageError].
func (d *Driver) Open(ctx context.Context, target sink.Target, resume sink.Token) (sink.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	loc, err := d.checkTarget(target)
	if err != nil {
		return nil, err
	}
	if !emptyToken(resume) {
		return d.reopen(target, loc, resume)
	}
	root, err := d.openRoot(true)
	if err != nil {
		return nil, err
	}
	defer root.close()
	if err := d.checkPlace(root, loc, target); err != nil {
		return nil, err
	}
	// The very first attempt has nothing to clean up, and need not list a folder
	// that may hold very many files.
	if target.Generation > 1 || target.Attempt > 1 {
		if err := root.removeStaged(loc.folder, target, ""); err != nil {
			return nil, err
		}
	}
	return newWriter(d, target, loc, loc.staging), nil
}

func (d *Driver) reopen(target sink.Target, loc location, resume sink.Token) (sink.Writer, error) {
	token, err := parseFlushed(resume)
	if err != nil {
		return nil, err
	}
	staging, err := ownStaging(token.Staging, loc, target)
	if err != nil {
		return nil, err
	}
	if token.Encoding != loc.encoding.fingerprint() {
		return nil, &sink.TokenError{Reason: "the rows so far were written with other options (compression, row groups and the like)"}
	}
	root, err := d.openRoot(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &sink.DamageError{Path: filepath.Join(d.config.Root, staging), Reason: "it is missing, with the output root"}
	}
	if err != nil {
		return nil, err
	}
	defer root.close()
	if err := d.checkPlace(root, loc, target); err != nil {
		return nil, err
	}
	file, err := root.reopen(staging)
	if err != nil {
		return nil, err
	}
	writer := newWriter(d, target, loc, staging)
	if err := writer.resume(d.config.Disk.Over(file), token); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := root.removeStaged(loc.folder, target, staging); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return writer, nil
}

// ownStaging checks that a token's path is a staging file of this very target.
func ownStaging(slashed string, loc location, target sink.Target) (string, error) {
	staging, err := filepath.Localize(slashed)
	if err != nil || filepath.Dir(staging) != loc.folder || !staged(filepath.Base(staging), target) {
		return "", &sink.TokenError{Reason: fmt.Sprintf("its file %q is not one of this output's", slashed)}
	}
	return staging, nil
}

// create makes the staged file when its first row group is there.
func (d *Driver) create(staging string) (*disk.File, error) {
	root, err := d.openRoot(true)
	if err != nil {
		return nil, err
	}
	defer root.close()
	file, err := root.stage(staging)
	if err != nil {
		return nil, err
	}
	return d.config.Disk.Over(file), nil
}

func (d *Driver) syncNames(folder string) error {
	root, err := d.openRoot(false)
	if err != nil {
		return err
	}
	defer root.close()
	return root.syncUpwards(folder)
}
