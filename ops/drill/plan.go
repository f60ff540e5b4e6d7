package drill

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// restartTime is about what a worker waits before it dials again after a crash, so
// that moments drawn for a killed process lie in its working time, too.
const restartTime = 600 * time.Millisecond

// fewPassings of each point are enough in a load with several jobs.
const fewPassings = 3

// planner draws rounds. The same seed and the same undisturbed runs give the same
// rounds.
type planner struct {
	random *rand.Rand
	loads  []*Load
	bases  map[*Load]*baseline
}

// everyPassing kills each load at every passing of every point, or at some of them,
// when most is not 0: the first, the last, and others that are drawn. Of a load with
// several jobs, whose rounds are long and alike, it is a few in any case.
func (p *planner) everyPassing(most int) []round {
	var rounds []round
	for _, d := range crashpoint.All {
		for _, load := range p.loads {
			limit := most
			if len(load.Inputs) > 1 {
				limit = fewPassings
				if most > 0 {
					limit = min(most, fewPassings)
				}
			}
			for _, n := range p.pick(p.bases[load].passed[d.Point], limit) {
				rounds = append(rounds, p.at(load, Kill{Point: d.Point, Passing: n}))
			}
		}
	}
	return rounds
}

// pick gives at most so many of the passings 1 to count, in order; all when most is 0.
func (p *planner) pick(count, most int) []int {
	all := make([]int, count)
	for i := range all {
		all[i] = i + 1
	}
	if most == 0 || count <= most {
		return all
	}
	chosen := []int{1, count}[:min(2, most)]
	middle := all[1 : count-1]
	p.random.Shuffle(len(middle), func(i, j int) { middle[i], middle[j] = middle[j], middle[i] })
	chosen = append(slices.Clone(chosen), middle[:most-len(chosen)]...)
	slices.Sort(chosen)
	return chosen
}

// once kills at one drawn passing of each point, in a load that is drawn, too.
func (p *planner) once() []round {
	var rounds []round
	for _, d := range crashpoint.All {
		if r, ok := p.somewhere(d.Point); ok {
			rounds = append(rounds, r)
		}
	}
	return rounds
}

// somewhere draws a passing of a point in a load's undisturbed course. ok is false
// when no load passes it then.
func (p *planner) somewhere(point crashpoint.Point) (r round, ok bool) {
	var passing []*Load
	for _, load := range p.loads {
		if p.bases[load].passed[point] > 0 {
			passing = append(passing, load)
		}
	}
	if len(passing) == 0 {
		return round{}, false
	}
	load := passing[p.random.IntN(len(passing))]
	if len(load.Inputs) > 1 && p.random.IntN(3) > 0 { // its rounds are long
		load = passing[0]
	}
	return p.at(load, Kill{Point: point, Passing: 1 + p.random.IntN(p.bases[load].passed[point])}), true
}

func (p *planner) at(load *Load, kills ...Kill) round {
	return round{load: load, kills: kills, rerun: rerun(load, kills)}
}

// rerun halves the rounds, and those that begin with the same kill alike: in the one
// half guests outlive their worker, in the other they die with it.
func rerun(load *Load, kills []Kill) bool {
	if len(kills) == 0 {
		return false
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(load.Name + kills[0].String()))
	return sum.Sum32()%2 == 0
}

// recovery is a passing of a point after a kill.
type recovery struct {
	load   *Load
	before []Kill // that led to it
	count  int    // passings in the process after them
}

// inRecovery draws a round that kills at a point which only a recovery passes.
func (p *planner) inRecovery(point crashpoint.Point, seen []recovery) round {
	r := seen[p.random.IntN(len(seen))]
	return p.at(r.load, append(slices.Clone(r.before), Kill{Point: point, Passing: 1 + p.random.IntN(r.count)})...)
}

// scout kills where a recovery has most to do: early and late in a file.
func (p *planner) scout() []round {
	var rounds []round
	for _, load := range p.loads {
		for _, point := range []crashpoint.Point{crashpoint.SinkStageAfter, crashpoint.SinkSealAfter} {
			if count := p.bases[load].passed[point]; count > 0 {
				rounds = append(rounds, p.at(load, Kill{Point: point, Passing: count}))
			}
		}
	}
	return rounds
}

// moments draws rounds with so many kills together, at moments of their own, for the
// loads in turn.
func (p *planner) moments(kills int) []round {
	var rounds []round
	for n := 0; kills > 0; n++ {
		load := p.loads[n%len(p.loads)]
		r := p.at(load)
		for range min(kills, 1+p.random.IntN(4+min(len(load.Inputs), 6))) {
			span := p.bases[load].took + restartTime
			r.kills = append(r.kills, Kill{After: time.Duration(p.random.Int64N(int64(span)))})
		}
		r.rerun = rerun(load, r.kills)
		kills -= len(r.kills)
		rounds = append(rounds, r)
	}
	return rounds
}
