package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for a guest on a busy machine.
const patience = 3 * time.Minute

// newHost gives a host in a folder of its own. When the test ends nothing of its
// guests may be left: no socket, no process.
func newHost(t testing.TB, options Options) *Host {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	h, err := NewHost(patiently(options))
	if err != nil {
		t.Fatal(err)
	}
	careless(h)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the host: %v", err)
		}
		if sockets, _ := filepath.Glob(filepath.Join(options.Dir, socketPrefix+"*")); len(sockets) > 0 {
			t.Errorf("sockets are left: %v", sockets)
		}
	})
	return h
}

// patiently has a host wait as long as a test does, where the test says nothing else.
func patiently(options Options) Options {
	setDefault(&options.Limits.Connect, patience)
	setDefault(&options.Limits.Silence, patience)
	return options
}

// careless has a host keep warm interpreters however little memory the machine has.
func careless(h *Host) {
	if h.warm == nil {
		return
	}
	h.warm.mu.Lock()
	defer h.warm.mu.Unlock()
	h.warm.pressure = func() string { return "" }
}

// start starts a guest; at the end no process carries its marker.
func start(t testing.TB, h *Host, spec Spec) *Guest {
	t.Helper()
	if spec.Interpreter == "" {
		spec.Interpreter = parts.Python(t)
	}
	if spec.Plugin == "" {
		spec.Plugin = "example"
	}
	if spec.WorkDir == "" {
		spec.WorkDir = t.TempDir()
	}
	g, err := h.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("close the guest: %v", err)
		}
		noneLeft(t, g)
	})
	return g
}

func noneLeft(t testing.TB, g *Guest) {
	t.Helper()
	table, err := processTable()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range table {
		if !entry.ended && carriesMarker(entry.pid, g.process.Marker) {
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", entry.pid))
			t.Errorf("process %d is left: %q", entry.pid, command)
		}
	}
}

// outcome is everything that a guest published, and how it ended.
type outcome struct {
	topics  []string // of each batch
	uris    []string
	rows    []int64
	schemas []*arrow.Schema
	cells   []string // "column=[values]" of each column of each batch
	err     error
	guest   *Guest
}

func (o *outcome) total() (rows int64) {
	for _, n := range o.rows {
		rows += n
	}
	return rows
}

// collect takes all batches, acknowledging each.
func collect(t testing.TB, g *Guest) *outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := &outcome{guest: g}
	for {
		batch, err := g.Next(ctx)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("the guest does not end; it printed:\n%s", g.Output())
			}
			o.err = err
			return o
		}
		o.topics = append(o.topics, batch.Topic)
		o.uris = append(o.uris, batch.DefaultURI)
		o.rows = append(o.rows, batch.Record.NumRows())
		o.schemas = append(o.schemas, batch.Record.Schema())
		if batch.Record.NumRows() <= 10 {
			for i, column := range batch.Record.Columns() {
				o.cells = append(o.cells, fmt.Sprintf("%s=%s", strings.Clone(batch.Record.ColumnName(i)), column))
			}
		}
		batch.Record.Release()
		if err := g.Acknowledge(batch.Serial); err != nil {
			t.Fatal(err)
		}
	}
}

// runPlugin runs a source to its end under default limits.
func runPlugin(t testing.TB, source string) *outcome {
	t.Helper()
	return collect(t, start(t, newHost(t, Options{}), Spec{Source: []byte(source)}))
}

func (o *outcome) mustSucceed(t testing.TB) *outcome {
	t.Helper()
	if o.err != io.EOF {
		t.Fatalf("the guest failed: %v\nit printed:\n%s", o.err, o.guest.Output())
	}
	return o
}

func (o *outcome) mustRaise(t testing.TB) *PluginError {
	t.Helper()
	var raised *PluginError
	if !errors.As(o.err, &raised) {
		t.Fatalf("want a PluginError, got %v\nit printed:\n%s", o.err, o.guest.Output())
	}
	return raised
}

func (o *outcome) mustFail(t testing.TB, kind Kind) *GuestError {
	t.Helper()
	var failed *GuestError
	if !errors.As(o.err, &failed) || failed.Kind != kind {
		t.Fatalf("want a GuestError %q, got %v\nit printed:\n%s", kind, o.err, o.guest.Output())
	}
	return failed
}

// mustContain compares texts loosely: every part occurs.
func mustContain(t testing.TB, text string, wanted ...string) {
	t.Helper()
	for _, part := range wanted {
		if !strings.Contains(text, part) {
			t.Errorf("want %q in:\n%s", part, text)
		}
	}
}

// eventually waits for a condition that nothing signals.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
