//go:build unix

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// The examples are run as their README says, in the machine's own Python.
func TestExamplesRunLocally(t *testing.T) {
	t.Parallel()
	examples := filepath.Join(parts.Root(t), "examples")
	weather := filepath.Join(examples, "nyc-weather", "weather.csv")
	for _, c := range []struct {
		plugin string
		sinks  []string
		rows   map[string]int // by topic
	}{
		{"nyc-weather", []string{"hourly", "daily"}, map[string]int{"hourly": 26115, "daily": 1092}},
		{"pyarrow", nil, map[string]int{"output": 26115}},
		{"polars", []string{"windy"}, map[string]int{"windy": 3 * 12 * 3}},
		{"minimal", nil, map[string]int{"output": 1}},
	} {
		t.Run(c.plugin, func(t *testing.T) {
			t.Parallel()
			site := harness.NewSite(t, nil, harness.Options{})
			plugin := filepath.Join(examples, c.plugin, "plugin.py")
			arguments := []string{"local", plugin, weather, "--system", "--output", site.Output, "--venvs-dir", site.Venvs}
			for _, topic := range c.sinks {
				arguments = append(arguments, "--sink", topic+"=parquet://"+topic+".parquet")
			}
			stdout, stderr, code := site.Command(arguments...)
			if code != 0 {
				t.Fatalf("status %d:\n%s%s", code, stdout, stderr)
			}
			files := site.Files()
			if len(files) != len(c.rows) {
				t.Fatalf("files %q, want %d", files, len(c.rows))
			}
			for topic, want := range c.rows {
				file := fileOf(t, files, topic)
				if !strings.Contains(stdout, file) {
					t.Errorf("the result does not name %s:\n%s", file, stdout)
				}
				rows := harness.CheckFile(t, harness.Comparison{
					Plugin: plugin, Input: weather, Topic: topic, File: filepath.Join(site.Output, file), JobID: 1, FileVersionID: 1,
				})
				if rows != want {
					t.Errorf("topic %s: the comparison was with %d rows, want %d", topic, rows, want)
				}
			}
			site.CheckNothingLeft()
		})
	}
}

func fileOf(t *testing.T, files []string, topic string) string {
	t.Helper()
	for _, file := range files {
		if strings.Contains(file, topic) {
			return file
		}
	}
	t.Fatalf("no file for topic %s among %q", topic, files)
	return ""
}

func TestLocalTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	site := harness.NewSite(t, nil, harness.Options{})
	input := site.Input("data.json", "{}")
	for _, c := range []struct {
		name      string
		arguments []string
		words     []string
	}{
		{"a plugin that raises", []string{harness.PluginPath(t, "raises"), input, "--system"}, []string{"ValueError", "»Menge«"}},
		{"a plugin that is not there", []string{"nowhere.py", input, "--system"}, []string{"nowhere.py"}},
		{"an input that is not there", []string{harness.PluginPath(t, "bare"), "nowhere.csv", "--system"}, []string{"nowhere.csv"}},
		{"no input", []string{harness.PluginPath(t, "bare")}, []string{"INPUT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			arguments := append([]string{"local", "--output", site.Output, "--venvs-dir", site.Venvs}, c.arguments...)
			stdout, stderr, code := site.Command(arguments...)
			if code == 0 {
				t.Errorf("status 0:\n%s%s", stdout, stderr)
			}
			for _, word := range c.words {
				if !strings.Contains(stdout+stderr, word) {
					t.Errorf("%q is not said:\n%s%s", word, stdout, stderr)
				}
			}
			if entries, err := os.ReadDir(site.Output); err != nil || len(entries) != 0 {
				t.Errorf("something was written: %v %v", entries, err)
			}
		})
	}
	site.CheckNothingLeft()
}
