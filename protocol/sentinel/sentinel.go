// Package sentinel is a small Sentinel inside the process: it gives jobs to
// workers over a real socket, as the Python Sentinel does where a worker can tell
// the difference.
//
// Like that one it
//   - gives a worker identity one job at a time, and the next DISPATCH only after
//     its CONCLUDE or ERR;
//   - compares plugin names with capabilities literally, and fails a job at once
//     that it comes to while workers are idle but none of them lists the plugin;
//   - acknowledges nothing, and times nothing out;
//   - makes a fresh idle record of every IDENTIFY, whatever ran under it before, and
//     refuses an identity that is not UTF-8 with an ERR;
//   - does not compare the sender of a CONCLUDE with the worker that got the job.
//
// Unlike that one it keeps nothing on disk; gives jobs to connected workers only;
// lets a new connection take over the identity of an old one; and can send
// PREPARE_ENV and ABORT.
//
// A ROUTER of github.com/go-zeromq/zmq4 would not do: it hands PINGs to the
// application as messages and never answers them, one silent client blocks all
// others from being accepted, and malformed metadata is a panic. So this one
// accepts by itself and speaks through package zmtp.
package sentinel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// Config says where to listen.
type Config struct {
	Listen string       // tcp://address:port (port 0: a free one) or ipc://path
	Logger *slog.Logger // default none
	// Heard is told of every message of a worker before anything is done about it, in
	// their order. It must not wait. It may be nil.
	Heard func(jobID uint64, payload protocol.Payload)
}

// Sentinel gives jobs to the workers that connect to it. Make it with [Listen],
// then call [Sentinel.Run] once. Its methods may be called from any goroutine; they
// wait for Run to be there.
type Sentinel struct {
	endpoint string
	listener net.Listener
	log      *slog.Logger
	heard    func(jobID uint64, payload protocol.Payload)
	running  atomic.Bool

	letters chan func(*ledger) // what Run's goroutine is asked to do
	ended   chan struct{}      // closed when it does nothing more
	peers   sync.WaitGroup
	places  chan struct{} // one per open connection
}

const (
	maxConnections = 256
	maxQueued      = 1 << 16 // jobs
)

var (
	// ErrStopped: the Sentinel has stopped; a job that is open then has no result.
	ErrStopped = errors.New("the Sentinel has stopped")
	// ErrNoCapableWorker: workers were idle, and none of them lists the plugin.
	ErrNoCapableWorker = errors.New("no idle worker lists the plugin")
	// ErrAborted: the job was aborted before a worker got it.
	ErrAborted = errors.New("aborted before it was dispatched")
	// ErrJobOpen: a job of that id is queued or running.
	ErrJobOpen = errors.New("the job is queued or running already")
	// ErrUnknownJob: no job of that id is queued or running.
	ErrUnknownJob = errors.New("no such job is queued or running")
	// ErrNotConnected: the worker that has the job is not connected.
	ErrNotConnected = errors.New("the worker that has the job is not connected")
	// ErrQueueFull: too many jobs wait.
	ErrQueueFull = fmt.Errorf("%d jobs are queued already", maxQueued)
)

// WorkerError is a worker's ERR.
type WorkerError struct {
	Message   string
	Traceback string // may be empty
}

func (e *WorkerError) Error() string { return "the worker reports: " + e.Message }

// Listen binds the endpoint. Workers are served by [Sentinel.Run].
func Listen(config Config) (*Sentinel, error) {
	scheme, address, found := strings.Cut(config.Listen, "://")
	network := map[string]string{"tcp": "tcp", "ipc": "unix"}[scheme]
	if !found || network == "" || address == "" {
		return nil, fmt.Errorf("sentinel: cannot listen on %q: write tcp://address:port or ipc://path", config.Listen)
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("sentinel: listen on %s: %w", config.Listen, err)
	}
	log := config.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Sentinel{
		endpoint: scheme + "://" + listener.Addr().String(),
		listener: listener,
		log:      log,
		heard:    config.Heard,
		letters:  make(chan func(*ledger)),
		ended:    make(chan struct{}),
		places:   make(chan struct{}, maxConnections),
	}, nil
}

// Endpoint is where workers connect, with the port that was chosen.
func (s *Sentinel) Endpoint() string { return s.endpoint }

// Close lets go of the endpoint when Run is not to be called. It may be repeated.
func (s *Sentinel) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("sentinel: close %s: %w", s.endpoint, err)
	}
	return nil
}

// Run serves workers until ctx ends, then closes their connections in good order
// and returns nil. Whoever waits for a job or an environment then gets ErrStopped.
func (s *Sentinel) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("sentinel: Run was called before")
	}
	ctx, stop := context.WithCancel(ctx)
	defer s.peers.Wait()
	defer stop()
	accepting := make(chan error, 1)
	s.peers.Go(func() { accepting <- s.accept(ctx) })
	defer s.listener.Close()

	book := newLedger(s.log)
	book.heard = s.heard
	defer func() {
		close(s.ended)
		book.close()
	}()
	for {
		select {
		case do := <-s.letters:
			do(book)
		case err := <-accepting:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// ask has Run's goroutine do something, and waits until it takes it on.
func (s *Sentinel) ask(ctx context.Context, do func(*ledger)) error {
	select {
	case s.letters <- do:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return ErrStopped
	}
}

// Submit queues a job. The error is that of a job that cannot be sent, or of ctx,
// or ErrJobOpen, ErrQueueFull or ErrStopped. A job that has its result may be
// submitted again under the same id.
func (s *Sentinel) Submit(ctx context.Context, jobID uint64, dispatch protocol.Dispatch) (*Ticket, error) {
	if jobID == 0 {
		return nil, errors.New("submit a job: 0 is no job id")
	}
	frames, err := protocol.Encode(protocol.Message{JobID: jobID, Payload: dispatch})
	if err != nil {
		return nil, fmt.Errorf("submit job %d: %w", jobID, err)
	}
	ticket := &Ticket{job: jobID, done: make(chan struct{})}
	answer := make(chan error, 1)
	asked := s.ask(ctx, func(book *ledger) {
		answer <- book.submit(&job{id: jobID, plugin: dispatch.PluginName, frames: frames, ticket: ticket})
	})
	if asked == nil {
		asked = <-answer
	}
	if asked != nil {
		return nil, fmt.Errorf("submit job %d: %w", jobID, asked)
	}
	return ticket, nil
}

// Abort asks the worker that has the job to stop it; the job then ends with the
// worker's receipt. A job that is only queued ends at once, with ErrAborted. Other
// errors are ErrUnknownJob, ErrNotConnected, ErrStopped and that of ctx.
func (s *Sentinel) Abort(ctx context.Context, jobID uint64) error {
	answer := make(chan error, 1)
	err := s.ask(ctx, func(book *ledger) { answer <- book.abort(jobID) })
	if err == nil {
		err = <-answer
	}
	if err != nil {
		return fmt.Errorf("abort job %d: %w", jobID, err)
	}
	return nil
}

// Repeat gives a running job to its worker again, as a Sentinel does that was
// restored from a backup, or an operator who lost patience. Errors are
// ErrUnknownJob, ErrNotConnected, ErrStopped and that of ctx.
func (s *Sentinel) Repeat(ctx context.Context, jobID uint64) error {
	answer := make(chan error, 1)
	err := s.ask(ctx, func(book *ledger) { answer <- book.repeat(jobID) })
	if err == nil {
		err = <-answer
	}
	if err != nil {
		return fmt.Errorf("repeat job %d: %w", jobID, err)
	}
	return nil
}

// Prepare has an environment made by the first worker there is, waits for one if
// there is none, and for its answer. A worker that comes back is asked again. An ERR
// gives a *WorkerError.
func (s *Sentinel) Prepare(ctx context.Context, environment protocol.PrepareEnv) (protocol.EnvReady, error) {
	fail := func(err error) (protocol.EnvReady, error) {
		return protocol.EnvReady{}, fmt.Errorf("prepare environment %.12s: %w", environment.EnvHash, err)
	}
	frames, err := protocol.Encode(protocol.Message{Payload: environment})
	if err != nil {
		return fail(err)
	}
	p := &preparation{hash: environment.EnvHash, frames: frames, answer: make(chan prepared, 1)}
	if err := s.ask(ctx, func(book *ledger) { book.prepare(p) }); err != nil {
		return fail(err)
	}
	select {
	case got := <-p.answer:
		if got.err != nil {
			return fail(got.err)
		}
		return got.ready, nil
	case <-ctx.Done():
		// Without its asker a late answer has nowhere to go; Run may have ended, too.
		_ = s.ask(context.WithoutCancel(ctx), func(book *ledger) { book.forget(p) })
		return fail(ctx.Err())
	}
}

// Ticket stands for a job's result.
type Ticket struct {
	job     uint64
	done    chan struct{}
	outcome protocol.Conclude
	err     error
}

// Wait gives the worker's receipt, SUCCESS or FAILED. Its errors are *WorkerError
// when the worker sent an ERR for the job, ErrNoCapableWorker, ErrAborted,
// ErrStopped, and that of ctx. It may be called again.
func (t *Ticket) Wait(ctx context.Context) (protocol.Conclude, error) {
	select {
	case <-t.done:
		if t.err != nil {
			return protocol.Conclude{}, fmt.Errorf("job %d: %w", t.job, t.err)
		}
		return t.outcome, nil
	case <-ctx.Done():
		return protocol.Conclude{}, fmt.Errorf("wait for job %d: %w", t.job, ctx.Err())
	}
}

func (t *Ticket) end(outcome protocol.Conclude, err error) {
	t.outcome, t.err = outcome, err
	close(t.done)
}
