package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/link"
)

// sentinelLane is one lane of the [Sentinel]: a link and the conversation on it.
type sentinelLane struct {
	number   uint32
	identity string
	plugins  []string
	every    time.Duration // between heartbeats
	link     *link.Link
	events   chan<- SourceEvent // of all lanes
	outbox   chan Letter
	activity atomic.Pointer[Activity]
	skipped  *atomic.Uint64 // of all lanes
	log      *slog.Logger

	connection uint64 // that is up and has its IDENTIFY, 0 when none is
	sent       uint64 // messages sent on it
	nonsense   int    // messages since the last heartbeat that are none of the protocol
	dispatches uint64 // received, ever
	latest     uint64 // job of the last of them
}

// run keeps the link up and translates until ctx ends.
func (l *sentinelLane) run(ctx context.Context) error {
	linkDone := make(chan error, 1)
	linkCtx, stop := context.WithCancel(ctx)
	go func() { linkDone <- l.link.Run(linkCtx) }()
	err := l.translate(ctx, linkDone)
	stop()
	if err == nil || errors.Is(err, context.Canceled) {
		// The link may be handing over a last event.
		for {
			select {
			case <-l.link.Events():
			case err := <-linkDone:
				return err
			}
		}
	}
	return err
}

// translate moves messages between link and coordinator. At most one inbound
// event and one answer to a letter are in hand: when the coordinator is slow, the
// link is not read, and the Sentinel's socket fills up instead of our memory.
func (l *sentinelLane) translate(ctx context.Context, linkDone <-chan error) error {
	heartbeat := time.NewTicker(l.every)
	defer heartbeat.Stop()
	var pending []SourceEvent
	for {
		var events chan<- SourceEvent
		var first SourceEvent
		inbound, outbox := l.link.Events(), (<-chan Letter)(l.outbox)
		if len(pending) > 0 {
			events, first, inbound = l.events, pending[0], nil
		}
		if len(pending) > 1 {
			outbox = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-linkDone:
			if err == nil {
				err = errors.New("the link ended by itself")
			}
			return err
		case events <- first:
			pending = pending[1:]
		case <-heartbeat.C:
			l.nonsense = 0
			if l.connection != 0 {
				l.send(ctx, l.connection, 0, l.heartbeat())
			}
		case letter := <-outbox:
			pending = append(pending, l.post(ctx, letter))
		case event := <-inbound:
			switch e := event.(type) {
			case link.Up:
				l.sent = 0
				if err := l.send(ctx, e.Connection, 0, l.identify()); err != nil {
					continue // Down follows
				}
				l.connection = e.Connection
				pending = append(pending, Connected{Lane: l.number, Connection: e.Connection})
			case link.Down:
				if l.connection == e.Connection {
					l.connection = 0
					pending = append(pending, Disconnected{Lane: l.number, Connection: e.Connection, Reason: e.Reason})
				}
			case link.Received:
				if event := l.receive(ctx, e); event != nil {
					pending = append(pending, event)
				}
				e.Release() // the event has copies of what it needs
			}
		}
	}
}

func (l *sentinelLane) identify() protocol.Identify {
	return protocol.Identify{Capabilities: l.plugins, WorkerID: l.identity}
}

func (l *sentinelLane) heartbeat() protocol.Heartbeat {
	a := l.activity.Load()
	job := a.CurrentJob
	switch {
	case l.dispatches > a.Heard: // the coordinator has yet to hear of the last one
		job = l.latest
	case !a.Busy:
		return protocol.Heartbeat{Status: protocol.Idle}
	}
	return protocol.Heartbeat{Status: protocol.Busy, CurrentJobID: &job}
}

// receive turns one message into an event, or answers it here, or skips it.
func (l *sentinelLane) receive(ctx context.Context, r link.Received) SourceEvent {
	crashpoint.Reach(crashpoint.LinkReceiveAfter)
	message, err := protocol.Decode(r.Frames)
	if err != nil {
		l.skipped.Add(1)
		if l.nonsense++; l.nonsense > maxNonsense {
			l.link.Close(r.Connection, errNonsense)
			return nil
		}
		l.log.Warn("message from the Sentinel skipped", "reason", err)
		return l.refuse(r, err)
	}
	switch p := message.Payload.(type) {
	case protocol.Dispatch:
		return l.dispatched(r, message.JobID, specOf(p), []byte(p.SourceCode))
	case protocol.Abort:
		return Aborted{Lane: l.number, Connection: r.Connection, JobID: message.JobID}
	case protocol.PrepareEnv:
		return EnvironmentAsked{Lane: l.number, Connection: r.Connection, JobID: message.JobID,
			EnvHash: p.EnvHash, Lockfile: p.LockfileContent, PythonVersion: p.PythonVersion}
	case protocol.Heartbeat:
		l.send(ctx, r.Connection, 0, l.heartbeat())
	case protocol.Reload:
		// A plain worker has nothing to reload: what it runs comes with each job.
		l.log.Info("the Sentinel asked for a reload: nothing to do, each job brings its plugin")
	case protocol.Error:
		l.log.Warn("the Sentinel reports an error", "message", p.Message, "traceback", p.Traceback)
	default:
		l.skipped.Add(1)
		l.log.Warn("message from the Sentinel skipped", "reason", "not meant for a worker", "opcode", message.Payload.Op().String())
	}
	return nil
}

// maxNonsense is how many messages that cannot be read a peer may send between two
// heartbeats. Each of them is logged; a peer that sends more is no Sentinel, and the
// connection to it is given up.
const maxNonsense = 1000

var errNonsense = fmt.Errorf("more than %d messages between two heartbeats cannot be read", maxNonsense)

// refuse keeps a DISPATCH that cannot be read from leaving its job RUNNING for
// ever in the Sentinel: it becomes a job without content, which fails at once.
func (l *sentinelLane) refuse(r link.Received, why error) SourceEvent {
	if len(r.Frames) == 0 {
		return nil
	}
	header, err := protocol.ParseHeader(r.Frames[0])
	if err != nil || header.Op != protocol.OpDispatch || header.JobID == 0 {
		return nil
	}
	return l.dispatched(r, header.JobID, journal.JobSpec{Refused: "the DISPATCH cannot be read: " + why.Error()}, nil)
}

func (l *sentinelLane) dispatched(r link.Received, job uint64, spec journal.JobSpec, source []byte) SourceEvent {
	l.dispatches, l.latest = l.dispatches+1, job
	return Dispatched{Lane: l.number, Connection: r.Connection, Reached: r.Echoed, JobID: job, Spec: spec, Source: source}
}

// post sends one letter and says what became of it.
func (l *sentinelLane) post(ctx context.Context, letter Letter) SourceEvent {
	var err error
	switch {
	case letter.Receipt != nil:
		err = l.send(ctx, letter.Connection, letter.JobID, concludeOf(letter.Receipt))
	case letter.Ready != nil:
		err = l.send(ctx, letter.Connection, letter.JobID, protocol.EnvReady{
			EnvHash: letter.Ready.EnvHash, InterpreterPath: letter.Ready.Interpreter, Cached: letter.Ready.Cached})
	case letter.Trouble != nil:
		err = l.send(ctx, letter.Connection, letter.JobID, protocol.Error{
			Message: letter.Trouble.Message, Traceback: letter.Trouble.Detail})
	}
	if err != nil {
		return Returned{Lane: l.number, Connection: letter.Connection, Letter: letter, Reason: err}
	}
	return Posted{Lane: l.number, Connection: letter.Connection, Number: l.sent, Letter: letter}
}

func (l *sentinelLane) send(ctx context.Context, connection, job uint64, payload protocol.Payload) error {
	frames, err := protocol.Encode(protocol.Message{JobID: job, Payload: payload})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	if err := l.link.Send(ctx, connection, frames); err != nil {
		return err
	}
	l.sent++
	return nil
}

// sendPatience is how long one message may take. A link that is slower is given
// up by its own rule of progress; this one is for a peer that takes a byte now
// and then.
const sendPatience = 2 * time.Minute
