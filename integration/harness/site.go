//go:build unix

package harness

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// siteVariable marks every process that a site's worker starts: its value is the
// site's folder.
const siteVariable = "CASPARIAN_TEST_SITE"

// Options say how a site's worker is started. The zero value suits most tests.
type Options struct {
	// Plugins are the worker's capabilities. [Plugin] puts its plugin there.
	Plugins []string
	// Concurrency is the number of jobs at once, 0 for the worker's default.
	Concurrency int
	// Lanes is the number of lanes, 0 for one: a story has one worker in the Sentinel's
	// eyes, unless it is about lanes.
	Lanes int
	// Connect is the address that the worker dials, empty for the Sentinel's own.
	Connect string
	// WorkerID is empty for one that the worker makes up and keeps.
	WorkerID string
	// Folder is where the site is laid out; empty for the temporary folder.
	Folder string
	// Plain runs the binary as it ships, without the race detector.
	Plain bool
	// Arguments are more flags.
	Arguments []string
	// Environment is more variables, NAME=value.
	Environment []string
}

// Site is one worker's place: folders that stay when the worker is killed.
type Site struct {
	State, Venvs, Output, Temp string

	t        testing.TB
	root     string
	sentinel *Sentinel
	options  Options
	runs     int
}

// NewSite lays out an empty site for a worker of a Sentinel.
func NewSite(t testing.TB, sentinel *Sentinel, options Options) *Site {
	t.Helper()
	// Not t.TempDir, which has the test's name in it: the path of a socket ends at
	// about 100 bytes.
	root, err := os.MkdirTemp(options.Folder, "site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	// The real path: an artifact's URI names it, and a Mac's temporary folder lies
	// behind a symbolic link.
	root, err = filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{
		State: filepath.Join(root, "state"), Venvs: filepath.Join(root, "venvs"),
		Output: filepath.Join(root, "output"), Temp: filepath.Join(root, "tmp"),
		t: t, root: root, sentinel: sentinel, options: options,
	}
	for _, folder := range []string{s.Venvs, s.Output, s.Temp, s.path("input")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *Site) path(elements ...string) string {
	return filepath.Join(append([]string{s.root}, elements...)...)
}

// Environ is the environment of every process that runs at the site: the real
// parts come first on PATH, so that the environment `system` has pyarrow and
// pandas, and no CASPARIAN variable of the outside gets in.
func (s *Site) Environ() []string {
	s.t.Helper()
	var environ []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "CASPARIAN_"), strings.HasPrefix(name, "BRIDGE_"), name == "TMPDIR", name == "PATH":
		default:
			environ = append(environ, variable)
		}
	}
	environ = append(environ,
		"PATH="+parts.Bin(s.t)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"TMPDIR="+s.Temp,
		"UV_CACHE_DIR="+filepath.Join(parts.Root(s.t), ".tools", "uv-cache"),
		siteVariable+"="+s.root,
		"PYTHONDONTWRITEBYTECODE=1",
	)
	return append(environ, s.options.Environment...)
}

// Flags are the flags of a worker at this site.
func (s *Site) Flags() []string {
	s.t.Helper()
	flags := []string{
		"--connect", cmp.Or(s.options.Connect, s.sentinel.Endpoint),
		"--output", s.Output, "--state-dir", s.State, "--venvs-dir", s.Venvs,
		"--uv", parts.UV(s.t), "--lanes", fmt.Sprint(max(s.options.Lanes, 1)),
		"--checkpoint-every", "0", // jobs of tests are short
		"--guest-connect-timeout", Patience.String(), "--reattach", Patience.String(), // machines of tests are slow
		// Three times the usual: a machine that stands still is no Sentinel that is gone,
		// and a heartbeat is mostly the answer to a test that asks for one.
		"--heartbeat", "30s",
	}
	if len(s.options.Plugins) > 0 {
		flags = append(flags, "--plugins", strings.Join(s.options.Plugins, ","))
	}
	if s.options.Concurrency > 0 {
		flags = append(flags, "--concurrency", fmt.Sprint(s.options.Concurrency))
	}
	if s.options.WorkerID != "" {
		flags = append(flags, "--worker-id", s.options.WorkerID)
	}
	return append(flags, s.options.Arguments...)
}

// SetLanes changes the number of lanes of the next start.
func (s *Site) SetLanes(lanes int, arguments ...string) {
	s.options.Lanes, s.options.Arguments = lanes, arguments
}

// Input writes an input file of a job and returns its path.
func (s *Site) Input(name, content string) string {
	s.t.Helper()
	path := s.path("input", name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Files lists the files under the output folder, relative to it, in order.
// Folders are not listed; what is staged is.
func (s *Site) Files() []string {
	s.t.Helper()
	var files []string
	err := filepath.WalkDir(s.Output, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return nil
		}
		relative, err := filepath.Rel(s.Output, path)
		files = append(files, relative)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// Plugin reads one of the plugins in integration/testdata/plugins.
func Plugin(t testing.TB, name string) string {
	t.Helper()
	source, err := os.ReadFile(PluginPath(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// PluginPath is the file of a test plugin.
func PluginPath(t testing.TB, name string) string {
	t.Helper()
	return script(t, "testdata", "plugins", name+".py")
}
