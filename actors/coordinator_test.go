package actors

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen, on a machine that has much
// else to do.
const patience = time.Minute

// desk is a coordinator with the test in the place of all other actors: it is the
// source, it answers wishes, and it ends attempts. The journal is a real one.
type desk struct {
	*testing.T
	coordinator *Coordinator
	journal     *journal.Journal
	events      chan SourceEvent
	outboxes    []chan Letter
	shown       []atomic.Pointer[Activity]
	sent        []uint64 // messages, by lane
	done        chan error
}

func (d *desk) Run(ctx context.Context) error    { <-ctx.Done(); return nil }
func (d *desk) Lanes() int                       { return len(d.outboxes) }
func (d *desk) Events() <-chan SourceEvent       { return d.events }
func (d *desk) Outbox(lane uint32) chan<- Letter { return d.outboxes[lane] }
func (d *desk) Show(lane uint32, a Activity)     { d.shown[lane].Store(&a) }

// openDesk takes over the journal in folder and starts a coordinator on it.
func openDesk(t *testing.T, folder string, concurrency int) *desk {
	t.Helper()
	return openLanes(t, folder, concurrency, 1)
}

// openLanes is openDesk with several lanes.
func openLanes(t *testing.T, folder string, concurrency, lanes int) *desk {
	t.Helper()
	j, err := journal.Open(folder, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	sinks := sink.NewRegistry()
	sinks.Register("parquet", anything{})
	d := &desk{T: t, journal: j, events: make(chan SourceEvent), done: make(chan error, 1),
		shown: make([]atomic.Pointer[Activity], lanes), sent: make([]uint64, lanes)}
	for range lanes {
		d.outboxes = append(d.outboxes, make(chan Letter, 1))
	}
	d.coordinator = NewCoordinator(d, NewEnvironments(nil, nil, j, log), NewRunner(nil, nil, j, concurrency),
		NewWriter(sinks, j, concurrency, 0, log), j, NewMonitor(), CoordinatorConfig{
			Concurrency: concurrency, MaxCrashes: 3, ArtifactCheck: ArtifactWarn, DrainTimeout: patience, ReceiptTimeout: 7 * 24 * time.Hour, Logger: log})
	if err := d.coordinator.Recover(t.Context(), journal.WorkerStarted{WorkerID: "w"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.done <- d.coordinator.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		d.close()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the coordinator goes on")
		}
	})
	return d
}

// kill ends the coordinator as a crash would: nothing is put in order.
func (d *desk) close() { _ = d.journal.Close() }

func receiveFrom[V any](d *desk, from <-chan V, what string) V {
	d.Helper()
	select {
	case v := <-from:
		return v
	case err := <-d.done:
		d.Fatalf("the coordinator ended (%v) while the test waited for %s", err, what)
	case <-time.After(patience):
		d.Fatalf("%s did not come", what)
	}
	panic("unreachable")
}

func (d *desk) tell(event SourceEvent) {
	d.Helper()
	select {
	case d.events <- event:
	case <-time.After(patience):
		d.Fatalf("%T is not heard", event)
	}
}

// give puts what another actor has to say into its mailbox.
func give[V any](d *desk, to chan<- V, v V) {
	d.Helper()
	select {
	case to <- v:
	case <-time.After(patience):
		d.Fatalf("%+v is not heard", v)
	}
}

// dispatch gives a job on the first lane, by a Sentinel that everything has reached.
func (d *desk) dispatch(connection, job uint64, spec journal.JobSpec) {
	d.Helper()
	d.dispatchOn(0, connection, job, spec)
}

func (d *desk) dispatchOn(lane uint32, connection, job uint64, spec journal.JobSpec) {
	d.Helper()
	d.tell(Dispatched{Lane: lane, Connection: connection, Reached: d.sent[lane], JobID: job, Spec: spec, Source: pluginSource})
}

var pluginSource = []byte("class Handler: pass")

// provide answers the next wish for an environment.
func (d *desk) provide(err error) {
	d.Helper()
	wish := receiveFrom(d, d.coordinator.environments.mailbox, "a wish for an environment")
	give(d, d.coordinator.environments.answers, environmentAnswer{envHash: wish.envHash, interpreter: "/python", err: err})
}

// started gives the assignment that runner and writer got.
func (d *desk) started() *assignment {
	d.Helper()
	a := receiveFrom(d, d.coordinator.writer.mailbox, "an assignment")
	receiveFrom(d, d.coordinator.runner.mailbox, "the same assignment for the runner")
	return a
}

// succeed seals and publishes what an assignment asked for.
func (d *desk) succeed(a *assignment) {
	d.Helper()
	if _, err := d.journal.Append(d.Context(), journal.OutputSealed{Attempt: a.attempt, Metrics: map[string]int64{"rows": 5}}); err != nil {
		d.Fatal(err)
	}
	give(d, d.coordinator.writer.reports, attemptEnded{attempt: a.attempt,
		receipt: &journal.Receipt{Status: journal.Success, Metrics: map[string]int64{"rows": 5}}})
}

// stopped waits until an assignment is told to stop, and reports that it has.
func (d *desk) stopped(a *assignment, want error) {
	d.Helper()
	receiveFrom(d, a.ctx.Done(), "the wish to stop")
	if cause := context.Cause(a.ctx); !errors.Is(cause, want) {
		d.Errorf("stopped because %v, want %v", cause, want)
	}
	give(d, d.coordinator.writer.reports, attemptEnded{attempt: a.attempt, aborted: errors.Is(want, errAborted),
		interrupted: map[bool]error{true: want}[errors.Is(want, errStopping)]})
}

// letter takes the next letter of the first lane and says that it was posted.
func (d *desk) letter() Letter {
	d.Helper()
	return d.letterOn(0)
}

func (d *desk) letterOn(lane uint32) Letter {
	d.Helper()
	letter := receiveFrom(d, d.outboxes[lane], "a letter")
	d.sent[lane]++
	d.tell(Posted{Lane: lane, Connection: letter.Connection, Number: d.sent[lane], Letter: letter})
	return letter
}

func (d *desk) receipt(job uint64, status journal.Status) Letter {
	d.Helper()
	return d.receiptOn(0, job, status)
}

func (d *desk) receiptOn(lane uint32, job uint64, status journal.Status) Letter {
	d.Helper()
	letter := d.letterOn(lane)
	if letter.Receipt == nil || letter.JobID != job || letter.Receipt.Status != status {
		d.Fatalf("got %+v, want the %s receipt of job %d", letter, status, job)
	}
	return letter
}

func (d *desk) quiet(what string) {
	d.Helper()
	d.settle()
	select {
	case a := <-d.coordinator.writer.mailbox:
		d.Fatalf("%s, yet job %d was started", what, a.attempt.JobID)
	default:
	}
}

// settle waits until everything that was told so far is dealt with, and what follows
// from it is done and shown. The coordinator may hear some more before it acts on what
// it has heard; one of so many it hears after that.
func (d *desk) settle() {
	d.Helper()
	for range mostAtOnce + 1 {
		d.tell(Aborted{JobID: 999})
	}
}

// anything is a destination that takes every target and keeps nothing.
type anything struct{ sink.Driver }

func (anything) Check(sink.Target) error                    { return nil }
func (anything) Abandon(context.Context, sink.Target) error { return nil }

var someSpec = journal.JobSpec{Plugin: "sales", FilePath: "/in/a.csv", EnvHash: "system",
	Sinks: []journal.SinkSpec{{Topic: "output", URI: "parquet://sales.parquet"}}}

func TestAJobFromDispatchToConfirmation(t *testing.T) {
	d := openDesk(t, t.TempDir(), 2)
	d.tell(Connected{Connection: 1})
	d.dispatch(1, 7, someSpec)
	d.provide(nil)
	d.succeed(d.started())
	receipt := d.receipt(7, journal.Success)
	if receipt.Connection != 1 || receipt.Receipt.Metrics["rows"] != 5 {
		t.Errorf("got %+v", receipt)
	}
	d.dispatch(1, 8, someSpec)
	d.started()
	if job, _ := d.journal.State().Job(7); job.Phase != journal.Confirmed {
		t.Errorf("job 7 is %s, though the next dispatch proves that its receipt was taken", job.Phase)
	}
}

func TestMoreJobsThanPlacesWait(t *testing.T) {
	d := openDesk(t, t.TempDir(), 2)
	d.tell(Connected{Connection: 1})
	for job := uint64(1); job <= 3; job++ {
		d.dispatch(1, job, someSpec)
	}
	d.provide(nil)
	first, second := d.started(), d.started()
	d.quiet("both places are taken")
	if second.attempt.JobID != 2 {
		t.Errorf("job %d came second", second.attempt.JobID)
	}
	d.succeed(first)
	if third := d.started(); third.attempt.JobID != 3 {
		t.Errorf("job %d came third", third.attempt.JobID)
	}
}

func TestAnAbort(t *testing.T) {
	t.Run("of a running job", func(t *testing.T) {
		d := openDesk(t, t.TempDir(), 1)
		d.tell(Connected{Connection: 1})
		d.dispatch(1, 1, someSpec)
		d.provide(nil)
		a := d.started()
		d.tell(Aborted{Connection: 1, JobID: 1})
		d.stopped(a, errAborted)
		if r := d.receipt(1, journal.Failed); r.Receipt.Error != "aborted" {
			t.Errorf("error %q", r.Receipt.Error)
		}
	})
	t.Run("of a job that waits", func(t *testing.T) {
		d := openDesk(t, t.TempDir(), 1)
		d.tell(Connected{Connection: 1})
		d.dispatch(1, 1, someSpec)
		d.provide(nil)
		d.started()
		d.dispatch(1, 2, someSpec)
		d.tell(Aborted{Connection: 1, JobID: 2})
		d.receipt(2, journal.Failed)
	})
	t.Run("too late", func(t *testing.T) {
		d := openDesk(t, t.TempDir(), 1)
		d.tell(Connected{Connection: 1})
		d.dispatch(1, 1, someSpec)
		d.provide(nil)
		d.succeed(d.started())
		d.receipt(1, journal.Success)
		d.tell(Aborted{Connection: 1, JobID: 1})
		d.quiet("the job is done")
	})
}

func TestADispatchSeenAgain(t *testing.T) {
	begin := func(t *testing.T) (*desk, *assignment) {
		d := openDesk(t, t.TempDir(), 1)
		d.tell(Connected{Connection: 1})
		d.dispatch(1, 1, someSpec)
		d.provide(nil)
		return d, d.started()
	}
	t.Run("while the job runs: ignored", func(t *testing.T) {
		d, _ := begin(t)
		d.dispatch(1, 1, someSpec)
		d.quiet("the job runs already")
	})
	t.Run("on a new connection after its end: the receipt again, and nothing runs", func(t *testing.T) {
		d, a := begin(t)
		d.tell(Disconnected{Connection: 1})
		d.succeed(a)
		d.tell(Connected{Connection: 2})
		d.receipt(1, journal.Success)
		d.dispatch(2, 1, someSpec)
		if again := d.receipt(1, journal.Success); again.Connection != 2 {
			t.Errorf("sent on connection %d", again.Connection)
		}
		d.quiet("the job is done")
	})
	t.Run("on the connection that was answered: a retry", func(t *testing.T) {
		d, a := begin(t)
		d.succeed(a)
		d.receipt(1, journal.Success)
		d.dispatch(1, 1, someSpec)
		if retry := d.started(); retry.attempt.Generation != 2 {
			t.Errorf("generation %d", retry.attempt.Generation)
		}
	})
	t.Run("with other content while it runs: the old one is stopped, the new one runs", func(t *testing.T) {
		d, a := begin(t)
		other := someSpec
		other.FilePath = "/in/b.csv"
		d.dispatch(1, 1, other)
		d.stopped(a, errSuperseded)
		next := d.started()
		if next.attempt.Generation != 2 || next.spec.FilePath != "/in/b.csv" {
			t.Errorf("got %+v", next.attempt)
		}
		d.succeed(next)
		if r := d.receipt(1, journal.Success); r.Generation != 2 {
			t.Errorf("the receipt is of generation %d", r.Generation)
		}
	})
}

func TestADispatchThatCannotBeTaken(t *testing.T) {
	d := openDesk(t, t.TempDir(), 1)
	d.tell(Connected{Connection: 1})
	d.dispatch(1, 0, someSpec) // job 0 means no job
	unreadable := journal.JobSpec{Refused: "the DISPATCH cannot be read: no plugin_name"}
	d.tell(Dispatched{Connection: 1, JobID: 1, Spec: unreadable})
	if r := d.receipt(1, journal.Failed); r.Receipt.Error != unreadable.Refused {
		t.Errorf("error %q", r.Receipt.Error)
	}
	huge := someSpec
	huge.FilePath = strings.Repeat("x", journal.MaxEvent)
	d.dispatch(1, 2, huge)
	if r := d.receipt(2, journal.Failed); !strings.Contains(r.Receipt.Error, "too large to be kept") {
		t.Errorf("error %q", r.Receipt.Error)
	}
}

func TestAMissingEnvironmentFailsTheJob(t *testing.T) {
	d := openDesk(t, t.TempDir(), 1)
	d.tell(Connected{Connection: 1})
	d.dispatch(1, 1, someSpec)
	d.provide(errors.New("Environment 0123456789ab not provisioned"))
	if r := d.receipt(1, journal.Failed); !strings.HasPrefix(r.Receipt.Error, "Environment 0123456789ab not provisioned") {
		t.Errorf("error %q", r.Receipt.Error)
	}
}

func TestTroubleWaitsUntilNoJobIsInHand(t *testing.T) {
	d := openDesk(t, t.TempDir(), 1)
	d.tell(Connected{Connection: 1})
	d.dispatch(1, 1, someSpec)
	d.provide(nil)
	a := d.started()
	d.tell(EnvironmentAsked{Connection: 1, EnvHash: "bad", Lockfile: "x"})
	wish := receiveFrom(d, d.coordinator.environments.mailbox, "the wish of the PREPARE_ENV")
	if _, err := d.journal.Append(t.Context(), journal.EnvironmentFailed{EnvHash: wish.envHash, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	give(d, d.coordinator.environments.answers, environmentAnswer{envHash: wish.envHash, err: errors.New("no")})
	d.succeed(a)
	d.receipt(1, journal.Success) // before the ERR, which would set the worker free
	if letter := d.letter(); letter.Trouble == nil {
		t.Errorf("got %+v, want the ERR", letter)
	}
}

func TestDraining(t *testing.T) {
	folder := t.TempDir()
	d := openDesk(t, folder, 1)
	d.tell(Connected{Connection: 1})
	d.dispatch(1, 1, someSpec)
	d.dispatch(1, 2, someSpec)
	d.provide(nil)
	a := d.started()
	d.coordinator.Drain()
	d.succeed(a)
	d.receipt(1, journal.Success)
	d.drained()
	if state := d.journal.State(); !state.Stopped {
		t.Error("the journal does not say that the worker stopped")
	}
	d.close()

	again := openDesk(t, folder, 1)
	again.provide(nil)
	if next := again.started(); next.attempt.JobID != 2 {
		t.Errorf("job %d runs after the restart", next.attempt.JobID)
	}
}

func TestHaltingInterruptsWhatRuns(t *testing.T) {
	d := openDesk(t, t.TempDir(), 1)
	d.tell(Connected{Connection: 1})
	d.dispatch(1, 1, someSpec)
	d.provide(nil)
	a := d.started()
	d.coordinator.Halt()
	d.stopped(a, errStopping)
	d.drained()
	if job, _ := d.journal.State().Job(1); job.Phase != journal.Queued || job.Crashes != 0 {
		t.Errorf("job is %s with %d crashes", job.Phase, job.Crashes)
	}
}

// drained waits until the coordinator has ended in good order.
func (d *desk) drained() {
	d.Helper()
	select {
	case err := <-d.done:
		if err != nil {
			d.Fatal(err)
		}
	case <-time.After(patience):
		d.Fatal("the coordinator did not end")
	}
}

func TestAfterACrash(t *testing.T) {
	// crash leaves a journal with one job, as far as the events bring it.
	crash := func(t *testing.T, events ...journal.Event) string {
		folder := t.TempDir()
		j, err := journal.Open(folder, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		spec := someSpec
		source := []byte("class Handler: pass")
		spec.Source = journal.DigestOf(source)
		accepted := journal.JobAccepted{JobID: 1, Generation: 1, Spec: spec, Origin: journal.OriginNew}
		if _, err := j.Append(t.Context(), accepted, source); err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			if _, err := j.Append(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	first := journal.Attempt{JobID: 1, Generation: 1, Attempt: 1}

	t.Run("while queued: it runs", func(t *testing.T) {
		d := openDesk(t, crash(t), 1)
		d.provide(nil)
		d.started()
	})
	t.Run("while running: it runs again, as the next attempt", func(t *testing.T) {
		d := openDesk(t, crash(t, journal.AttemptStarted{Attempt: first}), 1)
		d.provide(nil)
		if a := d.started(); a.attempt.Attempt != 2 {
			t.Errorf("attempt %d", a.attempt.Attempt)
		}
	})
	t.Run("while aborting: it fails without another run", func(t *testing.T) {
		d := openDesk(t, crash(t, journal.AttemptStarted{Attempt: first}, journal.AbortRequested{JobID: 1, Generation: 1}), 1)
		d.tell(Connected{Connection: 1})
		d.receipt(1, journal.Failed)
	})
	t.Run("after sealing: it is published, not run", func(t *testing.T) {
		d := openDesk(t, crash(t, journal.AttemptStarted{Attempt: first}, journal.OutputSealed{Attempt: first}), 1)
		job := receiveFrom(d, d.coordinator.writer.publish, "the job to publish")
		give(d, d.coordinator.writer.reports, attemptEnded{attempt: job.Attempt(), receipt: &journal.Receipt{Status: journal.Success}})
		d.tell(Connected{Connection: 1})
		d.receipt(1, journal.Success)
		d.quiet("the job is done")
	})
	t.Run("after its end: the receipt goes out", func(t *testing.T) {
		d := openDesk(t, crash(t, journal.AttemptStarted{Attempt: first}, journal.OutputSealed{Attempt: first},
			journal.JobConcluded{JobID: 1, Generation: 1, Receipt: journal.Receipt{Status: journal.Success}},
			journal.ReceiptSent{JobID: 1, Generation: 1, Connection: 1}), 1)
		d.tell(Connected{Connection: 2})
		d.receipt(1, journal.Success)
	})
	t.Run("too often under the same job: it is given up", func(t *testing.T) {
		folder := crash(t)
		for range 3 {
			d := openDesk(t, folder, 1)
			d.provide(nil)
			d.started()
			d.close()
		}
		d := openDesk(t, folder, 1)
		d.tell(Connected{Connection: 1})
		if r := d.receipt(1, journal.Failed); !strings.Contains(r.Receipt.Error, "died under 3 attempts") {
			t.Errorf("error %q", r.Receipt.Error)
		}
	})
}
