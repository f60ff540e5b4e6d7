package parquet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// Commit publishes a sealed file: see [sink.Driver]. It fails with
//
//   - [*sink.TokenError] when the token is not of this target, or empty,
//   - [*sink.ExistsError] when Mode Error finds the name taken,
//   - [*sink.DamageError] when the staged file is not what was sealed,
//   - [*sink.LostError] when it is gone and was not published.
func (d *Driver) Commit(ctx context.Context, target sink.Target, token sink.Token) (sink.Artifact, error) {
	if err := ctx.Err(); err != nil {
		return sink.Artifact{}, err
	}
	loc, err := d.checkTarget(target)
	if err != nil {
		return sink.Artifact{}, err
	}
	t, err := parseSealed(token)
	if err != nil {
		return sink.Artifact{}, err
	}
	staging, err := ownStaging(t.Staging, loc, target)
	if err != nil {
		return sink.Artifact{}, err
	}
	if t.Final != filepath.ToSlash(loc.final) {
		return sink.Artifact{}, &sink.TokenError{Reason: fmt.Sprintf("it is for %q and the output is %q", t.Final, filepath.ToSlash(loc.final))}
	}
	root, err := d.openRoot(false)
	if errors.Is(err, fs.ErrNotExist) {
		return sink.Artifact{}, d.lost(staging, loc)
	}
	if err != nil {
		return sink.Artifact{}, err
	}
	defer root.close()
	if err := d.publish(root, target, loc, staging, t); err != nil {
		return sink.Artifact{}, err
	}
	// Also when the name was there already: the process that made it may have died
	// before it was durable.
	if err := root.syncUpwards(loc.folder); err != nil {
		return sink.Artifact{}, err
	}
	crashpoint.Reach(crashpoint.SinkNamedAfter)
	return sink.Artifact{Topic: target.Topic, URI: d.artifactURI(loc.final)}, nil
}

// publish brings the staged file under its final name, or finds that this was
// done before.
func (d *Driver) publish(root *outputRoot, target sink.Target, loc location, staging string, t sealed) error {
	ours, err := root.isSealed(staging, t)
	if errors.Is(err, fs.ErrNotExist) {
		return d.published(root, target, loc, staging, t)
	}
	if err != nil {
		return err
	}
	if !ours {
		return &sink.DamageError{Path: root.absolute(staging), Reason: "it is not what was sealed"}
	}
	info, err := root.root.Lstat(loc.final)
	if err == nil && info.IsDir() {
		return &sink.PathError{Path: root.absolute(loc.final), Reason: "it is a folder, and a file is to be written there"}
	}
	if target.Mode != sink.Error || d.earlier(loc, target) {
		crashpoint.Reach(crashpoint.SinkPublishBefore)
		if err := root.rename(staging, loc.final); err != nil {
			return root.explain("rename "+root.absolute(staging)+" to", loc.final, err)
		}
		crashpoint.Reach(crashpoint.SinkPublishAfter)
		return nil
	}
	err = root.publishNew(staging, loc.final)
	if errors.Is(err, fs.ErrExist) {
		// A crash between link and removal leaves the file under both names.
		if ours, err := root.isSealed(loc.final, t); err == nil && ours {
			return root.remove(staging)
		}
		return &sink.ExistsError{Path: root.absolute(loc.final)}
	}
	if err != nil {
		return root.explain("publish", loc.final, err)
	}
	return nil
}

// published tells whether a sealed file that is staged no more was published.
func (d *Driver) published(root *outputRoot, target sink.Target, loc location, staging string, t sealed) error {
	ours, err := root.isSealed(loc.final, t)
	if errors.Is(err, fs.ErrNotExist) {
		return d.lost(staging, loc)
	}
	if err != nil {
		return err
	}
	if ours {
		return nil
	}
	// In mode replace another job may have taken the place since. The folder looks
	// then as it would had this Commit come first, which is all that is promised.
	if target.Mode == sink.Replace {
		owner, err := d.owner(root, loc.final)
		if err == nil && owner != "" && owner != strconv.FormatUint(target.JobID, 10) {
			return nil
		}
	}
	return d.lost(staging, loc)
}

func (d *Driver) lost(staging string, loc location) error {
	return &sink.LostError{Staging: filepath.Join(d.config.Root, staging), Final: filepath.Join(d.config.Root, loc.final)}
}

// isSealed tells whether a file is the one that was sealed, by its size and its
// footer.
func (o *outputRoot) isSealed(name string, t sealed) (bool, error) {
	info, err := o.root.Lstat(name)
	if err != nil {
		return false, o.explain("look at", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() != t.Size {
		return false, nil
	}
	footer, err := o.footer(name, info.Size(), t.FooterLength)
	return err == nil && digest(footer) == t.Footer, err
}

func (o *outputRoot) footer(name string, size, length int64) ([]byte, error) {
	file, err := o.root.Open(name)
	if err != nil {
		return nil, o.explain("open", name, err)
	}
	defer file.Close()
	footer := make([]byte, length)
	if _, err := file.ReadAt(footer, size-length); err != nil {
		return nil, o.explain("read footer of", name, err)
	}
	return footer, nil
}

// owner is the job that a published file says it is from, "" when it says none.
func (d *Driver) owner(root *outputRoot, name string) (string, error) {
	info, err := root.root.Lstat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() < tailLength {
		return "", nil
	}
	tail, err := root.footer(name, info.Size(), tailLength)
	if err != nil {
		return "", err
	}
	length, ok := footerLength(tail, info.Size())
	if !ok {
		return "", nil
	}
	footer, err := root.footer(name, info.Size(), length)
	if err != nil {
		return "", err
	}
	entries, err := rowgroup.ReadKeyValues(footer)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Key == keyJobID {
			return e.Value, nil
		}
	}
	return "", nil
}

// Abandon removes the staging files of the target, of all its attempts and of
// earlier generations: see [sink.Driver]. Folders stay, also those made for
// them: other jobs may be about to use them.
func (d *Driver) Abandon(ctx context.Context, target sink.Target) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	loc, err := d.locate(target)
	if err != nil {
		return err
	}
	root, err := d.openRoot(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.close()
	return root.removeStaged(loc.folder, target, "")
}

// Retract removes a published file: see [sink.Driver]. A missing one is fine; a
// URI that leads out of the output root is a [*sink.PathError].
func (d *Driver) Retract(ctx context.Context, artifactURI string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	final, err := d.publishedPath(artifactURI)
	if err != nil {
		return err
	}
	root, err := d.openRoot(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.close()
	info, err := root.root.Lstat(final)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return root.explain("look at", final, err)
	}
	if info.IsDir() {
		return &sink.PathError{Path: artifactURI, Reason: "it is a folder, and artifacts are files"}
	}
	if err := root.remove(final); err != nil {
		return err
	}
	return root.sync(filepath.Dir(final))
}
