//go:build linux

package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// startsAFamily leaves a child, a child in a session of its own, a daemon that
// forked twice, and one that ignores every signal it can. Each writes its pid.
const startsAFamily = `
import os, signal, subprocess, sys, time
def told(name):
    with open(name + ".new", "w") as file: file.write(str(os.getpid()))
    os.rename(name + ".new", name)
class Handler:
    def consume(self, event):
        subprocess.Popen(["sh", "-c", "echo $$ > child.new; mv child.new child; exec sleep 3600"])
        subprocess.Popen(["sh", "-c", "echo $$ > session.new; mv session.new session; exec sleep 3600"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(1, 32):
                    if number not in (signal.SIGKILL, signal.SIGSTOP):
                        signal.signal(number, signal.SIG_IGN)
                told("daemon")
                time.sleep(3600)
            os._exit(0)
        os.wait()
        while not all(os.path.exists(name) for name in ("child", "session", "daemon")): time.sleep(0.01)
        yield {"a": [1]}
        %s
`

var family = []string{"child", "session", "daemon"}

// runs tells whether the process whose pid is in the file is alive.
func runs(t *testing.T, folder, name string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	entry, found := readProcess(pid, make([]byte, longestStat))
	return found && !entry.ended
}

func TestNoProcessOfTheTreeIsLeft(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, then string
		finish     func(*testing.T, *Guest)
	}{
		{"after success", "return", func(t *testing.T, g *Guest) {
			collect(t, g).mustSucceed(t)
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}},
		{"after an exception, before Close", "raise ValueError", func(t *testing.T, g *Guest) { collect(t, g).mustRaise(t) }},
		{"after os._exit, before Close", "os._exit(0)", func(t *testing.T, g *Guest) { collect(t, g).mustFail(t, EndedEarly) }},
		{"after an abort in mid-stream", "time.sleep(3600)", func(t *testing.T, g *Guest) {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			if err := g.Close(); err != nil {
				t.Errorf("the second Close: %v", err)
			}
			if _, err := g.Next(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("Next after Close: %v", err)
			}
		}},
		{"when another worker finds it", "time.sleep(3600)", func(t *testing.T, g *Guest) {
			p := g.Process()
			if !Alive(p) {
				t.Error("the guest is not alive")
			}
			other := Process{PID: p.PID, StartTime: p.StartTime + 1}
			if Alive(other) {
				t.Error("a pid with another start time counts as alive")
			}
			if err := KillTree(other, time.Second); err != nil || !Alive(p) {
				t.Errorf("a pid with another start time was killed (%v)", err)
			}
			if err := KillTree(p, killTime); err != nil {
				t.Error(err)
			}
			if Alive(p) {
				t.Error("the guest is alive")
			}
			collect(t, g).mustFail(t, EndedEarly)
		}},
	}
	for _, warm := range []int{0, 1} {
		h := newHost(t, Options{Warm: Warm{Interpreters: warm}})
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s, %d warm", test.name, warm), func(t *testing.T) {
				folder := t.TempDir()
				g := start(t, h, Spec{WorkDir: folder, Source: []byte(strings.Replace(startsAFamily, "%s", test.then, 1))})
				batch, err := g.Next(t.Context())
				if err != nil {
					t.Fatalf("%v\n%s", err, g.Output())
				}
				batch.Record.Release()
				for _, name := range family {
					if !runs(t, folder, name) {
						t.Fatalf("%s does not run: the test proves nothing", name)
					}
				}
				test.finish(t, g)
				for _, name := range family {
					if runs(t, folder, name) {
						t.Errorf("%s is alive", name)
					}
				}
			})
		}
	}
}

// A daemon whose guest is long gone is still known by its marker.
func TestADaemonWithoutItsGuestIsFound(t *testing.T) {
	t.Parallel()
	marker := randomName()
	daemon := exec.Command("sleep", "3600")
	daemon.Env = []string{MarkerVariable + "=" + marker}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	if err := KillTree(Process{PID: 1 << 30, Marker: marker}, killTime); err != nil {
		t.Error(err)
	}
	late := time.AfterFunc(patience, func() { _ = daemon.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	if err := daemon.Wait(); err == nil || daemon.ProcessState.String() != "signal: killed" {
		t.Errorf("the daemon ended with %v", err)
	}
}

// When the worker is killed, the kernel kills the guest, though it computes and
// would not notice the end of its connection.
func TestTheGuestDiesWithItsWorker(t *testing.T) {
	const variable = "BRIDGE_TEST_WORKER_FOLDER"
	if folder := os.Getenv(variable); folder != "" {
		hostUntilKilled(folder, os.Getenv("BRIDGE_TEST_WARM") != "")
		return
	}
	t.Parallel()
	for _, warm := range []string{"", "warm"} {
		t.Run("cold or "+warm, func(t *testing.T) { theGuestDies(t, variable, warm) })
	}
}

func theGuestDies(t *testing.T, variable, warm string) {
	folder := t.TempDir()
	worker := exec.Command(os.Args[0], "-test.run", "^TestTheGuestDiesWithItsWorker$")
	worker.Env = append(os.Environ(), variable+"="+folder, "BRIDGE_TEST_PYTHON="+parts.Python(t), "BRIDGE_TEST_WARM="+warm)
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Wait() }()
	defer func() { _ = worker.Process.Kill() }()
	eventually(t, "the guest runs", func() bool {
		_, err := os.Stat(filepath.Join(folder, "guest"))
		return err == nil
	})
	if !runs(t, folder, "guest") {
		t.Fatal("the guest does not run: the test proves nothing")
	}
	sockets, _ := filepath.Glob(filepath.Join(folder, "run", socketPrefix+"*"))
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the worker does not end")
	}
	eventually(t, "the guest is gone", func() bool { return !runs(t, folder, "guest") })
	if warm == "" && len(sockets) != 1 {
		t.Errorf("sockets while the second guest had not connected: %v, want 1", sockets)
	}
	// The next worker sweeps what the dead one left.
	newHost(t, Options{Dir: filepath.Join(folder, "run")})
	if left, _ := filepath.Glob(filepath.Join(folder, "run", socketPrefix+"*")); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
}

// hostUntilKilled is the worker of the test above: one guest computes, another
// never connects, so that a socket is there when the worker dies.
func hostUntilKilled(folder string, warm bool) {
	options := Options{Dir: filepath.Join(folder, "run"), Limits: Limits{Connect: -1}}
	if warm {
		options.Warm.Interpreters = 1
	}
	h, err := NewHost(options)
	if err != nil {
		panic(err)
	}
	waiting := filepath.Join(folder, "waiting")
	if err := os.WriteFile(waiting, []byte("#!/bin/sh\nexec sleep 3600\n"), 0o755); err != nil {
		panic(err)
	}
	if !warm {
		if _, err := h.Start(context.Background(), Spec{Interpreter: waiting}); err != nil {
			panic(err)
		}
	}
	g, err := h.Start(context.Background(), Spec{Interpreter: os.Getenv("BRIDGE_TEST_PYTHON"), WorkDir: folder, Source: []byte(`
import os
class Handler:
    def consume(self, event):
        with open("guest.new", "w") as file: file.write(str(os.getpid()))
        os.rename("guest.new", "guest")
        while True: pass
`)})
	if err != nil {
		panic(err)
	}
	_, err = g.Next(context.Background())
	panic(err)
}

// TestACensusBeginsAfterItIsAskedFor: however many share a reading of the process table,
// each finds what it started before.
func TestACensusBeginsAfterItIsAskedFor(t *testing.T) {
	t.Parallel()
	var c census
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 3 {
				child := exec.Command("cat") // until its input ends
				input, err := child.StdinPipe()
				if err != nil {
					t.Error(err)
					return
				}
				if err := child.Start(); err != nil {
					t.Error(err)
					return
				}
				table, err := c.take()
				if err != nil || !slices.ContainsFunc(table, func(p process) bool { return p.pid == child.Process.Pid }) {
					t.Errorf("process %d is not among %d (%v)", child.Process.Pid, len(table), err)
				}
				_ = input.Close()
				_ = child.Wait()
			}
		})
	}
	all.Wait()
}
