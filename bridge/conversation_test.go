//go:build unix

package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// interpreter writes a shell script that stands before the real interpreter.
func interpreter(t *testing.T, before string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	script := fmt.Sprintf("#!/bin/sh\nPYTHON='%s'\n%s\nexec \"$PYTHON\" \"$@\"\n", parts.Python(t), before)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

const publishesOne = "class Handler:\n    def consume(self, event): return [{'a': 1}]\n"

// A process that the worker did not start is turned away, and the guest that
// comes later is served.
func TestAStrangerIsTurnedAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHost(t, Options{Dir: dir})
	gate := filepath.Join(dir, "gate")
	g := start(t, h, Spec{
		Interpreter: interpreter(t, "while [ ! -e '"+gate+"' ]; do sleep 0.05; done"),
		Source:      []byte(publishesOne),
	})
	conn, err := net.Dial("unix", g.listener.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stranger read %d bytes, %v: want a closed connection", n, err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	collect(t, g).mustSucceed(t)
}

// A process of the guest's own tree still needs the token.
func TestWhatComesWithoutTheTokenIsTurnedAway(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{})
	hello := func(body string) string {
		return fmt.Sprintf(`b"\xf5CSP\x00\x02\x00\x00" + struct.pack(">B3xI", 1, len(%[1]s)) + %[1]s`, body)
	}
	for name, sent := range map[string]string{
		"a wrong token":        hello(`b'{"token": "00000000000000000000000000000000"}'`),
		"no token":             hello(`b'{}'`),
		"a token of no string": hello(`b'{"token": 7}'`),
		"a hello of 1 MiB":     hello(`b'x' * (1 << 20)`),
		"version 1":            `b"\x00\x00\x00\x00"`,
		"no hello":             `b"\xf5CSP\x00\x02\x00\x00" + struct.pack(">B3xI", 6, 2) + b"{}"`,
		"nothing":              `b""`,
	} {
		t.Run(name, func(t *testing.T) {
			// Python says what it is told, and waits until it is turned away.
			intruder := `"$PYTHON" -c '
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["BRIDGE_SOCKET"])
try:
    s.sendall(` + strings.ReplaceAll(sent, "'", `'"'"'`) + `)
    s.shutdown(socket.SHUT_WR)
    s.settimeout(60)
    print("intruder got", s.recv(1))
except OSError as error:
    print("intruder got", type(error).__name__)
'`
			g := start(t, h, Spec{Interpreter: interpreter(t, intruder), Source: []byte(publishesOne)})
			collect(t, g).mustSucceed(t)
			if output := g.Output(); !strings.Contains(output, "intruder got b''") && !strings.Contains(output, "intruder got ConnectionResetError") && !strings.Contains(output, "intruder got BrokenPipeError") {
				t.Errorf("the intruder was not turned away:\n%s", output)
			}
		})
	}
}

// When nobody but strangers came, the failure says so.
func TestOnlyStrangersCome(t *testing.T) {
	t.Parallel()
	g := start(t, newHost(t, Options{}), Spec{Interpreter: interpreter(t, "BRIDGE_TOKEN=wrong \"$PYTHON\" \"$@\"\nexit 4")})
	mustContain(t, collect(t, g).mustFail(t, EndedEarly).Error(), "before it connected", "its token is wrong", "exit status 4")
}

func TestOnlyOneConnectionIsTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{})
	g := start(t, h, Spec{Source: []byte("class Handler:\n    def consume(self, event):\n        while True: yield {'a': [1]}\n")})
	address := g.listener.Address()
	batch, err := g.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch.Record.Release()
	if conn, err := net.Dial("unix", address); err == nil {
		conn.Close()
		t.Error("a second connection was taken")
	}
	if _, err := os.Stat(address); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestCloseUnblocksNext(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"while the plugin computes":         "import time\nclass Handler:\n    def consume(self, event):\n        print('started')\n        time.sleep(3600)\n",
		"while the guest waits for credit":  "class Handler:\n    def consume(self, event):\n        print('started')\n        while True: yield {'a': [1]}\n",
		"while a long batch is on its way":  "class Handler:\n    def consume(self, event):\n        print('started')\n        while True: yield {'a': list(range(1_000_000))}\n",
		"while the plugin ignores its host": "class Handler:\n    def consume(self, event):\n        print('started')\n        while True:\n            try: yield {'a': [1]}\n            except BaseException: pass\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, newHost(t, Options{}), Spec{Source: []byte(source)})
			ended := make(chan error, 1)
			go func() {
				for {
					batch, err := g.Next(context.Background())
					if err != nil {
						ended <- err
						return
					}
					batch.Record.Release()
				}
			}()
			eventually(t, "the plugin runs", func() bool { return strings.Contains(g.Output(), "started") })
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, ErrClosed) {
					t.Errorf("Next: %v", err)
				}
			case <-time.After(patience):
				t.Error("Next is still blocked")
			}
			if live := g.pool.inUse(); live != 0 {
				t.Errorf("%d frame buffers are not given back", live)
			}
		})
	}
}

func TestAcknowledgeOfABatchThatNobodyGot(t *testing.T) {
	t.Parallel()
	g := start(t, newHost(t, Options{}), Spec{Source: []byte(publishesOne)})
	if err := g.Acknowledge(1); err == nil {
		t.Error("batch 1 was acknowledged before Next gave it")
	}
	o := collect(t, g).mustSucceed(t)
	if err := g.Acknowledge(uint64(len(o.rows))); err != nil {
		t.Errorf("acknowledging twice: %v", err)
	}
}

// A host that goes away ends its guests.
func TestHostCloseEndsItsGuests(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{})
	var guests []*Guest
	for range 3 {
		guests = append(guests, start(t, h, Spec{Source: []byte("import time\nclass Handler:\n    def consume(self, event): time.sleep(3600)\n")}))
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, g := range guests {
		if Alive(g.Process()) {
			t.Error("a guest is alive")
		}
		if _, err := g.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Next: %v", err)
		}
	}
	if _, err := h.Start(t.Context(), Spec{Interpreter: "/bin/true"}); err == nil {
		t.Error("a closed host started a guest")
	}
}

// Without acknowledgements a guest sends its window, and no more.
func TestTheWindowHolds(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{Limits: Limits{Window: 3}})
	g := start(t, h, Spec{Source: []byte(`
class Handler:
    def consume(self, event):
        for n in range(10):
            print("making", n)
            yield {"a": [n]}
`)})
	for range 3 {
		batch, err := g.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		batch.Record.Release()
	}
	eventually(t, "the fourth item is made, and waits", func() bool { return strings.Contains(g.Output(), "making 3") })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := g.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fourth batch came without an acknowledgement: %v", err)
	}
	if output := g.Output(); strings.Contains(output, "making 4") {
		t.Errorf("the plugin ran ahead:\n%s", output)
	}
	if err := g.Acknowledge(1); err != nil {
		t.Fatal(err)
	}
	if batch, err := g.Next(t.Context()); err != nil || batch.Serial != 4 {
		t.Errorf("batch %d, %v after the acknowledgement of batch 1", batch.Serial, err)
	} else {
		batch.Record.Release()
	}
	if err := g.Acknowledge(4); err != nil {
		t.Fatal(err)
	}
	if o := collect(t, g); o.err != io.EOF || o.total() != 6 {
		t.Errorf("%d more rows, %v", o.total(), o.err)
	}
}
