package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Warm says how guests are started warm: as forks of an interpreter that has
// imported what most plugins import. Linux only; elsewhere, and where it would not
// be safe, guests start cold.
type Warm struct {
	// Interpreters is how many of them are kept at once, one for each environment
	// in use; 0 = none, every guest starts cold.
	Interpreters int
	Jobs         int           // forks after which one is replaced: 10,000
	Idle         time.Duration // without a job, after which one is stopped: 15 min
	// Learn has what a plugin imports preloaded too, in an interpreter of its own,
	// when its jobs come often.
	Learn bool
}

func (w Warm) withDefaults() (Warm, error) {
	setDefault(&w.Jobs, 10_000)
	setDefault(&w.Idle, 15*time.Minute)
	if w.Interpreters < 0 || w.Jobs < 1 || w.Idle < 0 {
		return w, fmt.Errorf("bridge: %d warm interpreters, %d jobs each, idle for %s", w.Interpreters, w.Jobs, w.Idle)
	}
	return w, nil
}

const (
	// spareAfter is how long a warm interpreter must have been without a job before
	// it makes room for another environment's: else more environments than places
	// would push each other out with every job.
	spareAfter = 30 * time.Second
	// firstRetry and lastRetry bound the pause after a warm interpreter that could
	// not be started, or crashed more than once.
	firstRetry = 30 * time.Second
	lastRetry  = 30 * time.Minute
	// goodService is how many jobs make an earlier failure forgotten.
	goodService = 100
	// sweepTime is how often idle interpreters are looked at.
	sweepTime = 5 * time.Second
)

// warmPool keeps the warm interpreters: one for each environment in use.
type warmPool struct {
	limits Warm
	logger *slog.Logger
	launch func(ctx context.Context, interpreter string, modules []string) (*forkServer, error)

	ctx    context.Context // ends with the pool
	cancel context.CancelFunc
	all    sync.WaitGroup // starts under way, servers not yet gone, the sweeper

	mu       sync.Mutex
	places   map[placeKey]*place
	pressure func() string // why memory is short; "" = it is not
	spare    time.Duration // spareAfter, but for tests
}

// placeKey names an environment, and a plugin when the place is that plugin's own.
type placeKey struct{ interpreter, plugin string }

// place is what is known of the warm interpreter of one environment.
type place struct {
	placeKey
	modules   []string // beside the usual
	identity  identity
	server    *forkServer   // nil: not started, being started, or cold
	starting  chan struct{} // closed when a start is over; nil: none is under way
	replacing bool          // a successor is being started while server works
	cold      string        // why there is no server; "" = nothing stands against one
	failures  int           // one after the other
	retry     time.Time     // not before this time while cold
	used      time.Time
}

func newWarmPool(limits Warm, logger *slog.Logger, launch func(context.Context, string, []string) (*forkServer, error)) *warmPool {
	p := &warmPool{
		limits: limits, logger: logger, launch: launch,
		pressure: memoryPressure, spare: spareAfter, places: make(map[placeKey]*place),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.all.Go(p.sweepRegularly)
	return p
}

// prepare has a warm interpreter started, and does not wait for it.
func (p *warmPool) prepare(interpreter string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() == nil {
		p.find(placeKey{interpreter: interpreter}, nil)
	}
}

// fork starts a guest's process from the environment's warm interpreter, and
// waits for one that is just starting: that takes no longer than a cold start
// would. A nil root with a nil error means that the guest is to start cold.
func (p *warmPool) fork(ctx context.Context, key placeKey, request forkRequest, output *os.File) (root, error) {
	for {
		p.mu.Lock()
		if p.ctx.Err() != nil {
			p.mu.Unlock()
			return nil, nil
		}
		here := p.find(key, nil)
		server, starting := here.server, here.starting
		p.mu.Unlock()
		if server == nil && starting == nil {
			return nil, nil
		}
		if server == nil {
			select {
			case <-starting:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		forked, err := p.forkFrom(server, key, request, output)
		if errors.Is(err, errRetired) || errors.Is(err, errGone) {
			continue // since we looked: now the place knows of it
		}
		return forked, nil
	}
}

// forkIfReady forks from a plugin's own interpreter, and has one started when
// there is none. It waits for nothing: nil means to fork from the environment's.
func (p *warmPool) forkIfReady(key placeKey, modules []string, request forkRequest, output *os.File) root {
	p.mu.Lock()
	var server *forkServer
	if p.ctx.Err() == nil {
		server = p.find(key, modules).server
	}
	p.mu.Unlock()
	if server == nil {
		return nil
	}
	forked, _ := p.forkFrom(server, key, request, output)
	return forked
}

// forkFrom forks a server. One that cannot be forked is forgotten.
func (p *warmPool) forkFrom(server *forkServer, key placeKey, request forkRequest, output *os.File) (root, error) {
	forked, err := server.fork(request, output)
	if err != nil {
		p.lost(key, server, err.Error())
		return nil, err
	}
	p.forked(key, server)
	return forked, nil
}

// find gives the place of an environment, with a start under way where that is due.
// The caller holds mu.
func (p *warmPool) find(key placeKey, modules []string) *place {
	now := time.Now()
	here := p.places[key]
	if here != nil && here.starting == nil && here.identity.changed() {
		p.vacate(here, "its environment changed")
		here = nil
	}
	if here == nil {
		here = &place{placeKey: key, modules: modules}
		p.places[key] = here
	}
	here.used = now
	if here.server != nil || here.starting != nil || here.cold != "" && now.Before(here.retry) {
		return here
	}
	if why := p.noRoom(here); why != "" {
		p.turnCold(here, why, firstRetry)
		return here
	}
	p.begin(here)
	return here
}

// noRoom makes room for one more interpreter, or says why there is none.
func (p *warmPool) noRoom(here *place) string {
	if why := p.pressure(); why != "" {
		return why
	}
	var taken []*place
	for _, other := range p.places {
		if other != here && (other.server != nil || other.starting != nil) {
			taken = append(taken, other)
		}
	}
	if len(taken) < p.limits.Interpreters {
		return ""
	}
	oldest := slices.MinFunc(taken, func(a, b *place) int { return a.used.Compare(b.used) })
	if oldest.server == nil || time.Since(oldest.used) < p.spare {
		return fmt.Sprintf("all %d warm interpreters are in use by other environments", p.limits.Interpreters)
	}
	p.vacate(oldest, "its place is needed for another environment")
	return ""
}

// vacate takes an environment's place away. Its interpreter ends with its last job.
func (p *warmPool) vacate(here *place, why string) {
	if p.places[here.placeKey] == here {
		delete(p.places, here.placeKey)
	}
	if here.server != nil {
		p.logger.Info("warm interpreter stopped", "interpreter", here.interpreter, "plugin", here.plugin, "reason", why)
		here.server.retire()
		here.server = nil
	}
}

// turnCold has the next guests of an environment start cold for a while.
func (p *warmPool) turnCold(here *place, why string, pause time.Duration) {
	if here.cold != why {
		p.logger.Info("guests start cold", "interpreter", here.interpreter, "plugin", here.plugin, "reason", why)
	}
	here.cold, here.retry = why, time.Now().Add(pause)
	here.identity = identify(here.interpreter)
}

// begin starts an interpreter. The caller holds mu.
func (p *warmPool) begin(here *place) {
	over := make(chan struct{})
	here.starting = over
	p.all.Go(func() {
		server, identity, err := p.start(here.placeKey, here.modules)
		p.mu.Lock()
		defer p.mu.Unlock()
		defer close(over)
		here.starting = nil
		switch {
		case p.ctx.Err() != nil: // close has looked for servers already
			if err == nil {
				server.retire()
			}
		case err != nil:
			p.failed(here, err.Error())
		default:
			here.identity, here.server, here.cold = identity, server, ""
		}
	})
}

// start launches an interpreter and watches over it. The identity is that of the
// environment after the imports, which may have written compiled files.
func (p *warmPool) start(key placeKey, modules []string) (*forkServer, identity, error) {
	before := identify(key.interpreter)
	server, err := p.launch(p.ctx, key.interpreter, modules)
	if err != nil {
		return nil, identity{}, err
	}
	p.all.Go(func() {
		<-server.gone
		p.lost(key, server, "it ended: "+server.lastWords())
	})
	after := identify(key.interpreter)
	if !before.sameFolder(after) {
		server.retire()
		return nil, identity{}, errors.New("the environment was replaced while it was imported")
	}
	return server, after, nil
}

// failed counts a start that failed, or a crash, and doubles the pause.
func (p *warmPool) failed(here *place, why string) {
	p.turnCold(here, why, min(firstRetry<<here.failures, lastRetry))
	here.failures = min(here.failures+1, 10)
}

// lost forgets a server that crashed or cannot be forked any more.
func (p *warmPool) lost(key placeKey, server *forkServer, why string) {
	server.retire()
	p.mu.Lock()
	defer p.mu.Unlock()
	here := p.places[key]
	if here == nil || here.server != server {
		return // it was retired, or somebody else was here first
	}
	here.server = nil
	if server.jobs() >= goodService {
		here.failures = 0
	}
	if here.failures > 0 {
		p.failed(here, why)
		return
	}
	here.failures = 1
	p.logger.Warn("warm interpreter lost: the next job starts another", "interpreter", key.interpreter, "plugin", key.plugin, "reason", why)
}

// forked has a worn interpreter replaced.
func (p *warmPool) forked(key placeKey, server *forkServer) {
	if server.jobs() < p.limits.Jobs {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	here := p.places[key]
	if p.ctx.Err() != nil || here == nil || here.server != server || here.replacing {
		return
	}
	here.replacing = true
	p.all.Go(func() {
		next, identity, err := p.start(key, here.modules)
		p.mu.Lock()
		defer p.mu.Unlock()
		here.replacing = false
		if p.ctx.Err() != nil || here.server != server {
			if err == nil {
				next.retire()
			}
			return
		}
		server.retire()
		here.server = nil
		if err != nil {
			p.failed(here, err.Error())
			return
		}
		here.identity, here.server = identity, next
	})
}

func (p *warmPool) sweepRegularly() {
	ticker := time.NewTicker(sweepTime)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.sweep(time.Now())
		case <-p.ctx.Done():
			return
		}
	}
}

// sweep stops interpreters that are idle for too long, whose environment is not
// what it was, and, while memory is short, all that have no job.
func (p *warmPool) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pressure := p.pressure()
	for _, here := range p.places {
		switch {
		case here.starting != nil || here.replacing:
		case here.identity.changed():
			p.vacate(here, "its environment changed")
		case now.Sub(here.used) >= p.limits.Idle:
			p.vacate(here, "it had no job for "+p.limits.Idle.String())
		case pressure != "" && here.server != nil && here.server.idle():
			p.vacate(here, pressure)
		}
	}
}

// stopStarting ends all starts under way. Guests start cold from here on.
func (p *warmPool) stopStarting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel()
}

// close stops all interpreters, and waits until they are gone. Their guests are
// closed before.
func (p *warmPool) close() {
	p.stopStarting()
	p.mu.Lock()
	for _, here := range p.places {
		if here.server != nil {
			here.server.retire()
			here.server = nil
		}
	}
	p.mu.Unlock()
	p.all.Wait()
}

// WarmStatus is one environment's warm interpreter.
type WarmStatus struct {
	Interpreter string    `json:"interpreter"`
	Plugin      string    `json:"plugin,omitempty"` // whose imports it has learned
	State       string    `json:"state"`            // ready, starting, cold
	Reason      string    `json:"reason,omitempty"` // why it is cold
	PID         int       `json:"pid,omitempty"`
	Resident    int64     `json:"resident_bytes,omitempty"` // shared with its forks
	Jobs        int       `json:"jobs"`                     // forked so far
	Used        time.Time `json:"used"`
}

// String says it in a line.
func (s WarmStatus) String() string {
	if s.Plugin != "" {
		s.Interpreter += " for " + s.Plugin
	}
	switch s.State {
	case "ready":
		return fmt.Sprintf("%s: pid %d, %d MiB, %d jobs", s.Interpreter, s.PID, s.Resident>>20, s.Jobs)
	case "cold":
		return fmt.Sprintf("%s: cold: %s", s.Interpreter, s.Reason)
	}
	return s.Interpreter + ": " + s.State
}

func (p *warmPool) status() []WarmStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]WarmStatus, 0, len(p.places))
	for _, here := range p.places {
		s := WarmStatus{Interpreter: here.interpreter, Plugin: here.plugin, State: "cold", Reason: here.cold, Used: here.used}
		switch {
		case here.server != nil:
			s.State, s.Reason, s.Jobs, s.PID = "ready", "", here.server.jobs(), here.server.process.PID
			s.Resident = residentBytes(s.PID)
		case here.starting != nil:
			s.State, s.Reason = "starting", ""
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b WarmStatus) int {
		return cmp.Or(strings.Compare(a.Interpreter, b.Interpreter), strings.Compare(a.Plugin, b.Plugin))
	})
	return list
}
