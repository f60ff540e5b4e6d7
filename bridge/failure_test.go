package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAPluginThatRaises(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source, kind string
		message, traceback []string
	}{
		{"an exception in consume", `
class Handler:
    def consume(self, event):
        yield {"a": [1]}
        self.helper(0)
    def helper(self, n):
        return 1 / n  # the line that fails
`, "ZeroDivisionError", []string{"division by zero"}, []string{`File "<plugin example>", line 7, in helper`, "return 1 / n  # the line that fails"}},
		{"an exception with a cause", `
class Handler:
    def consume(self, event):
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("no key") from error
`, "ValueError", []string{"no key"}, []string{"KeyError: 'key'", "direct cause"}},
		{"an exception of the plugin's own", `
class TooCold(Exception): pass
class Handler:
    def consume(self, event): raise TooCold("-40")
`, "TooCold", []string{"-40"}, []string{"TooCold: -40"}},
		{"a syntax error", "class Handler:\n    def consume(self, event)\n        return 1\n", "SyntaxError", nil, []string{`File "<plugin example>", line 2`, "def consume(self, event)"}},
		{"an import that is missing", "import no_such_package_anywhere\n", "ModuleNotFoundError", []string{"no_such_package_anywhere"}, []string{"line 1"}},
		{"sys.exit(0)", "import sys\nclass Handler:\n    def consume(self, event):\n        yield {'a': [1]}\n        sys.exit(0)\n", "SystemExit", []string{"the plugin called sys.exit(0)"}, []string{"line 5"}},
		{"sys.exit while loading", "raise SystemExit\n", "SystemExit", []string{"the plugin called sys.exit()"}, nil},
		{"KeyboardInterrupt", "class Handler:\n    def consume(self, event): raise KeyboardInterrupt\n", "KeyboardInterrupt", nil, nil},
		{"endless recursion", "class Handler:\n    def consume(self, event): return self.consume(event)\n", "RecursionError", nil, []string{"times"}},
		{"a message of a megabyte", "class Handler:\n    def consume(self, event): raise ValueError('größe' * 1_000_000)\n", "ValueError", []string{"größegröße"}, nil},
		{"a message that cannot be made", "class Bad(Exception):\n    def __str__(self): raise TypeError\nclass Handler:\n    def consume(self, event): raise Bad\n", "Bad", []string{"cannot be shown"}, nil},
		{"lone surrogates", "class Handler:\n    def consume(self, event): raise ValueError('\\udcff')\n", "ValueError", []string{"\uFFFD"}, nil},
		{"NUL bytes in the source", "class Handler: pass\x00", "SyntaxError", []string{"null bytes"}, nil},
	}
	h := newHost(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, h, Spec{Source: []byte(test.source)}))
			raised := o.mustRaise(t)
			if raised.Type != test.kind {
				t.Errorf("type %s, want %s", raised.Type, test.kind)
			}
			mustContain(t, raised.Message, test.message...)
			mustContain(t, raised.Traceback, test.traceback...)
			if strings.Contains(raised.Traceback, "casparian_guest") {
				t.Errorf("the traceback shows the shim's own frames:\n%s", raised.Traceback)
			}
		})
	}
}

// A process that goes away without the end frame has failed, whatever its status.
func TestAGuestThatVanishes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, status, hint string }{
		{"os._exit(0)", "import os\nclass Handler:\n    def consume(self, event):\n        yield {'a': [1]}\n        print('last words')\n        os._exit(0)\n", "exit status 0", "os._exit"},
		{"kill -9", "import os\nclass Handler:\n    def consume(self, event):\n        yield {'a': [1]}\n        print('last words')\n        os.kill(os.getpid(), 9)\n", "signal: killed", "memory"},
		{"a crash in native code", "import ctypes\nclass Handler:\n    def consume(self, event):\n        yield {'a': [1]}\n        print('last words')\n        ctypes.string_at(0)\n", "signal: segmentation fault", "crashed"},
		{"a child keeps the connection", `
import os, time
class Handler:
    def consume(self, event):
        yield {'a': [1]}
        print('last words')
        import ctypes
        if ctypes.CDLL(None).fork() == 0:  # past Python, so that the socket stays open in the child
            time.sleep(3600)
        os._exit(7)
`, "exit status 7", ""},
	}
	h := newHost(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, h, Spec{Source: []byte(test.source)}))
			failed := o.mustFail(t, EndedEarly)
			if failed.ExitStatus != test.status || !strings.Contains(failed.Hint, test.hint) {
				t.Errorf("status %q, hint %q", failed.ExitStatus, failed.Hint)
			}
			mustContain(t, failed.Output, "last words")
			if o.total() != 1 {
				t.Errorf("%d rows came before, want 1", o.total())
			}
		})
	}
}

func TestAGuestThatNeverConnects(t *testing.T) {
	t.Parallel()
	script := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "interpreter")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("it waits", func(t *testing.T) {
		h := newHost(t, Options{Limits: Limits{Connect: 300 * time.Millisecond}})
		o := collect(t, start(t, h, Spec{Interpreter: script(t, "exec sleep 3600")}))
		mustContain(t, o.mustFail(t, ConnectTimeout).Error(), "300ms")
	})
	t.Run("it waits, and said why", func(t *testing.T) {
		g := start(t, newHost(t, Options{}), Spec{Interpreter: script(t, "echo waiting; exec sleep 3600")})
		eventually(t, "it says so", func() bool { return strings.Contains(g.Output(), "waiting") })
		_ = g.listener.Close() // as the limit does
		mustContain(t, collect(t, g).mustFail(t, ConnectTimeout).Output, "waiting")
	})
	t.Run("it ends", func(t *testing.T) {
		h := newHost(t, Options{})
		o := collect(t, start(t, h, Spec{Interpreter: script(t, "echo wrong Python >&2; exit 3")}))
		failed := o.mustFail(t, EndedEarly)
		mustContain(t, failed.Output, "wrong Python")
		mustContain(t, failed.Error(), "before it connected", "exit status 3")
	})
	t.Run("it does not exist", func(t *testing.T) {
		h := newHost(t, Options{})
		_, err := h.Start(t.Context(), Spec{Interpreter: "/nowhere/python"})
		var failed *GuestError
		if !errors.As(err, &failed) || failed.Kind != StartFailed || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		mustContain(t, err.Error(), "/nowhere/python", "not there")
	})
}

func TestTimeLimits(t *testing.T) {
	t.Parallel()
	t.Run("silence", func(t *testing.T) {
		g := start(t, newHost(t, Options{}), Spec{Source: []byte("import time\nclass Handler:\n    def consume(self, event):\n        yield {'a': [1]}\n        time.sleep(3600)\n")})
		first, err := g.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first.Record.Release()
		limitSilence(g, 300*time.Millisecond)
		mustContain(t, collect(t, g).mustFail(t, SilenceTimeout).Error(), "300ms")
	})
	t.Run("the whole job", func(t *testing.T) {
		h := newHost(t, Options{Limits: Limits{Total: 3 * time.Second}})
		o := collect(t, start(t, h, Spec{Source: []byte("class Handler:\n    def consume(self, event):\n        while True: yield {'a': [1]}\n")}))
		o.mustFail(t, JobTimeout)
	})
	t.Run("a guest that waits for its host is not silent", func(t *testing.T) {
		h := newHost(t, Options{Limits: Limits{Window: 2}})
		g := start(t, h, Spec{Source: []byte("class Handler:\n    def consume(self, event):\n        for n in range(6): yield {'a': [n]}\n")})
		first, err := g.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first.Record.Release()
		second, err := g.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second.Record.Release()
		// The window is used up. Wait for longer than the limit on silence.
		limitSilence(g, 100*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := g.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a batch beyond the window, or a failure: %v", err)
		}
		limitSilence(g, patience)
		if err := g.Acknowledge(second.Serial); err != nil {
			t.Fatal(err)
		}
		if o := collect(t, g).mustSucceed(t); o.total() != 4 {
			t.Errorf("%d more rows, want 4", o.total())
		}
	})
}

// limitSilence changes the limit of a guest that has connected: a guest on a busy
// machine may need long for its first batch.
func limitSilence(g *Guest, limit time.Duration) {
	g.mu.Lock()
	l := g.link
	g.mu.Unlock()
	l.mu.Lock()
	l.silence = limit
	l.mu.Unlock()
	l.arm()
}

func TestASourceOfAnySizeArrives(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{})
	for _, size := range []int{300_000, 5_000_000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			source := "TEXT = '" + strings.Repeat("x", size) + "'\nclass Handler:\n    def consume(self, event): return [{'n': len(TEXT)}]\n"
			o := collect(t, start(t, h, Spec{Source: []byte(source)})).mustSucceed(t)
			if want := fmt.Sprintf("n=[%d]", size); o.cells[0] != want {
				t.Errorf("got %s, want %s", o.cells[0], want)
			}
		})
	}
}

// 50 MB on both streams: nothing blocks, nothing grows, and the end is kept.
func TestAGuestThatPrintsALot(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{Limits: Limits{Output: 4096}})
	o := collect(t, start(t, h, Spec{Source: []byte(`
import sys
class Handler:
    def consume(self, event):
        block = "0123456789abcdef" * 4096
        for n in range(400):
            sys.stdout.write(block)
            sys.stderr.write(block)
        print("on stdout")
        print("on stderr", file=sys.stderr)
        yield {"a": [1]}
`)})).mustSucceed(t)
	output := o.guest.Output()
	mustContain(t, output, "bytes of earlier output dropped]", "on stdout\non stderr\n")
	if len(output) > 4096+100 {
		t.Errorf("%d bytes are kept of %d", len(output), 4096)
	}
}

func TestOutputTail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"less than fits", []string{"ab", "cd"}, "abcd"},
		{"exactly what fits", []string{"abcd", "efgh"}, "abcdefgh"},
		{"more in small pieces", []string{"abcdef", "ghi", "jkl"}, "[4 bytes of earlier output dropped]\nefghijkl"},
		{"more at once", []string{"x", "0123456789abcdef"}, "[9 bytes of earlier output dropped]\n89abcdef"},
		{"a character cut in two", []string{"ßßßßß", "x"}, "[4 bytes of earlier output dropped]\nßßßx"},
		{"not text", []string{"a\xffb"}, "a\uFFFDb"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tail := newOutputTail(8)
			for _, text := range test.writes {
				if n, err := io.WriteString(tail, text); n != len(text) || err != nil {
					t.Fatal(n, err)
				}
			}
			if got := tail.String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
