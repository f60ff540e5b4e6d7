//go:build linux

package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// A worker that dies has to be another process: this test's own binary, which is told
// by this variable what to do.
const workerVariable = "BRIDGE_TEST_WORKER"

func init() {
	if task := os.Getenv(workerVariable); task != "" {
		beWorker(task)
	}
}

// deadWorker says what the worker process is to do before it is killed.
type deadWorker struct {
	Dir, WorkDir, Interpreter, Source string
	Warm                              int
	Take                              int    // batches to take
	Durable                           uint64 // what the guest is told then
	Early                             bool   // the guest has not run for long
}

// heir is what the next worker knows of the guest.
type heir struct {
	Process Process
	Claim   Claim
	Failure string
}

// beWorker is the worker process. It ends by being killed.
func beWorker(task string) {
	var d deadWorker
	var h heir
	fail := func(err error) {
		h.Failure = err.Error()
		_ = json.NewEncoder(os.Stdout).Encode(h)
		os.Exit(1)
	}
	if err := json.Unmarshal([]byte(task), &d); err != nil {
		fail(err)
	}
	host, err := NewHost(patiently(Options{Dir: d.Dir, Patience: patience, Warm: Warm{Interpreters: d.Warm}}))
	if err != nil {
		fail(err)
	}
	careless(host)
	host.keepLate = 0
	if d.Early {
		host.keepLate = time.Hour
	}
	g, err := host.Start(context.Background(), Spec{Interpreter: d.Interpreter, Plugin: "example", WorkDir: d.WorkDir, Source: []byte(d.Source)})
	if err != nil {
		fail(err)
	}
	for range d.Take {
		batch, err := g.Next(context.Background())
		if err != nil {
			fail(fmt.Errorf("%w\n%s", err, g.Output()))
		}
		batch.Record.Release()
		if err := g.Acknowledge(batch.Serial); err != nil {
			fail(err)
		}
	}
	g.LetGo(d.Durable)
	h.Process, h.Claim = g.Process(), g.Claim()
	if err := json.NewEncoder(os.Stdout).Encode(h); err != nil {
		fail(err)
	}
	select {}
}

// outlived runs a worker, kills it, and gives what it left.
func outlived(t *testing.T, d deadWorker) heir {
	t.Helper()
	d.Interpreter = parts.Python(t)
	if d.WorkDir == "" {
		d.WorkDir = t.TempDir()
	}
	task, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerVariable+"="+string(task))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	var h heir
	err = json.NewDecoder(out).Decode(&h)
	late.Stop()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || h.Failure != "" {
		t.Fatalf("the first worker: %v %s", err, h.Failure)
	}
	t.Cleanup(func() {
		if err := KillTree(h.Process, killTime); err != nil {
			t.Error(err)
		}
	})
	return h
}

// oneByOne yields so many batches, one row each.
func oneByOne(batches int, then string) string {
	return fmt.Sprintf(`
class Handler:
    def configure(self, context, config):
        self.context = context
    def consume(self, event):
        for n in range(%d):
            self.context.publish("odd" if n %% 2 else "even", {"n": [n]})
        %s
`, batches, then)
}

func attach(t *testing.T, h *Host, left heir, batches uint64, rows int64) (*Guest, error) {
	t.Helper()
	g, err := h.Attach(t.Context(), Spec{Plugin: "example"}, Left{
		Process: left.Process, Claim: left.Claim, Started: time.Now(), Batches: batches, Rows: rows,
		Agreed: func() error { return nil },
	})
	if err == nil {
		t.Cleanup(func() {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			noneLeft(t, g)
		})
	}
	return g, err
}

func TestGoingOnWithAGuest(t *testing.T) {
	t.Parallel()
	for _, warm := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d warm", warm), func(t *testing.T) {
			dir := t.TempDir()
			left := outlived(t, deadWorker{Dir: dir, Warm: warm, Take: 5, Durable: 3, Source: oneByOne(9, "pass")})
			h := newHost(t, Options{Dir: dir, Patience: patience})
			g, err := attach(t, h, left, 3, 3)
			if err != nil {
				t.Fatal(err)
			}
			o := collect(t, g).mustSucceed(t)
			if got, want := strings.Join(o.cells, " "), "n=[3] n=[4] n=[5] n=[6] n=[7] n=[8]"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if got, want := strings.Join(o.topics, " "), "odd even odd even odd even"; got != want {
				t.Errorf("topics %s, want %s", got, want)
			}
		})
	}
}

func TestAGuestThatCannotBeGoneOnWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := outlived(t, deadWorker{Dir: dir, Take: 5, Durable: 3, Source: oneByOne(9, "pass")})
	h := newHost(t, Options{Dir: dir, Patience: patience})
	elsewhere := left
	elsewhere.Claim.Address = filepath.Join(t.TempDir(), "guest-0123456789abcdef.sock")
	ended := left
	ended.Process.StartTime++
	for name, other := range map[string]heir{"of another folder": elsewhere, "that has ended": ended, "that dies with its worker": {Process: left.Process}} {
		if _, err := attach(t, h, other, 3, 3); kindOf(err) != NotAttached {
			t.Errorf("a guest %s: %v", name, err)
		}
	}
	// The guest has let go of batch 2.
	g, err := attach(t, h, left, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := collect(t, g)
	mustContain(t, o.mustFail(t, NotAttached).Error(), "it has let go of batches 2 to 3")
	if Alive(left.Process) {
		t.Error("the guest is still there")
	}
}

func kindOf(err error) Kind {
	failure, _ := errors.AsType[*GuestError](err)
	if failure == nil {
		return ""
	}
	return failure.Kind
}

// lines is a log that tells of its first line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// Only who has the token, and is of the guest's tree, is listened to.
func TestStrangersAtTheDoorOfAGuestThatIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := outlived(t, deadWorker{Dir: dir, Take: 5, Durable: 3, Source: oneByOne(9, "pass")})
	other := outlived(t, deadWorker{Dir: dir, Take: 5, Durable: 3, Source: oneByOne(9, "pass")})

	// The right process with another token.
	mistaken := left
	mistaken.Claim.Token = other.Claim.Token
	refused := make(lines, 1)
	h, err := NewHost(patiently(Options{Dir: dir, Patience: patience, Logger: slog.New(slog.NewTextHandler(refused, nil))}))
	if err != nil {
		t.Fatal(err)
	}
	g, err := attach(t, h, mistaken, 3, 3)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-refused:
	case <-time.After(patience):
		t.Fatal("the guest did not come by")
	}
	_ = g.listener.Close() // as the limit does
	failure := collect(t, g).mustFail(t, NotAttached)
	mustContain(t, failure.Error(), "its token is wrong")
	if err := h.Close(); err != nil {
		t.Error(err)
	}

	// The right one is still listened to after a stranger.
	h = newHost(t, Options{Dir: dir, Patience: patience})
	if g, err = attach(t, h, other, 5, 5); err != nil {
		t.Fatal(err)
	}
	if stranger, err := net.Dial("unix", other.Claim.Address); err == nil {
		_ = stranger.Close()
	}
	if o := collect(t, g).mustSucceed(t); o.total() != 4 {
		t.Errorf("%d rows, want 4", o.total())
	}
}

// tables yields so many tables of so many rows, 8 MiB for each 1<<20.
func tables(tables, rows int) string {
	return fmt.Sprintf(`
import pyarrow as pa
class Handler:
    def consume(self, event):
        for n in range(%d):
            yield pa.table({"n": pa.array(range(n * %d, (n + 1) * %d), pa.int64())})
`, tables, rows, rows)
}

// More than fits into memory is kept in a file, and nothing of that is left.
func TestWhatAGuestKeepsBeyondItsMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const rows, taken = 1 << 20, 12 * 16
	left := outlived(t, deadWorker{Dir: dir, Take: taken, Source: tables(13, rows)})
	h := newHost(t, Options{Dir: dir, Patience: patience})
	g, err := attach(t, h, left, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	next := int64(0)
	for {
		batch, err := g.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range batch.Record.Column(0).(*array.Int64).Int64Values() {
			if n != next {
				t.Fatalf("%d in batch %d, want %d", n, batch.Serial, next)
			}
			next++
		}
		batch.Record.Release()
		if err := g.Acknowledge(batch.Serial); err != nil {
			t.Fatal(err)
		}
		g.LetGo(batch.Serial)
	}
	if next != 13*rows {
		t.Errorf("%d rows, want %d", next, 13*rows)
	}
	for _, file := range filesIn(t, dir) {
		if !strings.HasPrefix(file, "shim-") && file != "marker" {
			t.Errorf("left: %s", file)
		}
	}
}

// Within its first seconds a guest that gives more than fits into its memory is not worth
// the disk: it cannot be gone on with behind what it let go of.
func TestWhatAGuestDoesNotKeepAtFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const rows, taken = 1 << 20, 12 * 16
	left := outlived(t, deadWorker{Dir: dir, Take: taken, Early: true, Source: tables(13, rows)})
	h := newHost(t, Options{Dir: dir, Patience: patience})
	g, err := attach(t, h, left, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, collect(t, g).mustFail(t, NotAttached).Error(), "it has let go of batches 1 to ")
	if Alive(left.Process) {
		t.Error("the guest is still there")
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// A guest does not notice that the warm interpreter dies which it was forked from.
func TestAForkOutlivesItsWarmInterpreter(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{Patience: patience, Warm: Warm{Interpreters: 1}})
	folder := t.TempDir()
	g := start(t, h, Spec{WorkDir: folder, Source: []byte(oneByOne(3, `
        import os, time
        while not os.path.exists("gate"): time.sleep(0.01)
        self.context.publish("odd", {"n": [3]})`))})
	batch, err := g.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch.Record.Release()
	server := onlyWarm(t, h).PID
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the warm interpreter is gone", func() bool {
		all := h.Warm()
		return len(all) == 0 || all[0].PID != server
	})
	if err := os.WriteFile(filepath.Join(folder, "gate"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := collect(t, g).mustSucceed(t); o.total() != 3 {
		t.Errorf("%d more rows, want 3", o.total())
	}
}

// What an earlier worker started, and no journal knows of, is found by its marker.
func TestStraysOfAnEarlierWorkerAreKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stray := outlived(t, deadWorker{Dir: dir, Take: 5, Source: oneByOne(9, "pass")})
	wanted := outlived(t, deadWorker{Dir: dir, Warm: 1, Take: 5, Source: oneByOne(9, "pass")})
	foreign := outlived(t, deadWorker{Dir: t.TempDir(), Take: 5, Source: oneByOne(9, "pass")})
	h := newHost(t, Options{Dir: dir, Patience: patience})
	if err := h.KillStrays([]Process{wanted.Process}, killTime); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[*heir]bool{&stray: false, &wanted: true, &foreign: true} {
		if Alive(name.Process) != want {
			t.Errorf("process %d is alive: %v, want %v", name.Process.PID, !want, want)
		}
	}
}

// TestAGuestThatCouldOutliveItsWorkerEndsInItsOwnTime: it hears that it is not needed
// any more, and what the plugin has left for the end of the process is done all the same.
func TestAGuestThatCouldOutliveItsWorkerEndsInItsOwnTime(t *testing.T) {
	const atTheEnd = `
import atexit, os, time
def last():
    time.sleep(1.5)  # stands for work, longer than the thread that watches waits at a time
    open("last", "w").close()
class Handler:
    def consume(self, event):
        atexit.register(last)
        %s
`
	for name, result := range map[string]string{"done": `return {"a": [1]}`, "raised": `raise ValueError("no")`} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			h := newHost(t, Options{Patience: patience})
			g := start(t, h, Spec{Source: fmt.Appendf(nil, atTheEnd, result), WorkDir: folder})
			o := collect(t, g)
			if name == "done" {
				o.mustSucceed(t)
			} else {
				o.mustRaise(t)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(folder, "last")); err != nil {
				t.Errorf("the end was cut short: %v\n%s", err, g.Output())
			}
		})
	}
}
