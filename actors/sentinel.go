package actors

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol/link"
)

// Sentinel is the connection actor: jobs and receipts over the ZeroMQ link. The
// Sentinel gives an identity one job at a time (observed), so there may be several
// lanes: links with an identity of their own, all with the same plugins.
//
// Owns: the links and the protocol on them.
// Receives: frames from the links, letters from the coordinator.
// Emits: source events to the coordinator; IDENTIFY, HEARTBEAT, CONCLUDE, ENV_READY and ERR to the Sentinel.
type Sentinel struct {
	lanes   []*sentinelLane
	events  chan SourceEvent
	skipped atomic.Uint64
}

// SentinelConfig configures a [Sentinel].
type SentinelConfig struct {
	// Links are the lanes, at least one. Their identities differ.
	Links []link.Config
	// Plugins are the capabilities to advertise. The Sentinel compares them
	// literally with a job's plugin name (observed).
	Plugins   []string
	Heartbeat time.Duration
	Logger    *slog.Logger
}

// NewSentinel checks the configuration. Nothing is dialled before Run.
func NewSentinel(config SentinelConfig) (*Sentinel, error) {
	s := &Sentinel{events: make(chan SourceEvent)}
	for i, settings := range config.Links {
		l, err := link.New(settings)
		if err != nil {
			return nil, err
		}
		lane := &sentinelLane{
			number: uint32(i), identity: settings.Identity, plugins: config.Plugins, every: config.Heartbeat,
			link: l, events: s.events, outbox: make(chan Letter, 1), skipped: &s.skipped,
			log: config.Logger.With("lane", settings.Identity),
		}
		lane.activity.Store(&Activity{})
		s.lanes = append(s.lanes, lane)
	}
	return s, nil
}

func (s *Sentinel) Lanes() int                       { return len(s.lanes) }
func (s *Sentinel) Events() <-chan SourceEvent       { return s.events }
func (s *Sentinel) Outbox(lane uint32) chan<- Letter { return s.lanes[lane].outbox }
func (s *Sentinel) Show(lane uint32, a Activity)     { s.lanes[lane].activity.Store(&a) }

// LaneStatus gives the state of each lane's connection and what it works on, for
// display.
func (s *Sentinel) LaneStatus() []LaneStatus {
	status := make([]LaneStatus, len(s.lanes))
	for i, l := range s.lanes {
		status[i] = LaneStatus{Link: l.link.Status(), Activity: *l.activity.Load()}
	}
	return status
}

// LaneStatus is the state of one lane.
type LaneStatus struct {
	Link     link.Status
	Activity Activity
}

// Skipped counts messages that were not understood and passed over.
func (s *Sentinel) Skipped() uint64 { return s.skipped.Load() }

// Run keeps the lanes up and translates until ctx ends. When one cannot go on, all
// end.
func (s *Sentinel) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(s.lanes))
	for _, l := range s.lanes {
		go func() { ended <- l.run(ctx) }()
	}
	var first error
	for range s.lanes {
		if err := <-ended; first == nil {
			first = err
		}
		cancel()
	}
	return first
}
