package ops

import (
	"slices"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/protocol"
)

func TestRequirementsOfAPlugin(t *testing.T) {
	const script = "# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\n#   \"polars>=1\",  # fast\n#   'PyArrow',\n# ]\n# ///\nclass Handler: pass\n"
	for name, c := range map[string]struct {
		given  []string
		source string
		want   []string
	}{
		"given":            {[]string{"duckdb", "pyarrow==26"}, script, []string{"duckdb", "pyarrow==26"}},
		"given, no Arrow":  {[]string{"duckdb"}, "", []string{"duckdb", "pyarrow"}},
		"script metadata":  {nil, script, []string{"polars>=1", "PyArrow"}},
		"broken metadata":  {nil, "# /// script\n# dependencies = [\n# ///\n", []string{"pandas", "pyarrow"}},
		"nothing is named": {nil, "class Handler: pass\n", []string{"pandas", "pyarrow"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Requirements(c.given, []byte(c.source)); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSinksOfAPlugin(t *testing.T) {
	python := parts.Python(t)
	const plugin = `
from casparian_flow.sdk import PluginMetadata
MANIFEST = PluginMetadata(pattern="*", sinks={"daily": "parquet://daily.parquet", "hourly": "parquet://h.parquet"})
raise SystemExit("never run")
`
	named, err := ManifestSinks(t.Context(), python, []byte(plugin))
	if err != nil {
		t.Fatal(err)
	}
	given := []protocol.Sink{{Topic: "hourly", URI: "parquet://mine.parquet", Mode: "append"}}
	want := []protocol.Sink{
		{Topic: "hourly", URI: "parquet://mine.parquet", Mode: "append"},
		{Topic: "daily", URI: "parquet://daily.parquet", Mode: "append"},
		{Topic: "output", URI: "parquet://weather_output.parquet", Mode: "append"},
	}
	got := Sinks("weather", given, named)
	if !slices.EqualFunc(got, want, func(a, b protocol.Sink) bool { return a.Topic == b.Topic && a.URI == b.URI && a.Mode == b.Mode }) {
		t.Errorf("got %v, want %v", got, want)
	}

	for name, source := range map[string]string{"no manifest": "x = 1", "not Python": "class (", "computed": "MANIFEST = make(sinks=all_of_them())"} {
		t.Run(name, func(t *testing.T) {
			if named, err := ManifestSinks(t.Context(), python, []byte(source)); err != nil || len(named) != 0 {
				t.Errorf("got %v, %v", named, err)
			}
		})
	}
}

func TestPluginsAreNamedByTheirFile(t *testing.T) {
	for path, want := range map[string]string{"a/sales.py": "sales", "nyc-weather/plugin.py": "nyc-weather", "plugin.py": "plugin"} {
		if got := PluginName(path); got != want {
			t.Errorf("%s is named %q, want %q", path, got, want)
		}
	}
}
