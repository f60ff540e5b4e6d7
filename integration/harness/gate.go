//go:build unix

package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Gate is a place at which a plugin stops and tells the test that it is there.
// The plugin's side is stand_at in integration/testdata/plugins/frames.py.
type Gate struct {
	t                testing.TB
	folder           string
	reached, release *os.File
}

// NewGate makes a closed gate.
func NewGate(t testing.TB) *Gate {
	t.Helper()
	g := &Gate{t: t, folder: t.TempDir()}
	open := func(name string) *os.File {
		path := filepath.Join(g.folder, name)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatalf("make pipe %s: %v", path, err)
		}
		// Open at both ends: nobody waits for the other side to open it, and what is
		// written stays until it is read.
		file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	g.reached, g.release = open("reached"), open("release")
	return g
}

// MarshalJSON gives the plugin the gate's folder.
func (g *Gate) MarshalJSON() ([]byte, error) { return json.Marshal(g.folder) }

// AwaitReached waits until a plugin stands at the gate. Each arrival counts once.
func (g *Gate) AwaitReached() {
	g.t.Helper()
	if err := g.reached.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.reached.Read(make([]byte, 1)); err != nil {
		g.t.Fatalf("no plugin came to the gate: %v", err)
	}
}

// LetOne lets one plugin pass, which may come later.
func (g *Gate) LetOne() {
	g.t.Helper()
	if _, err := g.release.Write([]byte{1}); err != nil {
		g.t.Fatal(err)
	}
}

// Open lets everybody who comes from now on pass, and at most one who waits.
func (g *Gate) Open() {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.folder, "open"), nil, 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.LetOne()
}

// Folder is what the plugin must be told.
func (g *Gate) Folder() string { return g.folder }
