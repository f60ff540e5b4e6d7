package sink_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/casparian-flow/casparian-worker/sink"
)

// nowhere is a driver that is only told apart.
type nowhere struct{ name string }

func (nowhere) Check(sink.Target) error { return nil }
func (nowhere) Open(context.Context, sink.Target, sink.Token) (sink.Writer, error) {
	return nil, errors.ErrUnsupported
}
func (nowhere) Commit(context.Context, sink.Target, sink.Token) (sink.Artifact, error) {
	return sink.Artifact{}, errors.ErrUnsupported
}
func (nowhere) Abandon(context.Context, sink.Target) error              { return nil }
func (nowhere) SetAside(context.Context, sink.Target) ([]string, error) { return nil, nil }
func (nowhere) Retract(context.Context, string) error                   { return nil }

func TestRegistryChoosesByScheme(t *testing.T) {
	registry := sink.NewRegistry()
	registry.Register("parquet", nowhere{"files"})
	registry.Register("postgres", nowhere{"tables"})
	for uri, want := range map[string]string{
		"parquet://a/b.parquet":   "files",
		"PARQUET://a/b.parquet":   "files",
		"postgres://host/db?x=1":  "tables",
		"parquet://":              "files",
		"parquet:///absolute#odd": "files",
	} {
		driver, err := registry.For(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if got := driver.(nowhere).name; got != want {
			t.Errorf("%s goes to %s, want %s", uri, got, want)
		}
	}
}

func TestRegistryNamesTheSchemesItKnows(t *testing.T) {
	registry := sink.NewRegistry()
	registry.Register("sqlite", nowhere{})
	registry.Register("parquet", nowhere{})
	for uri, scheme := range map[string]string{
		"s3://bucket/key":     "s3",
		"out.parquet":         "",
		"":                    "",
		"://x":                "",
		"9p://x":              "",
		"parquet:/one/slash":  "",
		"par quet://x":        "",
		"parquet2://x":        "parquet2",
		"x/parquet://inside":  "",
		"C:\\out\\rows://odd": "",
	} {
		_, err := registry.For(uri)
		var unknown *sink.UnknownSchemeError
		if !errors.As(err, &unknown) {
			t.Errorf("%q: %v", uri, err)
			continue
		}
		if unknown.Scheme != scheme || !reflect.DeepEqual(unknown.Known, []string{"parquet", "sqlite"}) {
			t.Errorf("%q: scheme %q, known %v", uri, unknown.Scheme, unknown.Known)
		}
	}
}

func TestRegistryRefusesMistakesOfTheProgram(t *testing.T) {
	registry := sink.NewRegistry()
	registry.Register("parquet", nowhere{})
	for name, scheme := range map[string]string{"taken": "Parquet", "empty": "", "with slashes": "x://"} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("scheme %q was registered", scheme)
				}
			}()
			registry.Register(scheme, nowhere{})
		})
	}
}
