package ops

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// PluginName is the file's name, or its folder's where the file is just called
// plugin.py.
func PluginName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if folder := filepath.Base(filepath.Dir(path)); name == "plugin" && folder != "." && folder != string(filepath.Separator) {
		return folder
	}
	return name
}

// Sinks are the given ones, those of the plugin's MANIFEST for other topics, and,
// as a Sentinel does it, one for the topic `output`.
func Sinks(plugin string, given, manifest []protocol.Sink) []protocol.Sink {
	sinks := slices.Clone(given)
	usual := protocol.Sink{Topic: "output", URI: "parquet://" + plugin + "_output.parquet", Mode: "append"}
	for _, s := range append(manifest, usual) {
		if !slices.ContainsFunc(sinks, func(given protocol.Sink) bool { return given.Topic == s.Topic }) {
			sinks = append(sinks, s)
		}
	}
	return sinks
}

// Requirements are what a plugin's environment is built from: the given ones, or
// those of its script metadata, or pandas. The guest needs pyarrow.
func Requirements(given []string, source []byte) []string {
	wanted := given
	if len(wanted) == 0 {
		wanted = scriptRequirements(source)
	}
	if len(wanted) == 0 {
		wanted = []string{"pandas"}
	}
	for _, r := range wanted {
		if strings.EqualFold(requirementName.FindString(r), "pyarrow") {
			return wanted
		}
	}
	return append(append([]string(nil), wanted...), "pyarrow")
}

var (
	requirementName = regexp.MustCompile(`^[A-Za-z0-9._-]+`)
	scriptBlock     = regexp.MustCompile(`(?m)^# /// script\s*$((?:\n#(?: .*)?)+?)\n# ///\s*$`)
	scriptComment   = regexp.MustCompile(`(?m)^# ?`)
)

// scriptRequirements reads the inline script metadata of a Python file (PEP 723).
func scriptRequirements(source []byte) []string {
	block := scriptBlock.FindSubmatch(source)
	if block == nil {
		return nil
	}
	var metadata struct {
		Dependencies []string `toml:"dependencies"`
	}
	if err := toml.Unmarshal(scriptComment.ReplaceAll(block[1], nil), &metadata); err != nil {
		return nil
	}
	return metadata.Dependencies
}
