package journal

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// fullDisk is a disk whose writes can be refused.
type fullDisk struct {
	*diskCalls
	full    atomic.Pointer[error]
	refused atomic.Int64
}

func newFullDisk() *fullDisk {
	f := &fullDisk{diskCalls: callsOn(nil)}
	f.commit = func(tx *bbolt.Tx) error {
		if err := f.full.Load(); err != nil {
			f.refused.Add(1)
			return *err
		}
		return tx.Commit()
	}
	open := f.openFile
	f.openFile = func(path string, flag int, perm os.FileMode) (*os.File, error) {
		if err := f.full.Load(); err != nil && strings.HasSuffix(path, probeName) {
			f.refused.Add(1)
			return nil, *err
		}
		return open(path, flag, perm)
	}
	return f
}

func (f *fullDisk) fill(err error) { f.full.Store(&err) }
func (f *fullDisk) makeRoom()      { f.full.Store(nil) }

// soon tries again at once.
func soon(int) time.Duration { return time.Millisecond }

// logBuffer is a log that several goroutines may write and read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.text.String()), "\n")
}

// TestAFullDiskPausesTheJournal: appends wait, one of them gives up, and when there
// is room the others go through as if nothing had been.
func TestAFullDiskPausesTheJournal(t *testing.T) {
	for _, full := range disk.Full {
		t.Run(full.Error(), func(t *testing.T) {
			var log logBuffer
			d := newFullDisk()
			waits, goOn := make(chan struct{}), make(chan struct{})
			j := open(t, t.TempDir(), Options{calls: d.diskCalls, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				backOff: func(attempt int) time.Duration {
					if attempt == 0 {
						close(waits)
						<-goOn
					}
					return time.Millisecond
				}})
			release := sync.OnceFunc(func() { close(goOn) })
			t.Cleanup(release) // before the Close that open has asked for
			appendAll(t, j, WorkerStarted{WorkerID: "w"})
			d.fill(&fs.PathError{Op: "write", Path: "journal.db", Err: full})

			// Both are in hand before the second try.
			all := within(t)
			ctx, giveUp := context.WithCancel(all)
			impatient, patient := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := j.Append(ctx, WorkerStopped{Reason: "impatient"})
				impatient <- err
			}()
			receive(t, waits, "the pause")
			go func() {
				_, err := j.Append(all, WorkerStopped{Reason: "patient"})
				patient <- err
			}()
			waitFor(t, "the other append to be queued", func() bool { return len(j.queue) == 1 })
			release()
			waitFor(t, "many refused tries", func() bool { return d.refused.Load() > 5 })
			var paused *PausedError
			if err := j.Paused(); !errors.As(err, &paused) || !errors.Is(err, full) || !strings.Contains(err.Error(), "room") {
				t.Fatalf("paused: %v", err)
			}
			if j.State().Events != 1 {
				t.Fatal("the state is ahead of the disk")
			}
			giveUp()
			if err := receive(t, impatient, "the impatient append"); !errors.Is(err, context.Canceled) {
				t.Fatalf("the impatient append: %v", err)
			} else if !errors.Is(err, ErrUncertain) && !errors.Is(err, full) {
				t.Fatalf("it does not say what it waited for: %v", err)
			}
			d.makeRoom()
			if err := receive(t, patient, "the patient append"); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the pause to end", func() bool { return j.Paused() == nil })
			select {
			case <-j.Failed():
				t.Fatal("it counts as failed")
			default:
			}
			if lines := log.lines(); len(lines) != 2 || !strings.Contains(lines[0], "waits") || !strings.Contains(lines[1], "goes on") {
				t.Errorf("the log: %q", lines)
			}
			if _, err := j.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAPauseEndsAlsoWhenNobodyWaits: when every append has given up, the journal
// itself finds out that there is room again.
func TestAPauseEndsAlsoWhenNobodyWaits(t *testing.T) {
	d := newFullDisk()
	dir := t.TempDir()
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	j := open(t, dir, Options{calls: d.diskCalls, backOff: func(attempt int) time.Duration {
		if attempt == 0 { // between two tries, when nothing is being written
			giveUp()
			<-gone
		}
		return time.Millisecond
	}})
	d.fill(&fs.PathError{Op: "write", Path: "journal.db", Err: disk.Full[0]})
	_, err := j.Append(ctx, WorkerStopped{})
	close(gone)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUncertain) {
		t.Fatalf("an append that gave up before it was written: %v", err)
	}
	// What is not legal needs no room: it is answered, and the pause goes on.
	if _, err := j.Append(within(t), wholeLife(1)[1]); err == nil {
		t.Fatal("an attempt of no job was taken")
	}
	if j.Paused() == nil {
		t.Fatal("the pause ended without room")
	}
	tries := d.refused.Load()
	waitFor(t, "tries without an append", func() bool { return d.refused.Load() > tries+3 })
	d.makeRoom()
	waitFor(t, "the pause to end", func() bool { return j.Paused() == nil })
	if n := j.State().Events; n != 0 {
		t.Errorf("%d events, of which none was asked for any longer", n)
	}
	requireOnlyFiles(t, dir, fileName, lockName)
}

// TestAnAppendThatGaveUpWhileItWasWritten: nobody can say whether it is durable, so
// what comes later is judged, and answered, only when it is.
func TestAnAppendThatGaveUpWhileItWasWritten(t *testing.T) {
	d := newFullDisk()
	j := open(t, t.TempDir(), Options{calls: d.diskCalls, backOff: soon})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	refuse := d.commit
	d.commit = func(tx *bbolt.Tx) error {
		giveUp()
		<-gone
		return refuse(tx)
	}
	d.fill(&fs.PathError{Op: "write", Path: "journal.db", Err: disk.Full[0]})
	_, err := j.Append(ctx, WorkerStarted{WorkerID: "w"})
	close(gone)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUncertain) {
		t.Fatalf("an append that gave up while it was written: %v", err)
	}
	later, patiently := make(chan error, 1), within(t)
	go func() {
		_, err := j.Append(patiently, WorkerStopped{})
		later <- err
	}()
	tries := d.refused.Load()
	waitFor(t, "tries without room", func() bool { return d.refused.Load() > tries+3 })
	select {
	case err := <-later:
		t.Fatalf("an append was answered before the one before it: %v", err)
	default:
	}
	d.makeRoom()
	if err := receive(t, later, "the append after it"); err != nil {
		t.Fatal(err)
	}
	if n := j.State().Events; n != 2 {
		t.Errorf("%d events, want both", n)
	}
}

func TestClosingAPausedJournal(t *testing.T) {
	d := newFullDisk()
	j := open(t, t.TempDir(), Options{calls: d.diskCalls, backOff: func(int) time.Duration { return time.Hour }})
	d.fill(&fs.PathError{Op: "write", Path: "journal.db", Err: disk.Full[0]})
	done, ctx := make(chan error, 3), within(t)
	for range 3 {
		go func() {
			_, err := j.Append(ctx, WorkerStopped{})
			done <- err
		}()
	}
	waitFor(t, "the pause", func() bool { return j.Paused() != nil })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := receive(t, done, "an append to end"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

// TestAFailedWriteEndsTheJournal: whatever else the disk says, nothing more is
// written, everybody is told, and a restart finds what was acknowledged.
func TestAFailedWriteEndsTheJournal(t *testing.T) {
	broken := errors.New("input/output error")
	cases := map[string]struct {
		commit func(tx *bbolt.Tx) error
		events uint64 // that a restart finds
	}{
		"before anything is written":            {func(*bbolt.Tx) error { return broken }, 1},
		"after all is written":                  {func(tx *bbolt.Tx) error { return errors.Join(tx.Commit(), broken) }, 2},
		"a full disk found out by a sync":       {func(*bbolt.Tx) error { return &fs.PathError{Op: "sync", Path: "x", Err: disk.Full[0]} }, 1},
		"a full disk found out by a naked sync": {func(*bbolt.Tx) error { return disk.Full[0] }, 1},
		"a panic in bbolt":                      {func(*bbolt.Tx) error { panic("page 5 already freed") }, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := callsOn(nil)
			j := open(t, dir, Options{calls: d})
			appendAll(t, j, WorkerStarted{WorkerID: "w"})
			changed := j.Changed()
			d.commit = c.commit
			for try := range 2 {
				_, err := j.Append(within(t), WorkerStopped{})
				failure, ok := errors.AsType[*StorageError](err)
				if !ok || !errors.Is(err, ErrFailed) || failure.Hint == "" {
					t.Fatalf("append %d: %v", try, err)
				}
				d.commit = func(tx *bbolt.Tx) error { t.Error("written after a failure"); return tx.Commit() }
			}
			for what, told := range map[string]<-chan struct{}{"Failed": j.Failed(), "Changed": changed} {
				select {
				case <-told:
				default:
					t.Errorf("%s is not closed", what)
				}
			}
			if j.Failure() == nil || j.State().Events != 1 {
				t.Errorf("failure %v, state %d", j.Failure(), j.State().Events)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, dir)
			if again.State().Events != c.events {
				t.Errorf("a restart finds %d events, want %d", again.State().Events, c.events)
			}
			appendAll(t, again, WorkerStarted{WorkerID: "w"})
		})
	}
}

// TestAWriteThatTookEffectAndSaidItDidNot: the retry after a pause sees that the
// event is there already, and does not write it twice.
func TestAWriteThatTookEffectAndSaidItDidNot(t *testing.T) {
	dir := t.TempDir()
	d := callsOn(nil)
	j := open(t, dir, Options{calls: d, backOff: soon})
	appendAll(t, j, WorkerStarted{WorkerID: "w"})
	d.commit = func(tx *bbolt.Tx) error {
		if err := tx.Commit(); err != nil {
			return err
		}
		return &fs.PathError{Op: "write", Path: "journal.db", Err: disk.Full[0]}
	}
	if _, err := j.Append(within(t), WorkerStopped{}); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, dir); again.State().Events != 2 {
		t.Errorf("%d events", again.State().Events)
	}
}

func TestBackOffGrowsAndEnds(t *testing.T) {
	previous := time.Duration(0)
	for attempt := range 100 {
		wait := backOff(attempt)
		if wait < previous || wait < 100*time.Millisecond || wait > 5*time.Second {
			t.Fatalf("attempt %d waits %v after %v", attempt, wait, previous)
		}
		previous = wait
	}
	if previous != 5*time.Second {
		t.Errorf("it ends at %v", previous)
	}
}
