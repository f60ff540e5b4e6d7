package actors

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/link"
)

// Sentinel is the connection actor: jobs and receipts over the ZeroMQ link.
//
// Owns: the link and the protocol on it.
// Receives: frames from the link, letters from the coordinator.
// Emits: source events to the coordinator; IDENTIFY, HEARTBEAT, CONCLUDE, ENV_READY and ERR to the Sentinel.
type Sentinel struct {
	config   SentinelConfig
	link     *link.Link
	events   chan SourceEvent
	outbox   chan Letter
	activity atomic.Pointer[Activity]
	skipped  atomic.Uint64
	log      *slog.Logger
}

// SentinelConfig configures a [Sentinel].
type SentinelConfig struct {
	Link link.Config
	// Plugins are the capabilities to advertise. The Sentinel compares them
	// literally with a job's plugin name (observed).
	Plugins   []string
	Heartbeat time.Duration
	Logger    *slog.Logger
}

// NewSentinel checks the configuration. Nothing is dialled before Run.
func NewSentinel(config SentinelConfig) (*Sentinel, error) {
	l, err := link.New(config.Link)
	if err != nil {
		return nil, err
	}
	s := &Sentinel{
		config: config, link: l, log: config.Logger,
		events: make(chan SourceEvent), outbox: make(chan Letter, 1),
	}
	s.activity.Store(&Activity{})
	return s, nil
}

func (s *Sentinel) Events() <-chan SourceEvent { return s.events }
func (s *Sentinel) Outbox() chan<- Letter      { return s.outbox }
func (s *Sentinel) Show(a Activity)            { s.activity.Store(&a) }

// LinkStatus is the state of the connection, for display.
func (s *Sentinel) LinkStatus() link.Status { return s.link.Status() }

// Skipped counts messages that were not understood and passed over.
func (s *Sentinel) Skipped() uint64 { return s.skipped.Load() }

// Run keeps the link up and translates until ctx ends.
func (s *Sentinel) Run(ctx context.Context) error {
	linkDone := make(chan error, 1)
	linkCtx, stop := context.WithCancel(ctx)
	go func() { linkDone <- s.link.Run(linkCtx) }()
	err := s.translate(ctx, linkDone)
	stop()
	if err == nil || errors.Is(err, context.Canceled) {
		// The link may be handing over a last event.
		for {
			select {
			case <-s.link.Events():
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
func (s *Sentinel) translate(ctx context.Context, linkDone <-chan error) error {
	heartbeat := time.NewTicker(s.config.Heartbeat)
	defer heartbeat.Stop()
	var connection uint64
	var pending []SourceEvent
	for {
		var events chan<- SourceEvent
		var first SourceEvent
		inbound, outbox := s.link.Events(), (<-chan Letter)(s.outbox)
		if len(pending) > 0 {
			events, first, inbound = s.events, pending[0], nil
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
			if connection != 0 {
				s.send(ctx, connection, 0, s.heartbeat())
			}
		case letter := <-outbox:
			pending = append(pending, s.post(ctx, letter))
		case event := <-inbound:
			switch e := event.(type) {
			case link.Up:
				if err := s.send(ctx, e.Connection, 0, s.identify()); err != nil {
					continue // Down follows
				}
				connection = e.Connection
				pending = append(pending, Connected{Connection: e.Connection})
			case link.Down:
				if connection == e.Connection {
					connection = 0
					pending = append(pending, Disconnected{Connection: e.Connection, Reason: e.Reason})
				}
			case link.Received:
				if event := s.receive(ctx, e); event != nil {
					pending = append(pending, event)
				}
			}
		}
	}
}

func (s *Sentinel) identify() protocol.Identify {
	return protocol.Identify{Capabilities: s.config.Plugins, WorkerID: s.config.Link.Identity}
}

func (s *Sentinel) heartbeat() protocol.Heartbeat {
	a := s.activity.Load()
	if !a.Busy {
		return protocol.Heartbeat{Status: protocol.Idle}
	}
	job := a.CurrentJob
	return protocol.Heartbeat{Status: protocol.Busy, CurrentJobID: &job}
}

// receive turns one message into an event, or answers it here, or skips it.
func (s *Sentinel) receive(ctx context.Context, r link.Received) SourceEvent {
	message, err := protocol.Decode(r.Frames)
	if err != nil {
		s.skipped.Add(1)
		s.log.Warn("message from the Sentinel skipped", "reason", err)
		return s.refuse(r, err)
	}
	switch p := message.Payload.(type) {
	case protocol.Dispatch:
		return Dispatched{Connection: r.Connection, JobID: message.JobID, Spec: specOf(p), Source: []byte(p.SourceCode)}
	case protocol.Abort:
		return Aborted{Connection: r.Connection, JobID: message.JobID}
	case protocol.PrepareEnv:
		return EnvironmentAsked{Connection: r.Connection, JobID: message.JobID,
			EnvHash: p.EnvHash, Lockfile: p.LockfileContent, PythonVersion: p.PythonVersion}
	case protocol.Heartbeat:
		s.send(ctx, r.Connection, 0, s.heartbeat())
	case protocol.Reload:
		// A plain worker has nothing to reload: what it runs comes with each job.
		s.log.Info("the Sentinel asked for a reload: nothing to do, each job brings its plugin")
	case protocol.Error:
		s.log.Warn("the Sentinel reports an error", "message", p.Message, "traceback", p.Traceback)
	default:
		s.skipped.Add(1)
		s.log.Warn("message from the Sentinel skipped", "reason", "not meant for a worker", "opcode", message.Payload.Op().String())
	}
	return nil
}

// refuse keeps a DISPATCH that cannot be read from leaving its job RUNNING for
// ever in the Sentinel: it becomes a job without content, which fails at once.
func (s *Sentinel) refuse(r link.Received, why error) SourceEvent {
	if len(r.Frames) == 0 {
		return nil
	}
	header, err := protocol.ParseHeader(r.Frames[0])
	if err != nil || header.Op != protocol.OpDispatch || header.JobID == 0 {
		return nil
	}
	return Dispatched{Connection: r.Connection, JobID: header.JobID,
		Spec: journal.JobSpec{Refused: "the DISPATCH cannot be read: " + why.Error()}}
}

// post sends one letter and says what became of it.
func (s *Sentinel) post(ctx context.Context, letter Letter) SourceEvent {
	var err error
	switch {
	case letter.Receipt != nil:
		err = s.send(ctx, letter.Connection, letter.JobID, concludeOf(letter.Receipt))
	case letter.Ready != nil:
		err = s.send(ctx, letter.Connection, letter.JobID, protocol.EnvReady{
			EnvHash: letter.Ready.EnvHash, InterpreterPath: letter.Ready.Interpreter, Cached: letter.Ready.Cached})
	case letter.Trouble != nil:
		err = s.send(ctx, letter.Connection, letter.JobID, protocol.Error{
			Message: letter.Trouble.Message, Traceback: letter.Trouble.Detail})
	}
	if err != nil {
		return Returned{Connection: letter.Connection, Letter: letter, Reason: err}
	}
	return Posted{Connection: letter.Connection, Letter: letter}
}

func (s *Sentinel) send(ctx context.Context, connection, job uint64, payload protocol.Payload) error {
	frames, err := protocol.Encode(protocol.Message{JobID: job, Payload: payload})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	return s.link.Send(ctx, connection, frames)
}

// sendPatience is how long one message may take. A link that is slower is given
// up by its own rule of progress; this one is for a peer that takes a byte now
// and then.
const sendPatience = 2 * time.Minute

func specOf(d protocol.Dispatch) journal.JobSpec {
	spec := journal.JobSpec{
		Plugin: d.PluginName, FilePath: d.FilePath, FileVersionID: d.FileVersionID,
		EnvHash: d.EnvHash, ArtifactHash: d.ArtifactHash,
	}
	for _, s := range d.Sinks {
		spec.Sinks = append(spec.Sinks, journal.SinkSpec{Topic: s.Topic, URI: s.URI, Mode: s.Mode, Schema: s.SchemaDef})
	}
	spec.Sinks = journal.DistinctSinks(spec.Sinks)
	return spec
}

func concludeOf(r *journal.Receipt) protocol.Conclude {
	conclude := protocol.Conclude{Status: protocol.JobStatus(r.Status), Metrics: r.Metrics, ErrorMessage: r.Error}
	for _, a := range r.Artifacts {
		conclude.Artifacts = append(conclude.Artifacts, map[string]string{"topic": a.Topic, "uri": a.URI})
	}
	return conclude
}
