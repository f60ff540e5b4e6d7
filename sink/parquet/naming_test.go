package parquet

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/sink"
)

// TestNaming: where a job's file lands.
func TestNaming(t *testing.T) {
	driver := newDriver(t, Config{})
	for _, c := range []struct {
		name, uri string
		mode      sink.Mode
		want      string
	}{
		{"a file", "parquet://a.parquet", sink.Append, "a_7.parquet"},
		{"a file in folders", "parquet://a/b/c.parquet", sink.Append, "a/b/c_7.parquet"},
		{"leading slashes", "parquet:///a.parquet", sink.Append, "a_7.parquet"},
		{"many leading slashes", "parquet:////a//b.parquet", sink.Append, "a/b_7.parquet"},
		{"no suffix is a folder", "parquet://a", sink.Append, "a/data_7.parquet"},
		{"no suffix below folders", "parquet://a/b", sink.Append, "a/b/data_7.parquet"},
		{"a slash at the end is a folder", "parquet://a.d/", sink.Append, "a.d/data_7.parquet"},
		{"another suffix", "parquet://a.pq", sink.Append, "a_7.pq"},
		{"the last of two suffixes", "parquet://a.tar.gz", sink.Append, "a.tar_7.gz"},
		{"a hidden name has no suffix", "parquet://.hidden", sink.Append, ".hidden/data_7.parquet"},
		{"a dot at the end is no suffix", "parquet://a.", sink.Append, "a./data_7.parquet"},
		{"single dots", "parquet://./a/./b.parquet", sink.Append, "a/b_7.parquet"},
		{"spaces", "parquet://my dir/my file.parquet", sink.Append, "my dir/my file_7.parquet"},
		{"encoded spaces", "parquet://my%20dir/my%20file.parquet", sink.Append, "my dir/my file_7.parquet"},
		{"umlauts", "parquet://größe.parquet", sink.Append, "größe_7.parquet"},
		{"a lone per cent", "parquet://100%.parquet", sink.Append, "100%_7.parquet"},
		{"an encoded slash", "parquet://a%2Fb.parquet", sink.Append, "a/b_7.parquet"},
		{"an option", "parquet://a.parquet?compression=zstd", sink.Append, "a_7.parquet"},
		{"mode error", "parquet://a.parquet", sink.Error, "a_7.parquet"},
		{"mode left out", "parquet://a.parquet", "", "a_7.parquet"},
		{"mode replace", "parquet://a/b.parquet", sink.Replace, "a/b.parquet"},
		{"mode replace without a suffix", "parquet://a/b", sink.Replace, "a/b/data.parquet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := target(c.uri)
			to.Mode = c.mode
			if err := driver.Check(to); err != nil {
				t.Fatal(err)
			}
			loc, err := driver.locate(to)
			if err != nil {
				t.Fatal(err)
			}
			if got := filepath.ToSlash(loc.final); got != c.want {
				t.Errorf("%s lands in %s, want %s", c.uri, got, c.want)
			}
			if filepath.Dir(loc.staging) != filepath.Dir(loc.final) {
				t.Errorf("%s is staged in %s", c.uri, loc.staging)
			}
			if back, err := driver.publishedPath(driver.artifactURI(loc.final)); err != nil || back != loc.final {
				t.Errorf("%s comes back as %q, %v", driver.artifactURI(loc.final), back, err)
			}
		})
	}
	wantFiles(t, driver) // Check and locate create nothing
	if _, err := os.Stat(driver.config.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the output root was created: %v", err)
	}
}

func TestArtifactURIIsPercentEncoded(t *testing.T) {
	root := filepath.Join(t.TempDir(), "out put")
	driver := newDriver(t, Config{Root: root})
	got := driver.artifactURI(filepath.Join("a#b", "100% ü_7.parquet"))
	want := "parquet://" + sink.Quote(filepath.ToSlash(root)) + "/a%23b/100%25%20%C3%BC_7.parquet"
	if runtime.GOOS != "windows" && got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !strings.HasPrefix(got, "parquet:///") {
		t.Errorf("%s is not absolute", got)
	}
}

// TestRefusedTargets: what can never be written is refused by Check and by Open,
// with an error that says what it is about.
func TestRefusedTargets(t *testing.T) {
	driver := newDriver(t, Config{})
	path := func(err error) bool { var e *sink.PathError; return errors.As(err, &e) }
	option := func(name string) func(error) bool {
		return func(err error) bool { var e *sink.OptionError; return errors.As(err, &e) && e.Option == name }
	}
	for _, c := range []struct {
		name, uri string
		mode      sink.Mode
		is        func(error) bool
	}{
		{"up and out", "parquet://../a.parquet", "", path},
		{"up and out of a folder", "parquet://a/../../b.parquet", "", path},
		{"up and in again", "parquet://a/../b.parquet", "", path},
		{"up behind slashes", "parquet:///../a.parquet", "", path},
		{"up at the end", "parquet://a/..", "", path},
		{"encoded", "parquet://%2e%2e/a.parquet", "", path},
		{"half encoded", "parquet://.%2E%2fa.parquet", "", path},
		{"NUL", "parquet://a%00.parquet", "", path},
		{"raw NUL", "parquet://a\x00.parquet", "", path},
		{"nothing", "parquet://", "", path},
		{"only slashes", "parquet:////", "", path},
		{"only a dot", "parquet://.", "", path},
		{"fragment", "parquet://a#b.parquet", "", path},
		{"long name", "parquet://" + strings.Repeat("x", 250) + ".parquet", "", path},
		{"long folder", "parquet://" + strings.Repeat("x", 256) + "/a.parquet", "", path},
		{"unknown option", "parquet://a.parquet?effort=3", "", option("effort")},
		{"unknown codec", "parquet://a.parquet?compression=lzo", "", option("compression")},
		{"codec twice", "parquet://a.parquet?compression=zstd&compression=gzip", "", option("compression")},
		{"unknown mode", "parquet://a.parquet", "merge", option("mode")},
		{"another scheme", "s3://a.parquet", "", func(err error) bool { var e *sink.UnknownSchemeError; return errors.As(err, &e) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := target(c.uri)
			to.Mode = c.mode
			if err := driver.Check(to); !c.is(err) {
				t.Errorf("Check(%q): %v", c.uri, err)
			}
			if _, err := driver.Open(t.Context(), to, nil); !c.is(err) {
				t.Errorf("Open(%q): %v", c.uri, err)
			}
		})
	}
	big := target("parquet://a.parquet")
	big.JobID = 1 << 63
	var job *sink.JobIDError
	if err := driver.Check(big); !errors.As(err, &job) || job.JobID != 1<<63 {
		t.Errorf("job id 2^63: %v", err)
	}
}

func TestNewRefusesAWrongConfig(t *testing.T) {
	var option *sink.OptionError
	if _, err := New(Config{Root: "x", Compression: "lzo"}); !errors.As(err, &option) || option.Value != "lzo" {
		t.Errorf("compression lzo: %v", err)
	}
	if _, err := New(Config{Root: "x", RowGroupRows: -1}); !errors.As(err, &option) {
		t.Errorf("-1 rows: %v", err)
	}
	var path *sink.PathError
	if _, err := New(Config{}); !errors.As(err, &path) {
		t.Errorf("no root: %v", err)
	}
}

func TestStagedKnowsItsOwnFiles(t *testing.T) {
	mine := target("parquet://a.parquet")
	mine.Generation, mine.Attempt = 3, 2
	with := func(change func(*sink.Target)) string {
		other := mine
		change(&other)
		return stagingName(other)
	}
	for name, want := range map[string]bool{
		stagingName(mine): true,
		with(func(o *sink.Target) { o.Attempt = 9 }):                 true,
		with(func(o *sink.Target) { o.Generation = 1 }):              true,
		with(func(o *sink.Target) { o.Generation = 4 }):              false,
		with(func(o *sink.Target) { o.JobID = 77 }):                  false,
		with(func(o *sink.Target) { o.Topic = "x" }):                 false,
		with(func(o *sink.Target) { o.URI = "parquet://b.parquet" }): false,
		"a_7.parquet":             false,
		stagingName(mine) + "x":   false,
		"x" + stagingName(mine):   false,
		".casparian-7-3-2-.part":  false,
		".casparian-7-x-2-0.part": false,
	} {
		if got := staged(name, mine); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
