package ops

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/protocol/sentinel"
)

// examine gives the findings by what they are about.
func examine(t *testing.T, config Config) (map[string]Finding, bool) {
	t.Helper()
	if err := config.Resolve(); err != nil {
		t.Fatal(err)
	}
	found := map[string]Finding{}
	healthy := Examine(t.Context(), config, func(f Finding) {
		if f.What == "sentinel" {
			address, _, _ := strings.Cut(f.Detail, ": ")
			f.What = address
		}
		found[f.What] = f
	})
	return found, healthy
}

func TestTheDoctor(t *testing.T) {
	python := parts.Python(t)
	server, err := sentinel.Listen(sentinel.Config{Listen: "tcp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})

	home := t.TempDir()
	good := func(t *testing.T) Config {
		config, _, err := load(t, "--connect", server.Endpoint(), "--plugins", "sales",
			"--state-dir", filepath.Join(home, "state"), "--output", filepath.Join(home, "out", "deep"), "--venvs-dir", home,
			"--uv", filepath.Join(filepath.Dir(python), "uv"), "--python", python)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	found, healthy := examine(t, good(t))
	for what, f := range found {
		// How much room this machine has is no business of the test.
		if f.Verdict != Good && !strings.Contains(f.Detail, " free") {
			t.Errorf("%s: %s %s", what, f.Verdict, f.Detail)
		}
	}
	if !healthy || len(found) != 9 {
		t.Errorf("healthy: %v, findings: %v", healthy, slices.Sorted(maps.Keys(found)))
	}
	if left, err := os.ReadDir(home); err != nil || len(left) != 0 {
		t.Errorf("it left %v", left)
	}

	key := write(t, "key", "secret")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	nobody := "tcp://127.0.0.1:1"
	elsewhere := "tcp://192.0.2.1:port" // that nobody dials
	for _, c := range []struct {
		name string
		edit func(*Config)
		what string
		want Verdict
		says string
	}{
		{"no plugins", func(c *Config) { c.Plugins = nil }, "plugins", Warn, "none are listed"},
		{"a wrong option", func(c *Config) { c.Compression = "brotli" }, "configuration", Bad, "--compression"},
		{"a file for a folder", func(c *Config) { c.Output = key }, "output folder", Bad, "is not a folder"},
		{"no uv", func(c *Config) { c.UV = "/nowhere/uv" }, "uv", Bad, "/nowhere/uv"},
		{"no python", func(c *Config) { c.Python = "/nowhere/python" }, "python", Warn, "'system' will fail"},
		{"nobody there", func(c *Config) { c.Connect = List{nobody} }, nobody, Bad, "unreachable"},
		{"one of two is there", func(c *Config) { c.Connect = append(List{nobody}, c.Connect...) }, nobody, Warn, "unreachable"},
		{"an open link", func(c *Config) { c.Connect = List{elsewhere} }, "security", Warn, "--curve-server-key"},
		{"an open link where CURVE must be", func(c *Config) { c.Connect, c.RequireCurve = List{elsewhere}, true }, "security", Bad, "--curve-server-key"},
		{"a secret that others can read", func(c *Config) { c.PlainUsername, c.PlainFile = "w", key }, "security", Warn, "chmod 600"},
		{"a Sentinel without CURVE", func(c *Config) { c.CurveServerKey = strings.Repeat("HelloWorld", 4) }, server.Endpoint(), Bad, "security"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good(t)
			c.edit(&config)
			found, healthy := examine(t, config)
			if f := found[c.what]; f.Verdict != c.want || !strings.Contains(f.Detail, c.says) {
				t.Errorf("%s: %q %s", c.what, f.Verdict, f.Detail)
			}
			if c.want == Bad && healthy {
				t.Error("it is healthy all the same")
			}
		})
	}
}
