package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Coordinator owns the job state machine.
//
// Owns: which job runs when, and what the source is told.
// Receives: source events, answers about environments, ends of attempts, the wish to stop.
// Emits: assignments to runner and writer, wishes to the environment builder, letters to the source.
//
// It handles one message at a time, in three steps: decide (pure), append
// (durable), act. It never waits for another actor, only for the journal: while
// the journal cannot be written the coordinator stands still, and with it the worker.
type Coordinator struct {
	source       Source
	environments *Environments
	runner       *Runner
	writer       *Writer
	journal      *journal.Journal
	config       CoordinatorConfig
	log          *slog.Logger

	lanes     []*lane
	began     time.Time
	undurable bool          // something was decided and not made durable yet
	begun     []*assignment // decided, and to be handed over once that is durable
	scheduler scheduler
	running   map[uint64]*assignment  // by job id; also one that a newer generation waits for
	closing   map[uint64]bool         // sealed jobs being published again after a restart
	left      map[uint64]*bridge.Left // guests of the process before that are gone on with
	asked     map[string][]EnvironmentAsked
	usable    map[string]string // env_hash → interpreter
	hold      hold              // no job starts until there is room on the disk
	draining  bool
	drain     chan struct{}
	halt      chan struct{}
	haltOnce  sync.Once
	drainOnce sync.Once

	monitor *Monitor
}

// CoordinatorConfig configures a [Coordinator].
type CoordinatorConfig struct {
	// Concurrency is how many jobs run at once. Others wait in the journal.
	Concurrency int
	// MemoryLimit is what the running guests may be expected to take together, in
	// bytes; 0: no limit.
	MemoryLimit int64
	// MaxCrashes ends a job under which the worker died that often: a plugin that
	// takes the whole machine down each time must not do so for ever.
	MaxCrashes uint32
	// ArtifactCheck says what a wrong artifact_hash leads to.
	ArtifactCheck ArtifactCheck
	// ReceiptTimeout is how long a receipt may be owed before it is not sent by itself
	// any more; 0 is for ever.
	ReceiptTimeout time.Duration
	// Reattach has guests gone on with that outlived the process before.
	Reattach bool
	// DrainTimeout is how long running jobs may go on after the wish to stop.
	DrainTimeout time.Duration
	Logger       *slog.Logger
}

// NewCoordinator joins the actors.
func NewCoordinator(source Source, environments *Environments, runner *Runner, writer *Writer, j *journal.Journal, monitor *Monitor, config CoordinatorConfig) *Coordinator {
	lanes := make([]*lane, source.Lanes())
	for i := range lanes {
		lanes[i] = &lane{number: uint32(i)}
	}
	return &Coordinator{
		source: source, lanes: lanes, environments: environments, runner: runner, writer: writer, journal: j,
		config: config, log: config.Logger, monitor: monitor,
		began:   time.Now(),
		running: map[uint64]*assignment{}, left: map[uint64]*bridge.Left{}, closing: map[uint64]bool{},
		asked: map[string][]EnvironmentAsked{}, usable: map[string]string{},
		drain: make(chan struct{}), halt: make(chan struct{}),
		scheduler: scheduler{places: config.Concurrency, memory: config.MemoryLimit},
	}
}

// Drain asks for an end in good order: running jobs finish (for DrainTimeout at
// most), receipts go out, everything else stays in the journal. Run then returns
// nil. It may be called more than once and from anywhere; when it has returned, no
// job is chosen to start any more.
func (c *Coordinator) Drain() { c.drainOnce.Do(func() { close(c.drain) }) }

// drainAsked tells whether Drain was called, heard of yet or not.
func (c *Coordinator) drainAsked() bool {
	select {
	case <-c.drain:
		return true
	default:
		return false
	}
}

// Halt asks for an end at once: running guests are killed, and their jobs run
// again at the next start.
func (c *Coordinator) Halt() {
	c.Drain()
	c.haltOnce.Do(func() { close(c.halt) })
}

// Recover takes over from the process before: it settles what was in hand when
// that ended. It must return before any actor runs. started are the first events of
// this process.
func (c *Coordinator) Recover(ctx context.Context, started ...journal.Event) error {
	for _, event := range started {
		if _, err := c.journal.Append(ctx, event); err != nil {
			return err
		}
	}
	state := c.journal.State()
	for job := range state.Unfinished() {
		if left := c.leftGuest(job); left != nil {
			c.left[job.ID] = left
			continue
		}
		if err := killLeftover(job); err != nil {
			return err
		}
		switch job.Phase {
		case journal.Running:
			if _, err := c.journal.Append(ctx, journal.AttemptInterrupted{Attempt: job.Attempt(), Reason: "the worker ended under it", Crashed: true}); err != nil {
				return err
			}
			fallthrough
		case journal.Queued:
			if job.Attempts > 0 || len(job.Stale) > 0 {
				if err := c.discard(ctx, job, job.Checkpoint); err != nil {
					return err
				}
			}
		}
	}
	// A job has its result as soon as its guest has said the last word; what the
	// plugin started may have outlived that.
	for job := range state.Owed() {
		if err := killLeftover(job); err != nil {
			return err
		}
	}
	return nil
}

// Run serves until the worker has drained or ctx ends. An error means that the
// journal cannot be written and nothing may go on.
func (c *Coordinator) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	if err := c.wishWanted(ctx); err != nil {
		return err
	}
	if err := c.takeUp(ctx); err != nil {
		return err
	}
	drain, halt := c.drain, c.halt
	var deadline, last <-chan time.Time
	for {
		if err := c.advance(ctx); err != nil {
			return unlessDone(ctx, err)
		}
		if c.draining && c.settled() {
			_, err := c.journal.Append(ctx, journal.WorkerStopped{Reason: "drained"})
			return unlessDone(ctx, err)
		}
		var err error
		select {
		case <-ctx.Done():
			c.stopAll(errStopping)
			return nil
		case event := <-c.source.Events():
			err = c.hear(ctx, event)
		case answer := <-c.environments.answers:
			err = c.provision(ctx, answer)
		case ended := <-c.writer.reports:
			err = c.settle(ctx, ended)
		case <-drain:
			drain, c.draining = nil, true
			deadline = time.After(c.config.DrainTimeout)
			c.log.Info("draining: running jobs finish, the others stay in the journal",
				"running", len(c.running), "at_most", c.config.DrainTimeout)
		case <-deadline:
			deadline = nil
			c.log.Warn("drain time is over: running jobs are stopped and will run again at the next start", "running", len(c.running))
			c.stopAll(errStopping)
			last = time.After(guestPatience)
		case <-halt:
			halt = nil
			c.stopAll(errStopping)
			last = time.After(guestPatience)
		case <-last:
			c.log.Warn("stopping with work in hand: the next start takes it up")
			return nil
		case <-tick.C:
			if err = c.wishWanted(ctx); err == nil {
				err = c.lapse(ctx)
			}
		}
		if err == nil {
			err = c.catchUp(ctx)
		}
		if err != nil {
			return unlessDone(ctx, err)
		}
	}
}

// mostAtOnce is how many messages are handled at most before what they led to is made
// durable and done, besides the first.
const mostAtOnce = 64

// catchUp handles what has arrived meanwhile, so that it shares the next commit.
func (c *Coordinator) catchUp(ctx context.Context) (err error) {
	for range mostAtOnce {
		select {
		case event := <-c.source.Events():
			err = c.hear(ctx, event)
		case ended := <-c.writer.reports:
			err = c.settle(ctx, ended)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decide appends an event. It is durable after the next harden, which comes before
// anything is done because of it.
func (c *Coordinator) decide(ctx context.Context, event journal.Event, blobs ...[]byte) (journal.State, error) {
	c.undurable = true
	return c.journal.AppendLater(ctx, event, blobs...)
}

// harden makes what was decided durable, all of it in one commit.
func (c *Coordinator) harden(ctx context.Context) error {
	if !c.undurable {
		return nil
	}
	c.undurable = false
	return c.journal.Flush(ctx)
}

func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Coordinator) stopAll(why error) {
	for _, a := range c.running {
		a.stop(why)
	}
}

// settled reports whether nothing is in hand that a stopping worker waits for.
// Receipts are only waited for while there is somebody to send them to.
func (c *Coordinator) settled() bool {
	if len(c.running) > 0 || len(c.closing) > 0 {
		return false
	}
	for _, l := range c.lanes {
		if !l.settled() {
			return false
		}
	}
	return true
}

// hear handles one source event.
func (c *Coordinator) hear(ctx context.Context, event SourceEvent) error {
	switch e := event.(type) {
	case Connected:
		l := c.lane(e.Lane)
		l.connected(e.Connection, c.owedOn(l))
		c.log.Debug("connected to the Sentinel", "lane", e.Lane, "connection", e.Connection)
	case Disconnected:
		c.lane(e.Lane).disconnected()
		c.log.Debug("connection to the Sentinel lost", "lane", e.Lane, "connection", e.Connection, "reason", e.Reason)
	case Dispatched:
		return c.dispatched(ctx, e)
	case Aborted:
		return c.abort(ctx, e)
	case EnvironmentAsked:
		return c.prepare(ctx, e)
	case Posted:
		c.lane(e.Lane).inPost = false
		return c.posted(ctx, e)
	case Returned:
		l := c.lane(e.Lane)
		l.inPost, l.postAt = false, time.Now().Add(time.Second)
		c.log.Info("not sent, it stays in the journal", "job", e.Letter.JobID, "reason", e.Reason)
	}
	return nil
}

// dispatched takes a job on, or knows it already.
func (c *Coordinator) dispatched(ctx context.Context, e Dispatched) error {
	l := c.lane(e.Lane)
	l.heard++
	if len(e.Source) > journal.MaxBlob {
		e.Spec.Refused = fmt.Sprintf("the plugin's source has %d bytes, at most %d are taken", len(e.Source), journal.MaxBlob)
		e.Source = nil
	}
	e.Spec.Source = journal.DigestOf(e.Source)
	var meant bool
	if l.isUp(e.Connection) {
		meant = l.exchange.meant(e.JobID, e.Reached)
		// What the DISPATCH means without its evidence tells whether it has any.
		what, _ := judge(c.journal.State(), e.JobID, e.Spec, meant)
		for _, r := range l.exchange.dispatched(e.JobID, e.Reached, what == accept) {
			if err := c.confirm(ctx, r, "a later DISPATCH on the same connection"); err != nil {
				return err
			}
		}
	}
	what, accepted := judge(c.journal.State(), e.JobID, e.Spec, meant)
	if what == ignore && crashpoint.Broken(crashpoint.DuplicateRuns) {
		job, _ := c.journal.State().Job(e.JobID)
		what, accepted = accept, journal.JobAccepted{JobID: e.JobID, Generation: job.Generation + 1, Spec: e.Spec, Origin: journal.OriginRetry}
	}
	accepted.Lane = e.Lane
	switch what {
	case ignore:
		c.log.Info("dispatched again while in hand: ignored", "job", e.JobID, "lane", e.Lane)
		return nil
	case repeat:
		c.log.Info("dispatched again after its end: the receipt is sent again", "job", e.JobID, "lane", e.Lane)
		l.owe(e.JobID)
		return nil
	}
	state, err := c.decide(ctx, accepted, e.Source)
	if errors.Is(err, journal.ErrTooLarge) {
		accepted.Spec = journal.JobSpec{Refused: "the DISPATCH is too large to be kept: " + err.Error(), Source: journal.DigestOf(nil)}
		state, err = c.decide(ctx, accepted, nil)
	}
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		c.log.Warn("dispatch refused", "job", e.JobID, "reason", illegal.Why)
		return nil
	}
	if err != nil {
		return err
	}
	c.log.Info("job accepted", "job", e.JobID, "plugin", e.Spec.Plugin, "file", e.Spec.FilePath,
		"generation", accepted.Generation, "origin", string(accepted.Origin), "lane", e.Lane)
	if before := c.running[e.JobID]; before != nil {
		if err := c.harden(ctx); err != nil {
			return err
		}
		before.stop(errSuperseded)
	} else if job, _ := state.Job(e.JobID); len(job.Stale) > 0 {
		return c.discard(ctx, job, nil) // what the generation before had durable
	}
	return nil
}

// discard removes what a job that nobody works on has staged, except for what the
// checkpoint covers. What was decided is durable before that. An error is one of the
// journal.
func (c *Coordinator) discard(ctx context.Context, job *journal.Job, checkpoint *journal.Checkpoint) error {
	if err := c.harden(ctx); err != nil {
		return err
	}
	if err := c.writer.discard(ctx, job, checkpoint); err != nil {
		c.log.Warn("what an interrupted attempt staged could not be removed", "job", job.ID, "error", err)
	}
	return nil
}

// abort stops a job. The receipt follows when its guest and staging are gone.
func (c *Coordinator) abort(ctx context.Context, e Aborted) error {
	job, known := c.journal.State().Job(e.JobID)
	if !known {
		c.log.Warn("abort of a job that this worker does not know: ignored", "job", e.JobID)
		return nil
	}
	_, err := c.journal.Append(ctx, journal.AbortRequested{JobID: job.ID, Generation: job.Generation})
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		c.log.Info("abort came too late", "job", e.JobID, "reason", illegal.Why)
		return nil
	}
	if err != nil {
		return err
	}
	c.log.Info("aborting", "job", e.JobID)
	if a := c.running[e.JobID]; a != nil {
		a.stop(errAborted)
	}
	return nil
}

// settle records how an attempt ended.
func (c *Coordinator) settle(ctx context.Context, ended attemptEnded) error {
	id := ended.attempt.JobID
	c.monitor.ended(id)
	if a := c.running[id]; a != nil && ended.receipt != nil {
		c.scheduler.ended(a.spec.Plugin, time.Since(a.progress.began), a.progress.Peak.Load())
	}
	delete(c.running, id)
	delete(c.closing, id)
	job, known := c.journal.State().Job(id)
	if !known || job.Attempt() != ended.attempt {
		if known && job.Attempts == 0 && len(job.Stale) > 0 {
			return c.discard(ctx, job, nil)
		}
		return nil // a newer generation has taken over
	}
	switch {
	case ended.interrupted != nil && job.Phase == journal.Sealed:
		return nil // published at the next start
	case ended.aborted || (job.Aborting && ended.receipt == nil):
		return c.conclude(ctx, job, abortedReceipt())
	case ended.interrupted != nil:
		c.putBack(job, ended.interrupted)
		_, err := c.decide(ctx, journal.AttemptInterrupted{Attempt: ended.attempt, Reason: head(ended.interrupted.Error(), messageLimit), Crashed: notAttached(ended.interrupted)})
		return err
	case ended.receipt != nil:
		if job.Aborting && ended.receipt.Status == journal.Failed {
			return c.conclude(ctx, job, abortedReceipt())
		}
		return c.conclude(ctx, job, ended.receipt)
	}
	return nil
}

// putBack decides when an interrupted job may run again. With a full disk the others
// would fare no better: none starts for a while.
func (c *Coordinator) putBack(job *journal.Job, why error) {
	if errors.Is(why, errStopping) {
		return
	}
	if notAttached(why) {
		c.log.Info("the guest that outlived the worker cannot be gone on with: the job runs again", "job", job.ID, "reason", why)
		return
	}
	if other := (*otherDataError)(nil); errors.As(why, &other) {
		return
	}
	if errors.Is(why, venv.ErrNotProvisioned) {
		delete(c.usable, job.Spec.EnvHash) // it was there a moment ago: ask again
		return
	}
	wait := c.hold.longer()
	c.monitor.held(roomHint + ": " + head(why.Error(), messageLimit))
	c.log.Warn("no job starts for a while: the disk takes no writes, the job will run again", "job", job.ID, "reason", why, "in", wait, "hint", roomHint)
}

// conclude gives a job its result.
func (c *Coordinator) conclude(ctx context.Context, job *journal.Job, r *journal.Receipt) error {
	if r.Metrics == nil {
		r.Metrics = map[string]int64{"rows": 0}
	}
	if r.Artifacts == nil {
		r.Artifacts = []journal.Artifact{}
	}
	if job.Phase == journal.Queued && job.Attempts > 0 || job.Phase == journal.Running && job.Checkpoint != nil {
		if err := c.discard(ctx, job, nil); err != nil { // nobody will go on with it
			return err
		}
	}
	_, err := c.decide(ctx, journal.JobConcluded{JobID: job.ID, Generation: job.Generation, Receipt: *r, At: time.Now().UTC()})
	if err != nil {
		return err
	}
	for _, l := range c.lanes {
		if c.awaited(l, job) {
			l.owe(job.ID)
		}
	}
	if r.Status == journal.Success {
		c.hold = hold{}
		c.monitor.held("")
		c.log.Info("job concluded", "job", job.ID, "status", string(r.Status), "rows", r.Metrics["rows"], "files", len(r.Artifacts))
	} else {
		c.log.Warn("job concluded", "job", job.ID, "status", string(r.Status), "error", head(r.Error, 500))
	}
	c.monitor.concluded(job.ID, r)
	return nil
}

func failed(format string, args ...any) *journal.Receipt {
	return &journal.Receipt{Status: journal.Failed, Error: fmt.Sprintf(format, args...)}
}

// abortedReceipt is the answer to an ABORT, in the word that the Sentinel's
// people look for.
func abortedReceipt() *journal.Receipt { return failed("aborted") }
