package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

const (
	maxQueued     = 256     // appends that wait for the committer; more wait in Append
	maxBatch      = 256     // events in one commit
	maxBatchBytes = 8 << 20 // events and blobs in one commit, unless one alone has more
	// patience is how long an event of AppendLater waits for a commit to ride with.
	patience = 25 * time.Millisecond
)

const roomHint = "make room on that disk or make it writable; the worker goes on by itself"

const failedHint = "what was acknowledged is kept; check the disk (kernel log, SMART, mount), then start the worker again"

// request is one Append on its way. Its owner is told by phase: the caller of
// Append may take it back as long as the committer is not writing it.
type request struct {
	kind    Kind
	data    []byte // the event as it will be stored
	event   Event
	blobs   []blob
	size    int
	later   bool // it may wait for another event's commit
	phase   atomic.Int32
	done    chan struct{}
	state   State // set before done is closed
	err     error
	rejects error // why it is not legal, in the try under way
}

type blob struct {
	digest  Digest
	content []byte
}

const (
	waiting int32 = iota
	writing
	withdrawn
)

// Append writes an event, and returns once it is durable, with the state right
// after it. Blobs are stored under their [DigestOf] in the same transaction; one
// that is stored already is not stored again. They must not be changed afterwards.
// A blob that the event names has to be given or to be there.
//
// Appends of several goroutines share a commit. Their order in the log is the order
// in which they were accepted, and each is judged by the state that the one before
// left.
//
// When nothing was written, the state is the latest durable one, and the error is
// one of: [TransitionError], [MissingBlobError], [ErrTooLarge], [ErrClosed],
// [StorageError], the cause of ctx's end. When ctx ends while the event is being
// written, the error is the cause and [ErrUncertain]: the event may be durable; a
// later Append returns only after that is settled. While the disk is full or
// read-only, Append waits; see [Journal.Paused].
func (j *Journal) Append(ctx context.Context, event Event, blobs ...[]byte) (State, error) {
	r, err := newRequest(event, blobs)
	if err != nil {
		return j.State(), err
	}
	return j.submit(ctx, r)
}

// AppendLater is Append for an event that costs no commit of its own: it returns
// once the event is judged and part of the state, and makes it durable together
// with the next Append, whoever calls that, or after 25 ms. The order in the log is
// that of acceptance all the same: what is durable is always a beginning of what was
// accepted. While the disk takes no writes it waits as Append does.
//
// It is for what a crash may forget, because what led to it will be seen again.
func (j *Journal) AppendLater(ctx context.Context, event Event, blobs ...[]byte) (State, error) {
	r, err := newRequest(event, blobs)
	if err != nil {
		return j.State(), err
	}
	r.later = true
	return j.submit(ctx, r)
}

// Flush returns once all that was accepted before is durable. Its errors are those
// of Append.
func (j *Journal) Flush(ctx context.Context) error {
	_, err := j.submit(ctx, &request{kind: "nothing", done: make(chan struct{})})
	return err
}

// submit hands a request to the committer and waits for its answer.
func (j *Journal) submit(ctx context.Context, r *request) (State, error) {
	if err := j.refused(ctx); err != nil {
		return j.State(), fmt.Errorf("append %s: %w", r.kind, err)
	}
	select {
	case j.queue <- r:
	case <-ctx.Done():
		return j.State(), fmt.Errorf("append %s: %w", r.kind, j.whileWaiting(ctx))
	case <-j.closing:
		return j.State(), fmt.Errorf("append %s: %w", r.kind, ErrClosed)
	}
	select {
	case <-r.done:
		return r.answer()
	case <-ctx.Done():
		if r.phase.CompareAndSwap(waiting, withdrawn) {
			return j.State(), fmt.Errorf("append %s: %w", r.kind, j.whileWaiting(ctx))
		}
		select { // it may just have been answered
		case <-r.done:
			return r.answer()
		default:
			return j.State(), fmt.Errorf("append %s: %w: %w", r.kind, ErrUncertain, context.Cause(ctx))
		}
	case <-j.finished: // and nobody is there to take it from the queue
		select {
		case <-r.done:
			return r.answer()
		default:
			return j.State(), fmt.Errorf("append %s: %w", r.kind, ErrClosed)
		}
	}
}

func newRequest(event Event, blobs [][]byte) (*request, error) {
	kind, data, decoded, err := encodeEvent(event)
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	r := &request{kind: kind, data: data, event: decoded, size: len(data), done: make(chan struct{})}
	for _, content := range blobs {
		if len(content) > MaxBlob {
			return nil, fmt.Errorf("append %s: a blob of %d bytes: %w", kind, len(content), ErrTooLarge)
		}
		r.blobs = append(r.blobs, blob{DigestOf(content), content})
		r.size += len(content)
	}
	return r, nil
}

func (r *request) answer() (State, error) {
	if r.err != nil {
		return r.state, fmt.Errorf("append %s: %w", r.kind, r.err)
	}
	return r.state, nil
}

// refused says why the journal takes no event.
func (j *Journal) refused(ctx context.Context) error {
	select {
	case <-j.closing:
		return ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return j.Failure()
}

// whileWaiting is the cause of ctx's end, with what was waited for if that is the
// disk.
func (j *Journal) whileWaiting(ctx context.Context) error {
	if paused := j.Paused(); paused != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), paused)
	}
	return context.Cause(ctx)
}

// commitAll is the committer: it alone writes. It ends after Close, when what was
// queued is settled.
func (j *Journal) commitAll() {
	defer close(j.finished)
	for {
		j.takeSnapshot()
		select {
		case first := <-j.queue:
			if batch := j.putOff(j.gather([]*request{first})); len(batch) > 0 {
				j.settle(batch)
			}
		case h := <-j.handovers:
			h.done <- j.replaceFile(h)
		case <-j.due:
			j.settle(nil)
		case <-j.closing:
			batch := j.gather(nil)
			if len(batch) == 0 && (len(j.later) == 0 || j.Failure() != nil) {
				return
			}
			j.settle(batch)
		}
	}
}

// gather adds what is queued already, within the bounds of a batch.
func (j *Journal) gather(batch []*request) []*request {
	size := 0
	for _, r := range batch {
		size += r.size
	}
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case r := <-j.queue:
			batch = append(batch, r)
			size += r.size
		default:
			return batch
		}
	}
	return batch
}

// putOff takes a batch in which nothing asks for a commit into the state, answers
// it, and leaves it to the next one. It gives back what has to be written now: all of
// the batch, or nothing.
func (j *Journal) putOff(batch []*request) []*request {
	size := j.laterBytes
	for _, r := range batch {
		size += r.size
		if !r.later || r.haveBlobs(func(Digest) bool { return false }) != nil { // stored ones only a transaction finds
			return batch
		}
	}
	if j.Paused() != nil || j.Failure() != nil || len(j.later)+len(batch) > maxBatch || size > maxBatchBytes {
		return batch
	}
	state := j.State()
	for _, r := range claim(batch) {
		next, err := Apply(state, r.event)
		if err == nil {
			state = next
			j.later = append(j.later, r)
			j.laterBytes += r.size
			for _, b := range r.blobs {
				j.laterBlobs.Store(b.digest, b.content)
			}
			j.state.Store(&next)
		}
		j.answer(r, state, err)
	}
	if len(j.later) > 0 && j.due == nil {
		j.due = time.After(j.patience)
	}
	return nil
}

// settle writes a batch and answers it. While the disk takes no writes it waits and
// tries again, also when everybody has gone meanwhile: somebody has to find out
// that there is room again.
func (j *Journal) settle(batch []*request) {
	for attempt := 0; ; attempt++ {
		batch = claim(batch)
		err := j.tryOnce(batch)
		switch {
		case err == nil && j.Paused() == nil:
			return
		case err == nil: // nothing had to be written: there may still be no room
			batch = nil
			continue
		case !outOfRoom(err):
			j.fail(err)
			for _, r := range batch {
				j.answer(r, j.State(), j.Failure())
			}
			return
		}
		j.pause(err)
		for _, r := range batch {
			r.phase.Store(waiting)
		}
		timer := time.NewTimer(j.backOff(attempt))
		select {
		case <-timer.C:
		case <-j.closing:
			timer.Stop()
			j.later = nil // there is no room for them, and nobody waits
			for _, r := range claim(batch) {
				j.answer(r, j.State(), fmt.Errorf("%w: %w", ErrClosed, j.Paused()))
			}
			return
		}
		batch = j.gather(batch)
	}
}

// takeSnapshot writes a snapshot when one is due. A disk that has no room for it
// does without until more was appended.
func (j *Journal) takeSnapshot() {
	state := *j.durable.Load()
	if j.Failure() != nil || j.Paused() != nil || !snapshotDue(j.head.Seq-j.snapshot, state.JobCount()) {
		return
	}
	err := j.store.update(func(tx *bbolt.Tx) error { return writeSnapshot(tx, state, j.head) })
	if err != nil && !outOfRoom(err) {
		j.fail(err)
		return
	}
	j.snapshot = j.head.Seq
}

// claim takes the requests for writing, without those that were withdrawn.
func claim(batch []*request) []*request {
	claimed := make([]*request, 0, len(batch))
	for _, r := range batch {
		if r.phase.CompareAndSwap(waiting, writing) {
			claimed = append(claimed, r)
		}
	}
	return claimed
}

// tryOnce writes and answers a batch, or tells why that is not possible. An empty
// batch only finds out whether the disk takes writes.
func (j *Journal) tryOnce(batch []*request) error {
	if failure := j.Failure(); failure != nil {
		return failure
	}
	if len(batch)+len(j.later) == 0 {
		if j.Paused() == nil {
			return nil
		}
		err := j.store.disk.probe(j.folder)
		if err == nil {
			j.resume()
		}
		return err
	}
	state, head := *j.durable.Load(), j.head
	err := j.store.update(func(tx *bbolt.Tx) (err error) {
		state, head, err = j.write(tx, batch)
		if err == nil && head == j.head {
			return errNothing
		}
		if len(batch) > 0 && len(batch[0].blobs) == 0 && crashpoint.Broken(crashpoint.AnswerUncommitted) {
			j.answerUncommitted(batch, state)
			batch = nil
		}
		crashpoint.Reach(crashpoint.JournalAppendBefore)
		return err
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	if err == nil {
		crashpoint.Reach(crashpoint.JournalAppendAfter)
		j.head = head
		j.durable.Store(&state)
		j.state.Store(&state)
		j.later, j.laterBytes, j.due = nil, 0, nil
		j.laterBlobs.Clear() // they are stored
		j.commits.Add(1)
		j.announce(false)
		j.resume()
	}
	for _, r := range batch {
		if r.rejects != nil {
			r.state = state
		}
		j.answer(r, r.state, r.rejects)
	}
	return nil
}

// answerUncommitted is what a journal must not do: it answers a batch that is not on
// the disk yet, and waits until they have acted on it and ask for more. See [crashpoint.Broken].
func (j *Journal) answerUncommitted(batch []*request, state State) {
	j.state.Store(&state)
	for _, r := range batch {
		j.answer(r, r.state, r.rejects)
	}
	for deadline := time.Now().Add(10 * time.Second); len(j.queue) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// errNothing rolls back a transaction in which nothing was legal.
var errNothing = errors.New("nothing to commit")

// write puts what is legal of a batch into a transaction, and notes in each request
// how it fared.
func (j *Journal) write(tx *bbolt.Tx, batch []*request) (State, link, error) {
	state, head := *j.durable.Load(), j.head
	stored, err := readHead(tx)
	if err != nil {
		return state, head, err
	}
	if stored != head {
		return state, head, corrupt(stored.Seq, nil, "the log ends with it, and record %d was written last", head.Seq)
	}
	log, blobs := tx.Bucket(logBucket), tx.Bucket(blobBucket)
	log.FillPercent = 1 // records are only ever added at the end
	stores := func(digest Digest) bool { return blobs.Get([]byte(digest)) != nil }
	for i, r := range slices.Concat(j.later, batch) {
		answered := i < len(j.later) // and its owner's by now
		if r.event == nil {          // of Flush
			r.rejects, r.state = nil, state
			continue
		}
		next, err := Apply(state, r.event)
		if err == nil {
			err = r.haveBlobs(stores)
		}
		if answered && err != nil {
			return state, head, fmt.Errorf("write %s, which was accepted: %w", r.kind, err)
		}
		if !answered {
			r.rejects = err
		}
		if err != nil {
			continue
		}
		for _, b := range r.blobs {
			if stores(b.digest) {
				continue
			}
			if err := blobs.Put([]byte(b.digest), b.content); err != nil {
				return state, head, err
			}
		}
		raw := encodeRecord(head.Seq+1, j.now(), r.event.Job(), r.kind, head.Digest, r.data)
		if err := log.Put(seqKey(head.Seq+1), raw); err != nil {
			return state, head, err
		}
		state, head = next, link{Seq: head.Seq + 1, Digest: DigestOf(raw)}
		if !answered {
			r.state = state
		}
	}
	return state, head, putHead(tx, head)
}

// haveBlobs checks that each blob which the event names is given or stored.
func (r *request) haveBlobs(stores func(Digest) bool) error {
next:
	for _, digest := range references(r.event) {
		for _, b := range r.blobs {
			if b.digest == digest {
				continue next
			}
		}
		if !stores(digest) {
			return &MissingBlobError{Kind: r.kind, Blob: digest}
		}
	}
	return nil
}

func (j *Journal) answer(r *request, state State, err error) {
	r.state, r.err = state, err
	close(r.done)
}

// fail poisons the journal. After a failed sync the kernel may show pages that are
// not on the disk; the open file cannot be trusted, and only opening it afresh,
// with all its checks, tells what is there.
func (j *Journal) fail(err error) {
	if j.failure.Load() != nil {
		return
	}
	failure, known := errors.AsType[*StorageError](err)
	if !known {
		failure = &StorageError{Path: j.path, Op: "write", Err: err,
			Hint: failedHint}
	}
	j.failure.Store(failure)
	close(j.failed)
	j.announce(true)
}

func (j *Journal) pause(err error) {
	since := j.now()
	if before := j.paused.Load(); before != nil {
		since = before.Since
	} else {
		j.log.Warn("the journal waits: the disk takes no writes", "journal", j.path, "error", err, "hint", roomHint)
	}
	j.paused.Store(&PausedError{Path: j.path, Since: since, Err: err, Hint: roomHint})
}

func (j *Journal) resume() {
	if before := j.paused.Load(); before != nil {
		j.log.Info("the journal goes on: the disk takes writes again", "journal", j.path, "waited", j.now().Sub(before.Since))
		j.paused.Store(nil)
	}
}

// backOff is how long to wait before a refused write is tried again: 100 ms, then
// twice as long each time, at most 5 s.
func backOff(attempt int) time.Duration {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	return min(first<<min(attempt, 10), most)
}
