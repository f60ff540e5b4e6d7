package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// MaxBlob is the most bytes that one blob may have.
const MaxBlob = 64 << 20

// Options are what a journal is opened with. The zero value is usable.
type Options struct {
	// Now is the clock for the records' times; time.Now if nil.
	Now func() time.Time
	// Logger is told when the journal begins to wait for the disk and when it goes
	// on, and of damage that was got over at the opening. Nothing else is logged.
	Logger *slog.Logger
	// Owner is who opens it. PID and Since are filled in when they are zero.
	Owner Owner

	// Disk sees every call that changes a file before it is made; nil is the disk as
	// it is.
	Disk disk.Watch

	calls   *diskCalls                      // nil are those of Disk
	backOff func(attempt int) time.Duration // nil is backOff
	// patience is how long an event of AppendLater waits for company; 0 is 25 ms.
	patience time.Duration
}

// Journal is a journal open for writing. There is one per state directory and
// process; all methods may be called from any goroutine.
type Journal struct {
	folder   string
	path     string
	now      func() time.Time
	log      *slog.Logger
	backOff  func(attempt int) time.Duration
	patience time.Duration
	store    *store
	lock     *fileLock

	queue      chan *request
	handovers  chan handover
	compacting sync.Mutex

	closing  chan struct{} // closed by Close
	finished chan struct{} // closed when the committer has ended
	failed   chan struct{} // closed when failure is set

	state   atomic.Pointer[State] // after all that was accepted
	durable atomic.Pointer[State] // after all that is durable
	failure atomic.Pointer[StorageError]
	paused  atomic.Pointer[PausedError]
	commits atomic.Uint64

	changedMu sync.Mutex
	changed   chan struct{}
	over      bool // no commit can follow

	// Of the committer alone.
	head       link
	snapshot   uint64     // the record that the last snapshot stands behind
	later      []*request // judged and answered, and not written yet: see AppendLater
	laterBytes int
	due        <-chan time.Time // when they are written at the latest; nil when there are none
	laterBlobs sync.Map         // their blobs, by digest, for Blob

	closeOnce sync.Once
	closeErr  error
}

// Open opens the journal of a state directory for writing, and creates both when
// they are not there. It reads the whole log: every record's place in the chain is
// checked, and the state rebuilt.
//
// Errors: [LockedError] after about a second when another process has it open,
// [CorruptError], [NewerError]; otherwise what the file system said.
func Open(dir string, opts Options) (*Journal, error) {
	j := &Journal{
		folder: dir, path: filepath.Join(dir, fileName),
		now: opts.Now, log: opts.Logger, backOff: opts.backOff,
		queue: make(chan *request, maxQueued), handovers: make(chan handover),
		closing: make(chan struct{}), finished: make(chan struct{}), failed: make(chan struct{}),
		changed: make(chan struct{}),
	}
	if j.now == nil {
		j.now = time.Now
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.patience = opts.patience; j.patience == 0 {
		j.patience = patience
	}
	if j.backOff == nil {
		j.backOff = backOff
	}
	d := opts.calls
	if d == nil {
		d = callsOn(opts.Disk)
	}
	if opts.Owner.PID == 0 {
		opts.Owner.PID = os.Getpid()
	}
	if opts.Owner.Since.IsZero() {
		opts.Owner.Since = j.now().UTC()
	}
	if err := j.open(d, opts.Owner); err != nil {
		return nil, fmt.Errorf("open %w", explain(j.path, err))
	}
	go j.commitAll()
	return j, nil
}

func (j *Journal) open(d *diskCalls, owner Owner) (err error) {
	if err := d.makeFolder(j.folder); err != nil {
		return err
	}
	if j.lock, err = lockFolder(d, j.folder, owner); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.lock.release())
		}
	}()
	for _, leftover := range []string{newFileName, probeName} {
		if err := d.remove(filepath.Join(j.folder, leftover)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if _, err := os.Lstat(j.path); errors.Is(err, fs.ErrNotExist) {
		err = createStore(d, j.folder, j.now())
		if err != nil {
			return fmt.Errorf("create it: %w", err)
		}
	}
	if j.store, err = openStore(d, j.path, false); err != nil {
		return err
	}
	state, head, snapshot, err := j.store.replay()
	if err != nil {
		return errors.Join(err, j.store.close())
	}
	j.state.Store(&state)
	j.durable.Store(&state)
	j.head, j.snapshot = head, snapshot
	if j.store.stale {
		j.log.Warn("one of the journal's two meta pages was damaged, it goes on from the other; "+
			"unless power was lost during the last write, the last write is gone",
			"journal", j.path, "records", head.Seq)
	}
	return nil
}

// explain wraps an error of opening that says nothing of the journal itself.
func explain(path string, err error) error {
	_, bad := errors.AsType[*CorruptError](err)
	_, later := errors.AsType[*NewerError](err)
	_, locked := errors.AsType[*LockedError](err)
	switch {
	case bad || later || locked:
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("journal %s: %w (the state directory has to belong to the user that runs the worker)", path, err)
	case outOfRoom(err):
		return fmt.Errorf("journal %s: %w (%s)", path, err, roomHint)
	}
	return fmt.Errorf("journal %s: %w", path, err)
}

// Syncs is how often the journal's file was synced since it was opened: twice for
// each commit, its pages first and then the meta page that makes them count.
func (j *Journal) Syncs() uint64 { return 2 * j.commits.Load() }

// Close waits for the appends under way, closes the file and lets go of the lock.
// Appends that wait for room on the disk end with [ErrClosed]. It may be called
// more than once.
func (j *Journal) Close() error {
	j.closeOnce.Do(func() {
		close(j.closing)
		<-j.finished
		j.announce(true)
		j.compacting.Lock() // one that is under way gives up, and cleans up
		defer j.compacting.Unlock()
		if err := errors.Join(j.store.close(), j.lock.release()); err != nil {
			j.closeErr = fmt.Errorf("close journal %s: %w", j.path, err)
		}
	})
	return j.closeErr
}

// State is the state after all that was accepted. It is durable but for events of
// AppendLater that wait for their commit. It never blocks.
func (j *Journal) State() State { return *j.state.Load() }

// Paused says why appends wait just now, as a [PausedError]; nil when they do not.
func (j *Journal) Paused() error {
	if paused := j.paused.Load(); paused != nil {
		return paused
	}
	return nil
}

// Failed is closed when the journal has failed for good; see [StorageError].
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Failure is the [StorageError] that the journal failed with; nil when it did not.
func (j *Journal) Failure() error {
	if failure := j.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// Changed is closed by the next commit. Take it before reading what is there, and
// wait for it afterwards. It is closed, too, when the journal closes or fails.
func (j *Journal) Changed() <-chan struct{} {
	j.changedMu.Lock()
	defer j.changedMu.Unlock()
	return j.changed
}

// announce closes what Changed gave out; last says that nothing will follow.
func (j *Journal) announce(last bool) {
	j.changedMu.Lock()
	defer j.changedMu.Unlock()
	if j.over {
		return
	}
	close(j.changed)
	if j.over = last; !last {
		j.changed = make(chan struct{})
	}
}

// Info is what the file says of itself, as of the latest commit.
func (j *Journal) Info() (Info, error) { return j.store.currentInfo() }

// Blob gives the content stored under a digest, checked against it. The slice is
// the caller's. [ErrNoBlob] if there is none.
func (j *Journal) Blob(digest Digest) ([]byte, error) {
	if content, accepted := j.laterBlobs.Load(digest); accepted {
		return slices.Clone(content.([]byte)), nil
	}
	content, err := j.store.blob(digest)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	return content, nil
}

// Records calls fn with each record from number from on (1 or 0 for all), in
// order, up to the last one that is durable when Records is called. Each was
// checked against the chain. Nothing is locked while fn runs, and memory is bounded
// by the largest record or 1 MiB. An error of fn ends it and is returned as it is.
func (j *Journal) Records(from uint64, fn func(Record) error) error {
	return j.store.records(from, fn)
}

// Verify checks everything that is stored; see [Verify]. A compaction waits for it.
func (j *Journal) Verify(ctx context.Context) (VerifyReport, error) {
	j.compacting.Lock()
	defer j.compacting.Unlock()
	return j.store.verify(ctx)
}
