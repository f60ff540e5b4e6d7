package sentinel

import (
	"log/slog"
	"slices"
	"unicode/utf8"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// ledger is all that the Sentinel knows. Run's goroutine owns it; nothing else
// touches it.
type ledger struct {
	log          *slog.Logger
	heard        func(jobID uint64, payload protocol.Payload) // may be nil
	workers      []*worker                                    // in the order in which they first came
	queue        []*job
	running      map[uint64]*job
	preparations []*preparation
}

// worker is what is known of one identity.
type worker struct {
	identity     string
	peer         *peer // nil while it is not connected
	identified   bool  // on this connection or an earlier one
	capabilities []string
	idle         bool
}

// job is queued or running.
type job struct {
	id     uint64
	plugin string
	frames [][]byte
	ticket *Ticket
	worker *worker // that runs it
}

// preparation is an environment that somebody waits for.
type preparation struct {
	hash   string
	frames [][]byte
	worker *worker // that was asked, nil when none was yet
	answer chan prepared
}

type prepared struct {
	ready protocol.EnvReady
	err   error
}

func newLedger(log *slog.Logger) *ledger {
	return &ledger{log: log, running: map[uint64]*job{}}
}

// close gives everybody who waits the end.
func (l *ledger) close() {
	for _, j := range l.queue {
		j.ticket.end(protocol.Conclude{}, ErrStopped)
	}
	for _, j := range l.running {
		j.ticket.end(protocol.Conclude{}, ErrStopped)
	}
	for _, p := range l.preparations {
		p.answer <- prepared{err: ErrStopped}
	}
}

func (l *ledger) worker(identity string) *worker {
	for _, w := range l.workers {
		if w.identity == identity {
			return w
		}
	}
	w := &worker{identity: identity}
	l.workers = append(l.workers, w)
	return w
}

// connected takes note of a connection. The last one under an identity counts.
func (l *ledger) connected(p *peer) {
	w := l.worker(p.identity)
	if w.peer != nil {
		w.peer.leave()
	}
	w.peer = p
}

// disconnected leaves the worker's job RUNNING: the worker may come back with it.
// A worker without a job is forgotten.
func (l *ledger) disconnected(p *peer) {
	w := l.worker(p.identity)
	if w.peer != p {
		return // another connection took over
	}
	w.peer = nil
	runs := false
	for _, j := range l.running {
		runs = runs || j.worker == w
	}
	if !runs {
		l.workers = slices.DeleteFunc(l.workers, func(other *worker) bool { return other == w })
	}
	for _, preparation := range l.preparations {
		if preparation.worker == w {
			preparation.worker = nil
		}
	}
	l.askForEnvironments()
}

// received is a message that could be read.
func (l *ledger) received(p *peer, message protocol.Message) {
	if l.heard != nil {
		l.heard(message.JobID, message.Payload)
	}
	w := l.worker(p.identity)
	switch payload := message.Payload.(type) {
	case protocol.Identify:
		if p.identity == "" || !utf8.ValidString(p.identity) {
			p.refuseIdentity()
			return
		}
		w.identified, w.idle, w.capabilities = true, true, payload.Capabilities
		for _, preparation := range l.preparations {
			if preparation.worker == w {
				preparation.worker = nil // it may have forgotten
			}
		}
		l.askForEnvironments()
		l.dispatch()
	case protocol.Conclude:
		w.idle = w.identified
		if payload.Status == protocol.Success || payload.Status == protocol.Failed {
			l.conclude(message.JobID, payload, nil)
		}
		l.dispatch()
	case protocol.Error:
		w.idle = w.identified
		failed := &WorkerError{Message: payload.Message, Traceback: payload.Traceback}
		if message.JobID != 0 {
			l.conclude(message.JobID, protocol.Conclude{}, failed)
		} else {
			l.answer(func(p *preparation) bool { return p.worker == w }, prepared{err: failed}, 1)
		}
		l.dispatch()
	case protocol.EnvReady:
		l.answer(func(p *preparation) bool { return p.hash == payload.EnvHash }, prepared{ready: payload}, len(l.preparations))
	case protocol.Heartbeat:
		// It is never answered, and changes nothing.
	default:
		l.log.Warn("message from a worker skipped", "worker", p.identity, "opcode", message.Payload.Op())
	}
}

func (l *ledger) conclude(id uint64, outcome protocol.Conclude, err error) {
	j, found := l.running[id]
	if !found {
		l.log.Warn("a receipt for a job that is not running", "job", id)
		return
	}
	delete(l.running, id)
	j.ticket.end(outcome, err)
}

func (l *ledger) submit(j *job) error {
	if _, runs := l.running[j.id]; runs || slices.ContainsFunc(l.queue, func(q *job) bool { return q.id == j.id }) {
		return ErrJobOpen
	}
	if len(l.queue) >= maxQueued {
		return ErrQueueFull
	}
	l.queue = append(l.queue, j)
	l.dispatch()
	return nil
}

// dispatch gives queued jobs, in their order, to idle workers while there are any.
func (l *ledger) dispatch() {
	for len(l.queue) > 0 {
		anyIdle, able := false, (*worker)(nil)
		for _, w := range l.workers {
			if !w.idle || w.peer == nil {
				continue
			}
			anyIdle = true
			if slices.Contains(w.capabilities, l.queue[0].plugin) {
				able = w
				break
			}
		}
		if !anyIdle {
			return
		}
		j := l.queue[0]
		l.queue = l.queue[1:]
		if able == nil {
			j.ticket.end(protocol.Conclude{}, ErrNoCapableWorker)
			continue
		}
		able.idle = false
		j.worker = able
		l.running[j.id] = j
		able.peer.send(j.frames)
	}
}

func (l *ledger) abort(id uint64) error {
	if at := slices.IndexFunc(l.queue, func(q *job) bool { return q.id == id }); at >= 0 {
		l.queue[at].ticket.end(protocol.Conclude{}, ErrAborted)
		l.queue = slices.Delete(l.queue, at, at+1)
		return nil
	}
	j, found := l.running[id]
	if !found {
		return ErrUnknownJob
	}
	if j.worker.peer == nil {
		return ErrNotConnected
	}
	frames, err := protocol.Encode(protocol.Message{JobID: id, Payload: protocol.Abort{}})
	if err != nil {
		return err
	}
	j.worker.peer.send(frames)
	return nil
}

func (l *ledger) repeat(id uint64) error {
	j, found := l.running[id]
	if !found {
		return ErrUnknownJob
	}
	if j.worker.peer == nil {
		return ErrNotConnected
	}
	j.worker.peer.send(j.frames)
	return nil
}

func (l *ledger) prepare(p *preparation) {
	l.preparations = append(l.preparations, p)
	l.askForEnvironments()
}

func (l *ledger) forget(p *preparation) {
	l.preparations = slices.DeleteFunc(l.preparations, func(other *preparation) bool { return other == p })
}

// askForEnvironments sends the requests that no worker has yet to the first one.
func (l *ledger) askForEnvironments() {
	for _, w := range l.workers {
		if !w.identified || w.peer == nil {
			continue
		}
		for _, p := range l.preparations {
			if p.worker == nil {
				p.worker = w
				w.peer.send(p.frames)
			}
		}
		return
	}
}

// answer ends the first preparations that match, at most so many.
func (l *ledger) answer(matches func(*preparation) bool, with prepared, most int) {
	l.preparations = slices.DeleteFunc(l.preparations, func(p *preparation) bool {
		if most == 0 || !matches(p) {
			return false
		}
		most--
		p.answer <- with
		return true
	})
}
