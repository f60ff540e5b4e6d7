// Package drill rehearses crashes: it kills real worker processes at named points
// or at random moments, starts them again, and holds what comes out against an
// undisturbed run of the same load.
//
// Read load.go for what the workers do, stage.go for a round, laws.go and judge.go
// for what is demanded, plan.go for which kills there are, report.go for the table.
package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/venv"
)

// leastHits is how often a full drill hits each point.
const leastHits = 5

// tooMany rounds with problems end a drill: more would tell nothing new.
const tooMany = 10

// Drill says what to rehearse. Run it once.
type Drill struct {
	Worker string     // the worker's executable
	Config ops.Config // resolved; options of the workers, see workerOptions
	Plugin *Plugin    // nil: the drill's own loads
	Loads  []string   // some of LoadNames; none: all
	Seed   uint64

	// EveryTransition kills at every passing of every point, or at Passings of each in
	// a load where that is not 0. Kills is how many kills there are at random moments.
	// With neither, each point is hit once. At plays one round with these kills in each
	// load instead of all that.
	EveryTransition bool
	Passings        int
	Kills           int
	At              []Kill

	Break    crashpoint.Mutation // for test builds
	Parallel int                 // rounds at once
	Keep     bool                // keep what the rounds wrote
	// Progress hears what is going on; a lasting line is to stay.
	Progress func(text string, lasting bool)

	folder      string
	interpreter string
	noArrow     *errNoArrow // why rows cannot be compared
	bases       map[*Load]*baseline
	rounds      int
	mu          sync.Mutex
}

// Run rehearses. Its error is one that kept it from doing so, or that of ctx; what
// the worker did wrong is in the report.
func (d *Drill) Run(ctx context.Context) (report Report, err error) {
	if err := supported(); err != nil {
		return report, err
	}
	began := time.Now()
	if d.folder, err = os.MkdirTemp("", "casparian-drill-"); err != nil {
		return report, err
	}
	defer func() {
		if d.Keep || report.Failed() {
			report.Folder = d.folder
			return
		}
		err = errors.Join(err, os.RemoveAll(d.folder))
	}()
	// An artifact names the real path.
	if d.folder, err = filepath.EvalSymlinks(d.folder); err != nil {
		return report, err
	}
	loads, err := d.loads(ctx)
	if err != nil {
		return report, err
	}
	report.Seed = d.Seed
	d.bases = map[*Load]*baseline{}
	for _, load := range loads {
		d.progress("undisturbed, twice: "+load.Name, false)
		b, err := d.undisturbed(ctx, load)
		if err != nil {
			return report, err
		}
		d.bases[load] = b
		report.Loads = append(report.Loads, d.describe(load, b))
		d.progress(report.Loads[len(report.Loads)-1].String(), true)
	}
	tally := newTally()
	plan := &planner{random: rand.New(rand.NewPCG(d.Seed, 0)), loads: loads, bases: d.bases}
	err = d.playAll(ctx, plan, tally)
	report.take(tally)
	report.Took = inSeconds(time.Since(began))
	return report, err
}

func (d *Drill) progress(text string, lasting bool) {
	if d.Progress != nil {
		d.Progress(text, lasting)
	}
}

// loads makes the loads and finds the interpreter to compare with.
func (d *Drill) loads(ctx context.Context) (loads []*Load, err error) {
	if d.Plugin != nil {
		load, interpreter, err := d.Plugin.load(ctx, d.Config, func(line string) { d.progress(line, true) })
		if err != nil {
			return nil, err
		}
		d.interpreter = interpreter
		loads = []*Load{load}
	} else {
		d.Config.VenvsDir = filepath.Join(d.folder, "venvs")
		environments, err := openEnvironments(d.Config, func(string) {})
		if err != nil {
			return nil, err
		}
		system, err := environments.Lookup(venv.System)
		if err != nil {
			return nil, err
		}
		d.interpreter = system.Interpreter
		names := d.Loads
		if len(names) == 0 {
			names = LoadNames
		}
		for _, name := range names {
			load, err := ownLoad(name, d.folder)
			if err != nil {
				return nil, err
			}
			loads = append(loads, load)
		}
	}
	c, err := newComparer(d.interpreter)
	if errors.As(err, &d.noArrow) && d.Plugin != nil {
		return loads, nil
	}
	if err != nil && d.Plugin == nil {
		return nil, fmt.Errorf("the drill's own loads need a Python with pyarrow, give one with --python: %w", err)
	}
	if err != nil {
		return nil, err
	}
	c.close()
	return loads, nil
}

// complete reports whether every point must be hit: not in a part of a drill, nor
// with a plugin that need not pass them all.
func (d *Drill) complete() bool {
	return d.Plugin == nil && len(d.Loads) == 0 && len(d.At) == 0 && (d.EveryTransition || d.Kills == 0)
}

// playAll plays what was asked for, in waves: points, points that only a recovery
// passes, random moments.
func (d *Drill) playAll(ctx context.Context, plan *planner, t *tally) error {
	if len(d.At) > 0 {
		var rounds []round
		for _, load := range plan.loads {
			rounds = append(rounds, plan.at(load, d.At...))
		}
		return d.wave(ctx, "as asked", rounds, t)
	}
	if d.EveryTransition || d.Kills == 0 {
		wanted, rounds := 1, []round(nil)
		if d.EveryTransition {
			wanted, rounds = leastHits, plan.everyPassing(d.Passings)
		} else {
			rounds = plan.once()
		}
		if err := d.wave(ctx, "every point", rounds, t); err != nil {
			return err
		}
		// Until all are hit often enough, or it is clear that they cannot be.
		for attempt := 0; attempt < 4 && !t.hopeless(); attempt++ {
			rounds = d.missing(plan, t, wanted)
			if len(rounds) == 0 {
				break
			}
			if err := d.wave(ctx, "in recovery", rounds, t); err != nil {
				return err
			}
		}
		if d.complete() {
			t.demand(wanted)
		}
	}
	if d.Kills > 0 {
		return d.wave(ctx, "random moments", plan.moments(d.Kills), t)
	}
	return nil
}

// missing plans the hits that points lack.
func (d *Drill) missing(plan *planner, t *tally, wanted int) []round {
	var rounds []round
	unknown := false // no way to some point is known
	for _, description := range crashpoint.All {
		point := description.Point
		for range wanted - t.hits[point] {
			if r, ok := plan.somewhere(point); ok {
				rounds = append(rounds, r)
			} else if seen := t.recoveries[point]; len(seen) > 0 {
				rounds = append(rounds, plan.inRecovery(point, seen))
			} else {
				unknown = true
			}
		}
	}
	if unknown {
		rounds = append(rounds, plan.scout()...)
	}
	return rounds
}

// wave plays rounds, several at once, and counts them.
func (d *Drill) wave(ctx context.Context, name string, rounds []round, t *tally) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan round)
	var players sync.WaitGroup
	for range max(1, d.Parallel) {
		players.Go(func() {
			if err := d.player(ctx, queue, func(s *stage) {
				done := t.add(s)
				d.progress(fmt.Sprintf("%s: %d of %d rounds, %d problems", name, done-t.before, len(rounds), t.problemCount()), false)
			}); err != nil {
				cancel(err)
			}
		})
	}
	t.before = t.count()
feeding:
	for _, r := range rounds {
		r.number, r.broken = d.next(), d.Break
		select {
		case queue <- r:
		case <-ctx.Done():
			break feeding
		}
		if t.hopeless() {
			break
		}
	}
	close(queue)
	players.Wait()
	return context.Cause(ctx)
}

// player plays the rounds of a queue one after another.
func (d *Drill) player(ctx context.Context, queue <-chan round, played func(*stage)) error {
	var c *comparer
	if d.noArrow == nil {
		var err error
		if c, err = newComparer(d.interpreter); err != nil {
			return err
		}
		defer c.close()
	}
	for r := range queue {
		b := d.bases[r.load]
		s, err := d.play(ctx, r, d.patience(b))
		if err != nil {
			return err
		}
		if err := s.judge(ctx, b, c); err != nil {
			return err
		}
		played(s)
		if err := d.discard(s); err != nil {
			return err
		}
	}
	return nil
}

// next numbers the rounds.
func (d *Drill) next() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rounds++
	return d.rounds
}

func (d *Drill) expectedOf(load *Load) *baseline { return d.bases[load] }

// discard removes what a round wrote, unless somebody will want to look at it.
func (d *Drill) discard(s *stage) error {
	if d.Keep || len(s.result.Problems) > 0 {
		return nil
	}
	return os.RemoveAll(s.folder)
}
