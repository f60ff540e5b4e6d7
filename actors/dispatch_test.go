package actors

import (
	"testing"

	"github.com/casparian-flow/casparian-worker/journal"
)

// stateAfter folds events, each of which must be legal.
func stateAfter(t *testing.T, events ...journal.Event) journal.State {
	t.Helper()
	var state journal.State
	for _, event := range events {
		next, err := journal.Apply(state, event)
		if err != nil {
			t.Fatal(err)
		}
		state = next
	}
	return state
}

func TestWhatADispatchMeans(t *testing.T) {
	spec := journal.JobSpec{Plugin: "sales", FilePath: "/in/a.csv", EnvHash: "system",
		Sinks: []journal.SinkSpec{{Topic: "output", URI: "parquet://sales.parquet", Mode: "append"}}}
	repeatedSinks := spec
	repeatedSinks.Sinks = append([]journal.SinkSpec{}, spec.Sinks[0], spec.Sinks[0])
	other := spec
	other.FilePath = "/in/b.csv"

	unreadable := journal.JobSpec{Refused: "no plugin_name"}

	accepted := journal.JobAccepted{JobID: 7, Generation: 1, Spec: spec, Origin: journal.OriginNew}
	attempt := journal.Attempt{JobID: 7, Generation: 1, Attempt: 1}
	started := journal.AttemptStarted{Attempt: attempt}
	sealed := journal.OutputSealed{Attempt: attempt}
	concluded := journal.JobConcluded{JobID: 7, Generation: 1, Receipt: journal.Receipt{Status: journal.Success}}
	sent := journal.ReceiptSent{JobID: 7, Generation: 1, Connection: 1}
	undelivered := journal.ReceiptUndelivered{JobID: 7, Generation: 1, Reason: "test"}
	confirmed := journal.ReceiptConfirmed{JobID: 7, Generation: 1, Evidence: "test"}

	for name, c := range map[string]struct {
		before     []journal.Event
		spec       journal.JobSpec
		meant      bool
		want       verdict
		generation uint32
		origin     journal.Origin
	}{
		"never seen":                          {nil, spec, false, accept, 1, journal.OriginNew},
		"waiting for its turn":                {[]journal.Event{accepted}, spec, false, ignore, 0, ""},
		"waiting, sinks repeated by a reload": {[]journal.Event{accepted}, repeatedSinks, false, ignore, 0, ""},
		"running":                             {[]journal.Event{accepted, started}, spec, false, ignore, 0, ""},
		"publishing":                          {[]journal.Event{accepted, started, sealed}, spec, false, ignore, 0, ""},
		"running, other content":              {[]journal.Event{accepted, started}, other, false, accept, 2, journal.OriginChanged},
		"done, receipt never sent":            {[]journal.Event{accepted, started, sealed, concluded}, spec, false, repeat, 0, ""},
		"done, receipt perhaps lost":          {[]journal.Event{accepted, started, sealed, concluded, sent}, spec, false, repeat, 0, ""},
		"done, answered on this connection":   {[]journal.Event{accepted, started, sealed, concluded, sent}, spec, true, accept, 2, journal.OriginRetry},
		"done, receipt given up":              {[]journal.Event{accepted, started, sealed, concluded, sent, undelivered}, spec, false, repeat, 0, ""},
		"done and confirmed":                  {[]journal.Event{accepted, started, sealed, concluded, sent, confirmed}, spec, false, accept, 2, journal.OriginRetry},
		"confirmed, other content":            {[]journal.Event{accepted, started, sealed, concluded, sent, confirmed}, other, false, accept, 2, journal.OriginChanged},
		"never seen, unreadable":              {nil, unreadable, false, accept, 1, journal.OriginNew},
		"running, unreadable":                 {[]journal.Event{accepted, started}, unreadable, false, ignore, 0, ""},
		"done, unreadable":                    {[]journal.Event{accepted, started, sealed, concluded, sent}, unreadable, true, repeat, 0, ""},
		"confirmed, unreadable":               {[]journal.Event{accepted, started, sealed, concluded, sent, confirmed}, unreadable, false, accept, 2, journal.OriginChanged},
	} {
		t.Run(name, func(t *testing.T) {
			got, begin := judge(stateAfter(t, c.before...), 7, c.spec, c.meant)
			if got != c.want || begin.Generation != c.generation || begin.Origin != c.origin {
				t.Errorf("answer %d, generation %d, origin %q; want %d, %d, %q",
					got, begin.Generation, begin.Origin, c.want, c.generation, c.origin)
			}
		})
	}
}
