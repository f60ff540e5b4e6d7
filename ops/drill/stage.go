package drill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/sentinel"
)

// stage is a round under way: a Sentinel, a worker's folders, and one worker
// process after another.
type stage struct {
	drill  *Drill
	round  round
	folder string // of the round, with a folder each for state, output and temporary files
	server *sentinel.Sentinel

	identified chan struct{} // a worker said who it is
	all        chan struct{} // closed when every job has its receipt

	mu       sync.Mutex
	receipts map[uint64]protocol.Conclude

	accepted map[uint64]bool // jobs that the journal knew when it was last read
	traces   []trace         // of the worker processes so far
	result   Result
}

func (s *stage) state() string  { return filepath.Join(s.folder, "state") }
func (s *stage) output() string { return filepath.Join(s.folder, "out") }
func (s *stage) temp() string   { return filepath.Join(s.folder, "tmp") }

func (s *stage) problem(kind Kind, format string, args ...any) {
	s.result.Problems = append(s.result.Problems, Problem{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// play runs a round to its end. Its error is one of the drill itself; whatever the
// worker did wrong is in the result. patience bounds each process.
func (d *Drill) play(ctx context.Context, r round, patience time.Duration) (*stage, error) {
	s := &stage{
		drill: d, round: r, folder: filepath.Join(d.folder, fmt.Sprintf("round-%d", r.number)),
		identified: make(chan struct{}, 1), all: make(chan struct{}),
		receipts: map[uint64]protocol.Conclude{}, accepted: map[uint64]bool{},
		result: Result{Round: r.number, Load: r.load.Name, Kills: r.kills, Jobs: len(r.load.Inputs)},
	}
	for _, folder := range []string{s.output(), s.temp()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	var err error
	s.server, err = sentinel.Listen(sentinel.Config{Listen: "tcp://127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Heard: s.heard})
	if err != nil {
		return nil, err
	}
	serverCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	serving.Go(func() { err = errors.Join(err, s.server.Run(serverCtx)) })

	began := time.Now()
	var waiting sync.WaitGroup
	for n := range r.load.Inputs {
		ticket, err := s.server.Submit(ctx, uint64(n+1), r.load.dispatch(n))
		if err != nil {
			return nil, err
		}
		waiting.Go(func() { s.await(serverCtx, uint64(n+1), ticket) })
	}
	serving.Go(func() {
		waiting.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.receipts) == len(r.load.Inputs) {
			s.result.Took = time.Since(began)
			close(s.all)
		}
	})
	if err := s.processAfterProcess(ctx, patience); err != nil {
		return nil, err
	}
	s.result.Receipts = len(s.received())
	return s, nil
}

// heard notes that a worker came. It is called by the Sentinel and must not wait.
func (s *stage) heard(_ uint64, payload protocol.Payload) {
	if _, ok := payload.(protocol.Identify); ok {
		select {
		case s.identified <- struct{}{}:
		default: // one is noted already
		}
	}
}

// await takes a job's receipt.
func (s *stage) await(ctx context.Context, job uint64, ticket *sentinel.Ticket) {
	outcome, err := ticket.Wait(ctx)
	if worker := (*sentinel.WorkerError)(nil); errors.As(err, &worker) {
		outcome, err = protocol.Conclude{Status: protocol.Failed, ErrorMessage: err.Error()}, nil
	}
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.receipts[job] = outcome
	}
}

// received are the receipts so far, by job.
func (s *stage) received() map[uint64]protocol.Conclude {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := make(map[uint64]protocol.Conclude, len(s.receipts))
	for job, receipt := range s.receipts {
		taken[job] = receipt
	}
	return taken
}

// processAfterProcess plays the kills, and then lets a last process finish. It
// stops early at a problem: what follows one says little.
func (s *stage) processAfterProcess(ctx context.Context, patience time.Duration) error {
	var died time.Time // of the process before
	for n := 0; ; n++ {
		var kill *Kill
		if n < len(s.round.kills) {
			kill = &s.round.kills[n]
		}
		p, err := s.launch(n+1, kill)
		if err != nil {
			return err
		}
		if err := s.watch(ctx, p, kill, died, patience); err != nil {
			return err
		}
		died = time.Now()
		s.traces = append(s.traces, readTrace(p.trace))
		if complaint := p.complaint(); complaint != "" {
			s.problem(Worker, "worker process %d: %s", n+1, complaint)
		}
		if p.killed() && kill != nil {
			s.result.Hits++
		}
		s.inspect()
		if len(s.result.Problems) > 0 {
			return nil
		}
		if !p.killed() {
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				s.problem(Worker, "worker process %d left with status %d:\n%s", n+1, code, lastLines(p.log, 10))
			}
			return nil
		}
		if kill == nil {
			s.problem(Worker, "worker process %d was ended by a signal that was not the drill's", n+1)
			return nil
		}
	}
}

// watch follows a worker process to its end: it kills it at its moment, repeats what
// it may never have heard of, and asks it to leave once all is delivered. died is
// when the process before it did, or zero.
func (s *stage) watch(ctx context.Context, p *process, kill *Kill, died time.Time, patience time.Duration) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	var moment <-chan time.Time
	if kill != nil && kill.Point == "" {
		timer := time.NewTimer(kill.After)
		defer timer.Stop()
		moment = timer.C
	}
	select {
	case <-s.identified: // of the process before
	default:
	}
	all, here, leaving := s.all, false, false
	for {
		if all == nil && here && moment == nil && !leaving {
			leaving = true
			if err := p.drain(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				p.kill()
				return err
			}
		}
		select {
		case <-p.exited:
			return nil
		case <-s.identified:
			if !here && !died.IsZero() {
				s.result.Recovered = append(s.result.Recovered, time.Since(died))
			}
			here = true
			if err := s.repeat(ctx); err != nil {
				p.kill()
				return err
			}
		case <-all:
			all = nil
		case <-moment:
			p.kill()
			return nil
		case <-limit.C:
			p.kill()
			s.problem(Lost, "%d of %d receipts after %s, and no more:\n%s",
				len(s.received()), len(s.round.load.Inputs), patience, lastLines(p.log, 10))
			return nil
		case <-ctx.Done():
			p.halt()
			return context.Cause(ctx)
		}
	}
}

// halt ends a worker process and its guests at once.
func (p *process) halt() {
	asked := p.drain()
	if asked == nil {
		asked = p.drain() // the second one says at once
	}
	if asked == nil {
		select {
		case <-p.exited:
			return
		case <-time.After(endTime):
		}
	}
	p.kill()
}

// repeat gives the worker again what it was given and the journal does not know: a
// DISPATCH that was read and not yet journaled is lost with the process, and only
// the Sentinel can say it again. An impatient Sentinel says all again that has no
// receipt.
func (s *stage) repeat(ctx context.Context) error {
	taken, impatient := s.received(), s.round.impatient()
	for n := range s.round.load.Inputs {
		job := uint64(n + 1)
		_, ended := taken[job]
		heard := s.accepted[job] || len(s.traces) == 0 // the Sentinel gives jobs by itself
		if ended || heard && !impatient {
			continue
		}
		err := s.server.Repeat(ctx, job)
		if err != nil && !errors.Is(err, sentinel.ErrUnknownJob) && !errors.Is(err, sentinel.ErrNotConnected) {
			return err
		}
	}
	return nil
}
