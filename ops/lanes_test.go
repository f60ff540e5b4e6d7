package ops

import (
	"log/slog"
	"reflect"
	"testing"

	"github.com/casparian-flow/casparian-worker/journal"
)

func TestLanesOfEarlierStartsAreServedUntilTheyAreForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		want   int
		forget Switch
		before uint32
		lanes  uint32
		events []journal.Event
	}{
		"one, as ever":                {1, false, 0, 1, nil},
		"the first four":              {4, false, 0, 4, []journal.Event{journal.LanesOpened{Lanes: 4}}},
		"more":                        {4, false, 2, 4, []journal.Event{journal.LanesOpened{Lanes: 4}}},
		"as many":                     {4, false, 4, 4, nil},
		"fewer":                       {2, false, 4, 4, nil},
		"fewer, the others forgotten": {2, true, 4, 2, []journal.Event{journal.LanesForgotten{Lanes: 2}}},
		"nothing to forget":           {4, true, 2, 4, []journal.Event{journal.LanesOpened{Lanes: 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			lanes, events := planLanes(Config{Lanes: c.want, ForgetLanes: c.forget}, journal.State{Lanes: c.before}, slog.New(slog.DiscardHandler))
			if lanes != c.lanes || !reflect.DeepEqual(events, c.events) {
				t.Errorf("%d lanes after %v, want %d after %v", lanes, events, c.lanes, c.events)
			}
		})
	}
}

func TestOneLaneForEachPlaceUnlessToldOtherwise(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--concurrency", "3"}, 3},
		{[]string{"--concurrency", "1000"}, maxLanes},
		{[]string{"--concurrency", "8", "--lanes", "1"}, 1},
	} {
		config, _, err := load(t, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		if err := config.Resolve(); err != nil {
			t.Fatal(err)
		}
		if config.Lanes != c.want {
			t.Errorf("%v gives %d lanes, want %d", c.args, config.Lanes, c.want)
		}
	}
	if first, third := laneIdentity("edge", 0), laneIdentity("edge", 2); first != "edge" || third != "edge-3" {
		t.Errorf("lanes are called %s and %s", first, third)
	}
}

func TestASwitchIsGivenAloneOrWithItsValue(t *testing.T) {
	for _, c := range []struct {
		args []string
		want Switch
	}{{nil, false}, {[]string{"--forget-lanes"}, true}, {[]string{"--forget-lanes=false"}, false}} {
		if config, _, err := load(t, c.args...); err != nil || config.ForgetLanes != c.want {
			t.Errorf("%v gives %v, %v", c.args, config.ForgetLanes, err)
		}
	}
	t.Setenv("CASPARIAN_FORGET_LANES", "true")
	if config, origins, err := load(t); err != nil || !config.ForgetLanes || origins["forget-lanes"] != "variable CASPARIAN_FORGET_LANES" {
		t.Errorf("%v by %q, %v", config.ForgetLanes, origins["forget-lanes"], err)
	}
}
