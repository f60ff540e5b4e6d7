//go:build drill && linux

package journal

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"
)

// TestALargeJournalIsTakenUpQuickly: 100,000 finished jobs and 100 under way, opened
// by a process of its own. `go test -bench Recovery` has the figures; the bound is one
// that a slow machine meets, too.
func TestALargeJournalIsTakenUpQuickly(t *testing.T) {
	dir := t.TempDir()
	fillQuickly(t, dir, 100_000)
	first := open(t, dir) // folds all of it, and writes the snapshot
	want := first.State().JobCount()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	cmd, says := child(t, "opens and tells", dir)
	if !says.Scan() {
		t.Fatal("the process said nothing")
	}
	var jobs int
	var took time.Duration
	var memory int64
	if _, err := fmt.Sscan(says.Text(), &jobs, (*int64)(&took), &memory); err != nil {
		t.Fatalf("%q: %v", says.Text(), err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d jobs, open after %v, at most %d kB of memory", jobs, took, memory)
	if jobs != want || took > 10*time.Second || memory > 100_000 {
		t.Error("too slow, too large, or not all of it")
	}
}

func init() {
	children["opens and tells"] = func(dir string) {
		debug.SetMemoryLimit(96 << 20) // as the worker does
		begun := time.Now()
		j, err := Open(dir, Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		took := time.Since(begun)
		var memory int64
		status, _ := os.ReadFile("/proc/self/status")
		if _, peak, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
			fmt.Sscan(string(peak), &memory)
		}
		fmt.Println(j.State().JobCount(), int64(took), memory)
		j.Close()
	}
}
