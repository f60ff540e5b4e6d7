package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"casparian-worker": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// The command line, as a person types it. The scripts are in testdata/script.
func TestCommandLine(t *testing.T) {
	python := parts.Python(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(python)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			// The names of sockets must be short.
			temporary, err := os.MkdirTemp("", "cw-")
			if err != nil {
				return err
			}
			env.Defer(func() {
				if left, _ := os.ReadDir(temporary); len(left) > 0 {
					t.Errorf("left behind in the temporary folder: %v", left)
				}
				os.RemoveAll(temporary)
			})
			env.Setenv("TMPDIR", temporary)
			return nil
		},
	})
}
