//go:build unix

package venv

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// uvDouble stands in front of the real uv: a script that runs this test binary
// in the role "uv", which tells the test what it is asked, and then does as the
// test says: becomes the real uv, says something and ends, or just stays.
type uvDouble struct {
	path     string // to be given as Config.UV
	listener net.Listener
	answer   func(arguments []string) *answer // nil: hold the call

	held chan *heldCall // the calls that are not answered, for the test to look at

	mu    sync.Mutex
	calls map[string]int // by sub-command
}

// answer is what a call of uv is to do.
type answer struct {
	Run    bool   // become the real uv
	Print  string // or say this
	Status int    // and end with this
}

var runRealUV = &answer{Run: true}

// heldCall is a uv that waits. Its connection ends when the process does.
type heldCall struct {
	connection net.Conn
	arguments  []string
}

const (
	doubleSocket = "CASPARIAN_TEST_SOCKET"
	doubleReal   = "CASPARIAN_TEST_REAL_UV"
)

func init() { roles["uv"] = playUV }

// playUV is the other side, in the process that the worker takes for uv.
func playUV() int {
	connection, err := net.Dial("unix", os.Getenv(doubleSocket))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	if err := json.NewEncoder(connection).Encode(os.Args[1:]); err != nil {
		return 70
	}
	var a answer
	if err := json.NewDecoder(connection).Decode(&a); err != nil {
		return 70 // the test is over
	}
	if a.Run {
		real := os.Getenv(doubleReal)
		for _, name := range []string{roleVariable, doubleSocket, doubleReal} {
			_ = os.Unsetenv(name)
		}
		fmt.Fprintln(os.Stderr, syscall.Exec(real, append([]string{"uv"}, os.Args[1:]...), os.Environ()))
		return 70
	}
	fmt.Fprint(os.Stderr, a.Print)
	return a.Status
}

func newUVDouble(t *testing.T, decide func(arguments []string) *answer) *uvDouble {
	t.Helper()
	folder, err := os.MkdirTemp("", "uvd") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexport %s=uv %s=%s %s=%s\nexec %s \"$@\"\n", roleVariable,
		doubleSocket, listener.Addr(), doubleReal, strconv.Quote(parts.UV(t)), strconv.Quote(self))
	double := &uvDouble{path: filepath.Join(folder, "uv"), listener: listener, answer: decide,
		held: make(chan *heldCall, 16), calls: map[string]int{}}
	if err := os.WriteFile(double.path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(double.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		served.Wait()
		close(double.held)
		for call := range double.held {
			_ = call.connection.Close()
		}
		_ = os.RemoveAll(folder)
	})
	return double
}

func (d *uvDouble) serve() {
	for {
		connection, err := d.listener.Accept()
		if err != nil {
			return
		}
		call := &heldCall{connection: connection}
		_ = connection.SetDeadline(time.Now().Add(patience))
		if err := json.NewDecoder(connection).Decode(&call.arguments); err != nil || len(call.arguments) == 0 {
			_ = connection.Close()
			continue
		}
		d.mu.Lock()
		d.calls[call.arguments[0]]++
		d.mu.Unlock()
		if a := d.answer(call.arguments); a != nil {
			_ = json.NewEncoder(connection).Encode(a)
			_ = connection.Close()
			continue
		}
		d.held <- call
	}
}

// count is how often uv was asked for a sub-command.
func (d *uvDouble) count(subcommand string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[subcommand]
}

// next is the next call that is held.
func (d *uvDouble) next(t *testing.T) *heldCall {
	t.Helper()
	call := d.within(t, patience)
	if call == nil {
		t.Fatal("uv was never asked")
	}
	return call
}

// within is next for no longer than so; nil when none came.
func (d *uvDouble) within(t *testing.T, so time.Duration) *heldCall {
	t.Helper()
	select {
	case call := <-d.held:
		t.Cleanup(func() { _ = call.connection.Close() })
		return call
	case <-time.After(so):
		return nil
	}
}

// proceed lets a held call become the real uv.
func (c *heldCall) proceed(t *testing.T) {
	t.Helper()
	if err := json.NewEncoder(c.connection).Encode(runRealUV); err != nil {
		t.Fatal(err)
	}
}

// gone waits for the end of a held call's process.
func (c *heldCall) gone(t *testing.T) {
	t.Helper()
	if _, err := c.connection.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the process of uv %v is still there: %v", c.arguments, err)
	}
}

// hold holds the calls of one sub-command, and lets the others run.
func hold(subcommand string) func([]string) *answer {
	return func(arguments []string) *answer {
		if arguments[0] == subcommand {
			return nil
		}
		return runRealUV
	}
}

// withDouble puts the double into a store's config.
func withDouble(d *uvDouble) func(*Config) { return func(c *Config) { c.UV = d.path } }
