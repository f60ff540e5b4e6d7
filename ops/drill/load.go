package drill

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Load is what the workers of a drill are given to do: one job for each input.
type Load struct {
	Name   string
	Source []byte
	Inputs []string // absolute paths
	Sinks  []protocol.Sink
	// EnvHash names the environment. "system" is the machine's own Python.
	EnvHash string
	// RowGroupRows cuts row groups; 0 leaves it to the configuration.
	RowGroupRows int64
	// Own is a load of the drill itself, which must pass every crash point.
	Own bool
}

// LoadNames are the drill's own loads.
var LoadNames = []string{"single", "two-sinks", "nested", "jobs"}

//go:embed loads/*.py
var loadFiles embed.FS

// smallJobs is how many jobs the load "jobs" has.
const smallJobs = 20

// ownLoad gives one of the drill's own loads. Its inputs are written to folder.
func ownLoad(name, folder string) (*Load, error) {
	source, err := loadFiles.ReadFile(path.Join("loads", name+".py"))
	if err != nil {
		return nil, fmt.Errorf("there is no load %q; there are %s", name, strings.Join(LoadNames, ", "))
	}
	load := &Load{Name: name, Source: source, EnvHash: venv.System, RowGroupRows: 100, Own: true}
	jobs := 1
	switch name {
	case "jobs":
		jobs = smallJobs
	case "two-sinks":
		load.RowGroupRows = 60
		for _, topic := range []string{"left", "right"} {
			load.Sinks = append(load.Sinks, protocol.Sink{Topic: topic, URI: "parquet://sides/" + topic + ".parquet", Mode: "append"})
		}
	}
	load.Sinks = ops.Sinks(name, load.Sinks, nil)
	for n := range jobs {
		input := filepath.Join(folder, fmt.Sprintf("%s-%d.txt", name, n+1))
		if err := os.WriteFile(input, []byte(strconv.Itoa(1000*n)), 0o600); err != nil {
			return nil, err
		}
		load.Inputs = append(load.Inputs, input)
	}
	return load, nil
}

// Plugin is an installation's own plugin, to be drilled on its own data.
type Plugin struct {
	Path         string
	Inputs       []string
	Requirements []string // as for `local`
	System       bool     // the machine's own Python instead of a built environment
	Sinks        []protocol.Sink
}

// load makes a load of a plugin. It builds the plugin's environment, in the folder
// where a worker of the same configuration finds it.
func (p *Plugin) load(ctx context.Context, config ops.Config, progress func(string)) (*Load, string, error) {
	source, err := os.ReadFile(p.Path)
	if err != nil {
		return nil, "", fmt.Errorf("read the plugin: %w", err)
	}
	load := &Load{Name: ops.PluginName(p.Path), Source: source, EnvHash: venv.System}
	for _, input := range p.Inputs {
		input, err := filepath.Abs(input)
		if err != nil {
			return nil, "", err
		}
		if _, err := os.Stat(input); err != nil {
			return nil, "", fmt.Errorf("input: %w", err)
		}
		load.Inputs = append(load.Inputs, input)
	}
	environments, err := openEnvironments(config, progress)
	if err != nil {
		return nil, "", err
	}
	var environment venv.Environment
	if p.System {
		environment, err = environments.Lookup(load.EnvHash)
	} else {
		requirements := ops.Requirements(p.Requirements, source)
		progress("resolving " + strings.Join(requirements, ", "))
		var lockfile string
		if lockfile, err = venv.Lock(ctx, config.UV, requirements, ""); err != nil {
			return nil, "", err
		}
		load.EnvHash = venv.HashLockfile(lockfile)
		environment, _, err = environments.Build(ctx, venv.Spec{Hash: load.EnvHash, Lockfile: lockfile})
	}
	if err != nil {
		return nil, "", err
	}
	named, err := ops.ManifestSinks(ctx, environment.Interpreter, source)
	if err != nil {
		return nil, "", err
	}
	load.Sinks = ops.Sinks(load.Name, slices.Clone(p.Sinks), named)
	return load, environment.Interpreter, nil
}

func openEnvironments(config ops.Config, progress func(string)) (*venv.Store, error) {
	if err := os.MkdirAll(config.VenvsDir, 0o755); err != nil {
		return nil, err
	}
	return ops.OpenEnvironments(config, "drill", func(_, line string) { progress(line) })
}

// dispatch is the job of the load's n-th input (from 0).
func (l *Load) dispatch(n int) protocol.Dispatch {
	return protocol.Dispatch{
		PluginName: l.Name, FilePath: l.Inputs[n], FileVersionID: int64(n + 1),
		Sinks: l.Sinks, EnvHash: l.EnvHash, SourceCode: string(l.Source),
	}
}
