package actors

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/digest"
)

// Why an attempt is stopped from outside. They are causes of its context.
var (
	errAborted    = errors.New("aborted")
	errSuperseded = errors.New("a newer dispatch of the same job id takes its place")
	errStopping   = errors.New("the worker is stopping")
)

// assignment is one attempt of a job on its way through runner and writer. The
// coordinator makes it and hands it to both; feed joins them.
type assignment struct {
	attempt journal.Attempt
	spec    journal.JobSpec
	source  []byte
	targets []sink.Target
	earlier []journal.Artifact
	// chosen are the targets that the plugin named itself in earlier attempts.
	chosen []sink.Target
	// checkpoint is what earlier attempts made durable, nil for nothing.
	checkpoint *journal.Checkpoint

	// left is the guest of the attempt that outlived the worker process before, nil when
	// one is to be started; its stream goes on behind these batches, nil for all.
	left   *bridge.Left
	behind *journal.Whole

	// settled is closed once the guest is not needed any more: its rows are sealed, or
	// the attempt is over.
	settled     chan struct{}
	settledOnce sync.Once

	// ctx ends when the attempt is to stop; its cause says why.
	ctx  context.Context
	stop context.CancelCauseFunc

	// feed carries the batches from the runner to the writer. The runner closes
	// it when the guest has ended; ending is set before that.
	feed   chan fed
	ending ending

	progress *Progress
}

// fed is one batch with the way to tell the guest that it is done with. The
// writer releases the batch.
type fed struct {
	batch bridge.Batch
	// sum is the batch's digest, or why it has none.
	sum         digest.Sum
	unsummed    error
	acknowledge func()
	// durable tells the guest that all batches up to this one are durable.
	durable func(batches uint64)
}

// ending is how the guest ended: err is nil only after its end frame.
type ending struct {
	err    error
	output string // the last of its stdout and stderr
}

// end says how the guest ended and closes the feed. Only the runner calls it, once.
func (a *assignment) end(e ending) {
	a.ending = e
	close(a.feed)
}

// settle says that the guest is not needed any more. Only the writer calls it.
func (a *assignment) settle() { a.settledOnce.Do(func() { close(a.settled) }) }

// feedLimit bounds the batches between runner and writer. The guest's window of
// unacknowledged batches is the real bound; this only lets the two overlap.
const feedLimit = 4

// attemptEnded is the writer's report that an attempt is over, guest and staging
// included. Exactly one of the three results is set, or none when a newer
// generation has taken over and nobody waits for a result.
type attemptEnded struct {
	attempt journal.Attempt
	// receipt is the job's result.
	receipt *journal.Receipt
	// interrupted says why the attempt does not count and the job must run again.
	interrupted error
	// aborted is set when the attempt was stopped by an abort.
	aborted bool
}

// Progress counts what an attempt has done so far. It is written by the writer
// and may be read by anyone.
type Progress struct {
	Job     uint64
	Plugin  string
	Rows    atomic.Int64
	Bytes   atomic.Int64 // of Arrow data taken in
	Batches atomic.Int64
	Peak    atomic.Int64 // most bytes resident in the guest, once it has ended; 0: not known

	began time.Time
}
