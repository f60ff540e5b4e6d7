package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestARealDiskFillsUp runs the journal on a disk of 2 MB that gets full, and has
// room again. Mounting needs root; without it the refusing disk of the other tests
// stands for this one.
func TestARealDiskFillsUp(t *testing.T) {
	mount := t.TempDir()
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=2m"); err != nil {
		if os.Getuid() == 0 && !errors.Is(err, unix.EPERM) {
			t.Fatal(err)
		}
		t.Skip("mounting a small disk is not allowed here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(mount, "state")
	j, err := Open(dir, Options{backOff: soon})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ballast := filepath.Join(mount, "ballast")
	fill := func() {
		t.Helper()
		file, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for err == nil {
			_, err = file.Write(make([]byte, 4096))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		fill()
		// The pages that the file has already take some events; then one has to wait.
		stop, stopped, ctx := make(chan struct{}), make(chan error, 1), within(t)
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if _, err := j.Append(ctx, WorkerStopped{Reason: strings.Repeat("x", 3000)}); err != nil {
					stopped <- err
					return
				}
			}
		}()
		waitFor(t, "the disk to be full", func() bool { return j.Paused() != nil })
		if err := j.Paused(); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("round %d: paused by %v", round, err)
		}
		close(stop)
		durable := j.State().Events
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, stopped, "the append that waited"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the pause to end", func() bool { return j.Paused() == nil })
		if got := j.State().Events; got != durable+1 {
			t.Fatalf("round %d: %d events, one waited behind %d", round, got, durable)
		}
		if _, err := j.Verify(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	live := dump(j.State())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if dump(again.State()) != live {
		t.Error("a restart finds another state")
	}
}

func init() {
	children["syncs that fail"] = childSyncsThatFail
}

// TestARealSyncFails has the kernel answer fdatasync with EIO, in a process of its
// own: the event is not acknowledged, and the journal is over.
func TestARealSyncFails(t *testing.T) {
	dir := storyJournal(t)
	cmd, says := child(t, "syncs that fail", dir)
	var lines []string
	for says.Scan() {
		lines = append(lines, says.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(lines) == 1 && strings.HasPrefix(lines[0], "no filter") {
		t.Skip(lines[0])
	}
	if fmt.Sprint(lines) != "[failed as it should]" {
		t.Fatalf("the child says %q", lines)
	}
	// The pages went to the page cache and the sync said nothing of them: the event
	// may be there or not, and what is there has to be whole.
	if report, err := Verify(t.Context(), dir); err != nil || report.Checked < uint64(len(story())) {
		t.Errorf("%d records, %v", report.Checked, err)
	}
}

func childSyncsThatFail(dir string) {
	j, err := Open(dir, Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()
	if err := failSyncs(); err != nil {
		fmt.Println("no filter of system calls is allowed here:", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	for range 2 {
		if _, err := j.Append(ctx, WorkerStopped{}); !errors.Is(err, ErrFailed) || !errors.Is(err, unix.EIO) {
			fmt.Println("append:", err)
			return
		}
	}
	select {
	case <-j.Failed():
		fmt.Println("failed as it should")
	default:
		fmt.Println("Failed is not closed")
	}
}

// failSyncs makes fsync and fdatasync fail with EIO in all threads of this process,
// until it ends.
func failSyncs() error {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the number of the call
		{Code: equal, K: unix.SYS_FDATASYNC, Jt: 2},
		{Code: equal, K: unix.SYS_FSYNC, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EIO)},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// TestAFileCutShortUnderTheWorker: reading a page that is gone is a memory fault,
// which becomes an error.
func TestAFileCutShortUnderTheWorker(t *testing.T) {
	dir := storyJournal(t)
	j := open(t, dir)
	if err := os.Truncate(filepath.Join(dir, fileName), 0); err != nil {
		t.Fatal(err)
	}
	if err := j.Records(1, func(Record) error { return nil }); !isCorrupt(err) {
		t.Errorf("records: %v", err)
	}
	if _, err := j.Blob(DigestOf(pluginSource)); !isCorrupt(err) {
		t.Errorf("blob: %v", err)
	}
	if _, err := j.Append(t.Context(), WorkerStopped{}); !errors.Is(err, ErrFailed) || !isCorrupt(err) {
		t.Errorf("append: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(dir, Options{}); !isCorrupt(err) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("opened again: %v", err)
	}
}
