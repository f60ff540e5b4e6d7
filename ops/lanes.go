package ops

import (
	"fmt"
	"log/slog"

	"github.com/casparian-flow/casparian-worker/journal"
)

// maxLanes bounds the lanes: each is a connection, and a worker in the Sentinel's
// books for as long as that runs.
const maxLanes = 256

// laneIdentity names a lane towards the Sentinel, the first like the worker. Lanes
// count from 0, and people from 1.
func laneIdentity(worker string, lane uint32) string {
	if lane == 0 {
		return worker
	}
	return fmt.Sprintf("%s-%d", worker, lane+1)
}

// planLanes decides how many lanes to serve, and says what the journal has to know
// before the first of them is dialled. The Sentinel never forgets an identity and
// would send jobs to a lane that is gone (observed): so lanes from earlier starts are
// served along, until the operator says that the Sentinel does not know them.
func planLanes(config Config, before journal.State, log *slog.Logger) (lanes uint32, events []journal.Event) {
	want, known := uint32(config.Lanes), max(before.Lanes, 1)
	switch {
	case want > known:
		return want, []journal.Event{journal.LanesOpened{Lanes: want}}
	case want < known && bool(config.ForgetLanes):
		return want, []journal.Event{journal.LanesForgotten{Lanes: want}}
	case want < known:
		log.Warn("more lanes are served than asked for: the Sentinel may still know them from an earlier start and send them jobs; "+
			"when it was started anew since, start once with --forget-lanes", "lanes", known, "asked_for", want)
	}
	return known, nil
}
