package drill

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// Kill is where one worker process of a round ends: at a passing of a point, or at
// a moment of its own.
type Kill struct {
	Point   crashpoint.Point
	Passing int           // from 1
	After   time.Duration // since the process's start, where Point is empty
}

func (k Kill) String() string {
	if k.Point == "" {
		return "after " + k.After.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%s#%d", k.Point, k.Passing)
}

// ParseKill reads POINT or POINT#PASSING.
func ParseKill(text string) (Kill, error) {
	name, passing, numbered := strings.Cut(text, "#")
	k := Kill{Point: crashpoint.Point(name), Passing: 1}
	if !crashpoint.Known(k.Point) {
		return k, fmt.Errorf("there is no crash point %q: `drill --points` lists them", name)
	}
	if numbered {
		n, err := strconv.Atoi(passing)
		if err != nil || n < 1 {
			return k, fmt.Errorf("%q: passings count from 1", text)
		}
		k.Passing = n
	}
	return k, nil
}

// round is one run of a load, with a worker process for each kill and one more
// that is left in peace.
type round struct {
	number int
	load   *Load
	kills  []Kill
	broken crashpoint.Mutation
	// rerun has guests die with their worker, so that their jobs run again.
	rerun bool
}

// impatient reports whether the Sentinel gives the worker its job again after each
// start, also when the worker has it. It does so in every other round, and not
// where jobs follow one another: two of its messages would look like a confirmation.
func (r round) impatient() bool {
	if len(r.load.Inputs) > 1 || len(r.kills) == 0 {
		return false
	}
	return (r.kills[0].Passing+int(r.kills[0].After.Milliseconds()))%2 == 0
}

func (r round) name() string {
	kills := make([]string, len(r.kills))
	for i, k := range r.kills {
		kills[i] = k.String()
	}
	return r.load.Name + " " + strings.Join(kills, ", ")
}

// again is the command that plays the round once more. Kills at moments cannot be
// repeated exactly.
func (r round) again() string {
	command := "casparian-worker drill --load " + r.load.Name
	if !r.load.Own {
		command = "casparian-worker drill --plugin … --input …"
	}
	for _, k := range r.kills {
		if k.Point == "" {
			return ""
		}
		command += " --at " + k.String()
	}
	return command
}
