package ops

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load reads a configuration as the daemon does.
func load(t *testing.T, args ...string) (Config, map[string]string, error) {
	t.Helper()
	var config Config
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Bind(flags, &config)
	if err := flags.Parse(args); err != nil {
		return config, nil, err
	}
	options, err := Load(flags, &config)
	origins := map[string]string{}
	for _, o := range options {
		origins[o.Flag] = o.Origin
	}
	return config, origins, err
}

func TestFlagBeatsVariableBeatsDefault(t *testing.T) {
	t.Setenv("CASPARIAN_CONNECT", "tcp://sentinel:5555")
	t.Setenv("CASPARIAN_PLUGINS", "a, b,,c")
	t.Setenv("CASPARIAN_DRAIN_TIMEOUT", "90s")
	t.Setenv("CASPARIAN_VENVS_MAX", "1.5GiB")
	config, origins, err := load(t, "--plugins", "x", "--concurrency=3")
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]struct{ value, origin string }{
		"connect":       {"tcp://sentinel:5555", "variable CASPARIAN_CONNECT"},
		"plugins":       {"x", "flag --plugins"},
		"concurrency":   {"3", "flag --concurrency"},
		"drain-timeout": {"1m30s", "variable CASPARIAN_DRAIN_TIMEOUT"},
		"venvs-max":     {"1.5GiB", "variable CASPARIAN_VENVS_MAX"},
		"compression":   {"snappy", "default"},
	} {
		if got := config.Value(VariableOf(flag)); got != want.value || origins[flag] != want.origin {
			t.Errorf("%s = %q by %q, want %q by %q", flag, got, origins[flag], want.value, want.origin)
		}
	}
}

func TestWrongValuesAreRefusedByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--connect", ""}, {"--connect", "127.0.0.1:5555"}, {"--connect", "tcp://*:5555"}, {"--connect", "tcp://host"},
		{"--connect", "http://host:1"}, {"--connect", "ipc://"}, {"--connect", "tcp://127.0.0.1:5555,host"}, {"--plugins", "a,*"}, {"--concurrency", "-1"},
		{"--concurrency", "many"}, {"--output", file}, {"--state-dir", file}, {"--worker-id", strings.Repeat("x", 256)},
		{"--compression", "brotli"}, {"--row-group-rows", "0"}, {"--row-group-bytes", "1KiB"}, {"--max-frame", "1"},
		{"--max-frame", "5GiB"}, {"--venvs-max", "-1"}, {"--venvs-max", "much"}, {"--heartbeat", "0"}, {"--heartbeat", "5"},
		{"--build-timeout", "0"}, {"--job-timeout", "-1s"}, {"--log-level", "loud"}, {"--log-format", "xml"},
		{"--guest-shim", "/nowhere/shim.py"}, {"--max-crashes", "0"}, {"--max-message", "1"},
		{"--lanes", "-1"}, {"--lanes", "257"}, {"--artifact-check", "maybe"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			config, _, err := load(t, append([]string{"--connect", "tcp://127.0.0.1:5555"}, args...)...)
			if err == nil {
				err = errors.Join(config.Resolve(), config.Check())
			}
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), strings.TrimPrefix(args[0], "--")) {
				t.Errorf("the message does not name the option: %v", err)
			}
		})
	}
	t.Run("a variable", func(t *testing.T) {
		t.Setenv("CASPARIAN_ROW_GROUP_ROWS", "many")
		if _, _, err := load(t); err == nil || !strings.Contains(err.Error(), "CASPARIAN_ROW_GROUP_ROWS") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheDefaultsNeedOnlyAnAddress(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	config, _, err := load(t, "--connect", "tcp://[::1]:5555")
	if err := errors.Join(err, config.Resolve(), config.Check()); err != nil {
		t.Fatal(err)
	}
	if config.Concurrency < 1 || !filepath.IsAbs(config.Output) {
		t.Errorf("got %+v", config)
	}
}

func TestSizesAndTimesReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "17": 17, "64KiB": 64 << 10, "1.5GiB": 3 << 29, "10MB": 10_000_000, "2 TiB": 2 << 40} {
		var got, again Size
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q gives %d, %v", text, got, err)
		}
		if err := again.Set(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q, which reads %d", text, got, again)
		}
	}
	for text, want := range map[string]string{"5m": "5m", "24h": "24h", "90s": "1m30s", "250ms": "250ms", "0": "0s", "10s": "10s"} {
		var p Period
		if err := p.Set(text); err != nil || p.String() != want {
			t.Errorf("%q is written %q, %v", text, p, err)
		}
	}
}

// The README is where people look an option up.
func TestTheReadmeNamesEveryOption(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var config Config
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Bind(flags, &config)
	options, err := Load(flags, &config)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		def := "–"
		if o.Default != "" {
			def = "`" + o.Default + "`"
		}
		flag := "–"
		if o.Flag != "" {
			flag = "`--" + o.Flag + "`"
		}
		if row := "| " + flag + " | `" + o.Variable + "` | " + def + " | " + o.Help + " |"; !strings.Contains(string(readme), row+"\n") {
			t.Errorf("missing or out of date in README.md:\n%s", row)
		}
	}
}

func TestTheIdentityStays(t *testing.T) {
	dir := t.TempDir()
	first, err := Identity(dir, "")
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	if again, err := Identity(dir, ""); err != nil || again != first {
		t.Errorf("then %q, %v; it was %q", again, err, first)
	}
	if given, err := Identity(dir, "line-4"); err != nil || given != "line-4" {
		t.Errorf("given: %q, %v", given, err)
	}
	if kept, err := Identity(dir, ""); err != nil || kept != "line-4" {
		t.Errorf("kept: %q, %v", kept, err)
	}
}

func TestSinceIsASpanOrATime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "2026-02-28": time.Date(2026, 2, 28, 0, 0, 0, 0, time.Local),
		"2026-02-28T08:30:00": time.Date(2026, 2, 28, 8, 30, 0, 0, time.Local),
	} {
		if got, err := ParseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q gives %s, %v", text, got, err)
		}
	}
	if _, err := ParseSince("yesterday", now); err == nil {
		t.Error("yesterday is taken")
	}
}
