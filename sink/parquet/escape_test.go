//go:build unix

package parquet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/casparian-flow/casparian-worker/sink"
)

// rootWithEscape is an output root with folders, a way out, and ways in.
func rootWithEscape(t *testing.T) (d *Driver, outside string) {
	t.Helper()
	outside = t.TempDir()
	d = newDriver(t, Config{})
	root := d.config.Root
	for _, folder := range []string{"real", "deep/er"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"out":         outside,
		"up":          "../..",
		"deep/er/out": outside,
		"in":          "real",
		"loop":        "loop",
		"nowhere":     "missing",
		"chain":       "out",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return d, outside
}

func TestSymlinksOutOfTheRootAreRefused(t *testing.T) {
	driver, outside := rootWithEscape(t)
	for _, uri := range []string{
		"parquet://out/a.parquet", "parquet://out", "parquet://out/new/a.parquet", "parquet://up/a.parquet",
		"parquet://deep/er/out/a.parquet", "parquet://chain/a.parquet", "parquet://loop/a.parquet",
		"parquet://nowhere/a.parquet", "parquet://file/a.parquet", "parquet://file/x/a.parquet",
	} {
		var refused *sink.PathError
		if err := driver.Check(target(uri)); !errors.As(err, &refused) {
			t.Errorf("Check(%s): %v", uri, err)
		}
		if _, err := driver.Open(t.Context(), target(uri), nil); !errors.As(err, &refused) {
			t.Errorf("Open(%s): %v", uri, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside of the root: %v, %v", entries, err)
	}
}

func TestASymlinkInsideTheRootIsFollowed(t *testing.T) {
	driver, _ := rootWithEscape(t)
	path := publish(t, driver, target("parquet://in/a.parquet"), ints(0, 3))
	wantNumbers(t, path, 3)
	if _, err := os.Stat(filepath.Join(driver.config.Root, "real", "a_7.parquet")); err != nil {
		t.Error(err)
	}
}

// TestAFolderSwappedForASymlink: whoever can write to the output root cannot
// redirect a job that is under way, neither its staging nor its commit.
func TestAFolderSwappedForASymlink(t *testing.T) {
	driver, outside := rootWithEscape(t)
	to := target("parquet://real/a.parquet")
	real, moved := filepath.Join(driver.config.Root, "real"), filepath.Join(driver.config.Root, "moved")
	swap := func() {
		t.Helper()
		if err := os.Rename(real, moved); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, real); err != nil {
			t.Fatal(err)
		}
	}
	var refused *sink.PathError

	writer := open(t, driver, to, nil)
	swap()
	write(t, writer, ints(0, 3))
	if _, err := tryFlush(t, writer); !errors.As(err, &refused) {
		t.Errorf("a row group into a swapped folder: %v", err)
	}
	if _, err := writer.Seal(t.Context()); !errors.As(err, &refused) {
		t.Errorf("Seal after that: %v", err)
	}

	if err := errors.Join(os.Remove(real), os.Rename(moved, real)); err != nil {
		t.Fatal(err)
	}
	writer = open(t, driver, to, nil)
	write(t, writer, ints(0, 3))
	token := seal(t, writer)
	swap()
	if _, err := driver.Commit(t.Context(), to, token); !errors.As(err, &refused) {
		t.Errorf("Commit into a swapped folder: %v", err)
	}
	if err := driver.Abandon(t.Context(), to); !errors.As(err, &refused) {
		t.Errorf("Abandon in a swapped folder: %v", err)
	}
	if err := driver.Retract(t.Context(), driver.artifactURI("real/a_7.parquet")); !errors.As(err, &refused) {
		t.Errorf("Retract in a swapped folder: %v", err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside of the root: %v, %v", entries, err)
	}
}

// TestAPlantedStagingName: a symlink under the staging file's own name is
// removed, and what it leads to is left alone.
func TestAPlantedStagingName(t *testing.T) {
	driver, _ := rootWithEscape(t)
	to := target("parquet://a.parquet")
	victim := filepath.Join(driver.config.Root, "file")
	if err := os.Symlink("file", filepath.Join(driver.config.Root, stagingName(to))); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, publish(t, driver, to, ints(0, 3)), 3)
	if content, err := os.ReadFile(victim); err != nil || string(content) != "x" {
		t.Errorf("the file behind the planted name: %q, %v", content, err)
	}
}
