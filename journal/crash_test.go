package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// child starts the test binary in a part of its own, with a state directory.
func child(t testing.TB, part, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), childVariable+"="+part)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tooLong := time.AfterFunc(longEnough, func() { cmd.Process.Kill() }) // and it says nothing more
	t.Cleanup(func() {
		tooLong.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

const childAppenders = 4

// childAppendsUntilKilled appends from several goroutines, and says what was
// acknowledged: "goroutine number", one line each.
func childAppendsUntilKilled(dir string) {
	j, err := Open(dir, Options{Owner: Owner{WorkerID: "doomed"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for g := range childAppenders {
		go func() {
			for i := 1; ; i++ {
				// Blobs of many pages make the file grow, and its tree.
				content := []byte(strings.Repeat(fmt.Sprintln(os.Getpid(), g, i), 40*(i%9)))
				if _, err := j.Append(context.Background(), WorkerStopped{Reason: fmt.Sprintf("%d %d", g, i)}, content); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println(g, i)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKilledInTheMidstOfAppends kills a process with SIGKILL while it appends, many
// times on one journal: every append that returned is there, the chain verifies,
// and each goroutine's events are there without a gap.
func TestKilledInTheMidstOfAppends(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	dir := filepath.Join(t.TempDir(), "state")
	before := uint64(0)
	for round := range rounds {
		cmd, acknowledged := child(t, "appends until killed", dir)
		var last [childAppenders]int
		// The first rounds are killed at the creation or soon after.
		for lines := 0; lines < round*3 && acknowledged.Scan(); lines++ {
			noteLine(t, acknowledged.Text(), &last)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for acknowledged.Scan() { // what it had said before it died
			noteLine(t, acknowledged.Text(), &last)
		}
		cmd.Wait()

		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		report, err := j.Verify(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if j.store.stale {
			t.Errorf("round %d: a meta page is torn by a mere kill", round)
		}
		var found [childAppenders]int
		err = j.Records(before+1, func(r Record) error {
			var g, i int
			fmt.Sscan(r.Event.(WorkerStopped).Reason, &g, &i)
			if found[g]++; found[g] != i {
				return fmt.Errorf("record %d: event %d of goroutine %d follows event %d", r.Seq, i, g, found[g]-1)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for g := range found {
			if found[g] < last[g] {
				t.Fatalf("round %d: append %d of goroutine %d returned, the log ends with %d", round, last[g], g, found[g])
			}
		}
		before = report.Checked
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		requireOnlyFiles(t, dir, fileName, lockName)
	}
	if before < uint64(rounds) {
		t.Fatalf("only %d appends were made in %d rounds", before, rounds)
	}
}

func noteLine(t *testing.T, line string, last *[childAppenders]int) {
	t.Helper()
	g, i, ok := strings.Cut(line, " ")
	goroutine, err := strconv.Atoi(g)
	number, err2 := strconv.Atoi(i)
	if !ok || err != nil || err2 != nil {
		return // its last line is cut short
	}
	last[goroutine] = max(last[goroutine], number)
}

func requireOnlyFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("the state directory holds %v, want %v", names, want)
	}
}

// TestCreationThatFailsHalfWay fails each step of a creation in turn, as a crash
// there would leave it; the next opening finds no journal or a whole one.
func TestCreationThatFailsHalfWay(t *testing.T) {
	broken := errors.New("the power is gone")
	leaveBehind := func(d *diskCalls) { d.remove = func(string) error { return nil } } // a crash cleans nothing up
	steps := map[string]func(d *diskCalls){
		"opening the new file": func(d *diskCalls) {
			d.openFile = func(path string, flag int, perm os.FileMode) (*os.File, error) {
				if strings.HasSuffix(path, newFileName) {
					return nil, broken
				}
				return os.OpenFile(path, flag, perm)
			}
		},
		"filling it": func(d *diskCalls) {
			d.commit = func(tx *bbolt.Tx) error { return broken }
		},
		"filling it, after the write": func(d *diskCalls) {
			d.commit = func(tx *bbolt.Tx) error { return errors.Join(tx.Commit(), broken) }
		},
		"giving it its name":   func(d *diskCalls) { d.rename = func(string, string) error { return broken } },
		"syncing its folder":   func(d *diskCalls) { d.syncFolder = func(string) error { return broken } },
		"syncing and crashing": func(d *diskCalls) { d.syncFolder = func(string) error { return broken }; leaveBehind(d) },
		"filling and crashing": func(d *diskCalls) { d.commit = func(tx *bbolt.Tx) error { return broken }; leaveBehind(d) },
		"naming and crashing":  func(d *diskCalls) { d.rename = func(string, string) error { return broken }; leaveBehind(d) },
	}
	for name, fail := range steps {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := callsOn(nil)
			fail(d)
			if _, err := Open(dir, Options{calls: d}); !errors.Is(err, broken) {
				t.Fatalf("got %v", err)
			}
			j := open(t, dir)
			appendAll(t, j, WorkerStarted{WorkerID: "w"})
			requireOnlyFiles(t, dir, fileName, lockName)
		})
	}
	t.Run("a leftover that is garbage", func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range []string{newFileName, probeName} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("half a page"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		open(t, dir)
		requireOnlyFiles(t, dir, fileName, lockName)
	})
}

func TestReadingWithoutAWorker(t *testing.T) {
	t.Run("there is none", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "nowhere")
		for name, missing := range map[string]string{"no folder": dir, "an empty folder": t.TempDir()} {
			if _, err := OpenReadOnly(missing); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), missing) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("the folder was created")
		}
	})
	t.Run("two readers, and a worker that has to wait", func(t *testing.T) {
		dir := storyJournal(t)
		first, err := OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		second, err := OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if n := len(allRecords(t, second)); n != len(story()) {
			t.Errorf("%d records", n)
		}
		if state, err := second.State(); err != nil || state.Events != uint64(len(story())) {
			t.Error(state.Events, err)
		}
		if _, err := second.Blob(DigestOf(pluginSource)); err != nil {
			t.Error(err)
		}
		_, err = Open(dir, Options{})
		if locked, ok := errors.AsType[*LockedError](err); !ok || !locked.Reading {
			t.Errorf("a worker beside readers: %v", err)
		}
	})
	t.Run("a copy without its lock file", func(t *testing.T) {
		dir := storyJournal(t)
		if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
			t.Fatal(err)
		}
		if report, err := Verify(t.Context(), dir); err != nil || report.Checked != uint64(len(story())) {
			t.Error(report, err)
		}
		requireOnlyFiles(t, dir, fileName)
	})
}

func TestASecondWorker(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	holder, says := child(t, "appends until killed", dir)
	if !says.Scan() {
		t.Fatal("the first worker never came up")
	}
	go func() {
		for says.Scan() { // so that it does not block on its pipe
		}
	}()
	for name, opens := range map[string]func() error{
		"to write": func() error { _, err := Open(dir, Options{}); return err },
		"to read":  func() error { _, err := OpenReadOnly(dir); return err },
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			err := opens()
			locked, ok := errors.AsType[*LockedError](err)
			if !ok || !errors.Is(err, ErrLocked) || locked.Owner.PID != holder.Process.Pid || locked.Owner.WorkerID != "doomed" ||
				locked.Owner.Since.After(time.Now()) || locked.Reading {
				t.Fatalf("got %v", err)
			}
			for _, part := range []string{dir, "doomed", strconv.Itoa(holder.Process.Pid), "--state-dir"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if took := time.Since(begun); took > 60*lockWait {
				t.Errorf("it took %v to say so", took)
			}
		})
	}
	holder.Process.Kill()
	holder.Wait()
	open(t, dir) // the system let go of the lock for it
}

func TestTheSameProcessCannotOpenTwice(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{Owner: Owner{WorkerID: "edge-1"}})
	_, err := Open(dir, Options{})
	if locked, ok := errors.AsType[*LockedError](err); !ok || locked.Owner.PID != os.Getpid() {
		t.Fatalf("got %v", err)
	}
}
