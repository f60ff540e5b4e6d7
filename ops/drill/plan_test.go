package drill

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// planning is a planner for a load with one job and one with three.
func planning(seed uint64) *planner {
	one, three := &Load{Name: "one", Inputs: []string{"a"}}, &Load{Name: "three", Inputs: []string{"a", "b", "c"}}
	return &planner{random: rand.New(rand.NewPCG(seed, 0)), loads: []*Load{one, three}, bases: map[*Load]*baseline{
		one:   {passed: passings{crashpoint.SinkSyncAfter: 3, crashpoint.LinkSendAfter: 10}, took: time.Second},
		three: {passed: passings{crashpoint.SinkSyncAfter: 9}, took: 2 * time.Second},
	}}
}

func names(rounds []round) []string {
	var all []string
	for _, r := range rounds {
		all = append(all, r.name())
	}
	return all
}

func TestEveryPassingOfEveryPoint(t *testing.T) {
	if got := len(planning(1).everyPassing(0)); got != 3+10+3 {
		t.Errorf("%d rounds, want one for each of 13 passings, and few for the load of three jobs", got)
	}
	rounds := planning(1).everyPassing(4)
	if len(rounds) != 3+4+3 {
		t.Errorf("%q, want 3 and 4 for the load of one job, and 3 for the other", names(rounds))
	}
	for _, want := range []string{"one sink.sync.after#1", "one sink.sync.after#2", "one sink.sync.after#3", "one link.send.after#1", "one link.send.after#10"} {
		if !slices.Contains(names(rounds), want) {
			t.Errorf("%q is not among %q", want, names(rounds))
		}
	}
	if again := planning(1).everyPassing(4); !reflect.DeepEqual(names(again), names(rounds)) {
		t.Errorf("the same seed gives %q and %q", names(rounds), names(again))
	}
}

func TestEachPointOnce(t *testing.T) {
	rounds := planning(2).once()
	if len(rounds) != 2 || rounds[0].kills[0].Point != crashpoint.SinkSyncAfter || rounds[1].kills[0].Point != crashpoint.LinkSendAfter {
		t.Errorf("got %q", names(rounds))
	}
}

func TestRandomMomentsAreAsManyAsAskedFor(t *testing.T) {
	kills := 0
	for _, r := range planning(3).moments(100) {
		kills += len(r.kills)
		for _, k := range r.kills {
			if k.Point != "" || k.After < 0 || k.After > 3*time.Second {
				t.Errorf("%s: %s", r.load.Name, k)
			}
		}
	}
	if kills != 100 {
		t.Errorf("%d kills, want 100", kills)
	}
}

// A point that only a recovery passes is reached by the kills that led to it.
func TestPointOfARecovery(t *testing.T) {
	p := planning(4)
	d := &Drill{bases: p.bases}
	tally := newTally()
	p.bases[p.loads[0]].passed[crashpoint.SinkSealAfter] = 2
	if rounds := d.missing(p, tally, 1); !slices.Contains(names(rounds), "one sink.seal.after#2") {
		t.Errorf("no kill leads to a recovery yet, and %q are planned", names(rounds))
	}
	kill := Kill{Point: crashpoint.SinkSyncAfter, Passing: 2}
	tally.add(&stage{
		round:  round{load: p.loads[0], kills: []Kill{kill}},
		traces: []trace{{crashpoint.SinkSyncAfter}, {crashpoint.SinkRemoveBefore}},
		result: Result{Hits: 1},
	})
	rounds := d.missing(p, tally, 1)
	if !slices.Contains(names(rounds), "one sink.sync.after#2, sink.remove.before#1") {
		t.Errorf("got %q", names(rounds))
	}
	tally.demand(1)
	if slices.Contains(tally.missed, crashpoint.SinkSyncAfter) || !slices.Contains(tally.missed, crashpoint.SinkRemoveBefore) {
		t.Errorf("missed are %q", tally.missed)
	}
}

func TestKillIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"sink.sync.after": "sink.sync.after#1", "sink.sync.after#3": "sink.sync.after#3",
		"sink.sync": "", "sink.sync.after#0": "", "sink.sync.after#x": "",
	} {
		k, err := ParseKill(text)
		if (err != nil) != (want == "") || err == nil && k.String() != want {
			t.Errorf("%q is read as %s, %v", text, k, err)
		}
	}
}
