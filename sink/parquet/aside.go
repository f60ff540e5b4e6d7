package parquet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/sink"
)

// A staged file that nobody can go on with is set aside: it gets the suffix of a
// file that no attempt looks at, and stays hidden. Of each folder the newest few
// are kept.
const (
	stagedSuffix = ".part"
	asideSuffix  = ".aside"
	mostAside    = 8
)

// SetAside renames the staging files of the target, of all its attempts and of
// earlier generations: see [sink.Driver].
func (d *Driver) SetAside(ctx context.Context, target sink.Target) (places []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	loc, err := d.locate(target)
	if err != nil {
		return nil, err
	}
	root, err := d.openRoot(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.close()
	names, err := root.list(loc.folder, func(name string) bool { return staged(name, target) })
	if err != nil || len(names) == 0 {
		return nil, err
	}
	for _, name := range names {
		aside := strings.TrimSuffix(name, stagedSuffix) + asideSuffix
		if err := root.rename(name, aside); err != nil {
			return places, root.explain("set aside", name, err)
		}
		places = append(places, root.absolute(aside))
	}
	if err := root.trimAside(loc.folder); err != nil {
		return places, err
	}
	return places, root.sync(loc.folder)
}

// trimAside removes all but the newest files that were set aside in a folder.
func (o *outputRoot) trimAside(folder string) error {
	names, err := o.list(folder, func(name string) bool {
		whole, is := strings.CutSuffix(name, asideSuffix)
		return is && stagingPattern.MatchString(whole+stagedSuffix)
	})
	if err != nil || len(names) <= mostAside {
		return err
	}
	written := make(map[string]time.Time, len(names))
	for _, name := range names {
		if info, err := o.root.Lstat(name); err == nil {
			written[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return written[b].Compare(written[a]) })
	for _, name := range names[mostAside:] {
		if err := o.remove(name); err != nil {
			return fmt.Errorf("remove the oldest of %d files that were set aside in %s: %w", len(names), filepath.Join(o.path, folder), err)
		}
	}
	return nil
}
