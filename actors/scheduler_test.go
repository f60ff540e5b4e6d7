package actors

import (
	"strings"
	"testing"
	"time"
)

// drawn starts what may start of the waiting plugins, one letter each, and gives
// their order. Nothing ends meanwhile.
func drawn(s *scheduler, waiting, running string, now time.Time) string {
	queue := strings.Split(waiting, "")
	var active []runningJob
	for _, plugin := range strings.Split(running, "") {
		active = append(active, runningJob{plugin: plugin, since: now})
	}
	var order strings.Builder
	for {
		i := s.next(queue, active, now)
		if i < 0 {
			return order.String()
		}
		s.started(queue[i])
		active = append(active, runningJob{plugin: queue[i], since: now})
		order.WriteString(queue[i])
		queue = append(queue[:i:i], queue[i+1:]...)
	}
}

func TestSchedulerOrder(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	seconds := func(plugin string, n int) func(*scheduler) {
		return func(s *scheduler) { s.ended(plugin, time.Duration(n)*time.Second, 0) }
	}
	megabytes := func(plugin string, n int64) func(*scheduler) {
		return func(s *scheduler) { s.ended(plugin, 0, n<<20) }
	}
	for _, c := range []struct {
		name             string
		places           int
		memory           int64 // MB
		known            []func(*scheduler)
		waiting, running string
		want             string
	}{
		{"no more than there are places", 2, 0, nil, "aaaa", "", "aa"},
		{"none when all are taken", 2, 0, nil, "aa", "bb", ""},
		{"nothing waits", 2, 0, nil, "", "", ""},
		{"plugins take turns", 5, 0, nil, "aaaabb", "", "ababa"},
		{"who has the fewest running is first", 4, 0, nil, "aab", "aa", "ba"},
		{"the budget bounds them", 9, 1000, []func(*scheduler){megabytes("a", 400)}, "aaaa", "", "aa"},
		{"a small one passes a large one", 9, 1000, []func(*scheduler){megabytes("a", 700), megabytes("b", 200)}, "aab", "", "ab"},
		{"one always runs", 9, 100, []func(*scheduler){megabytes("a", 700)}, "aa", "", "a"},
		{"of an unknown one something is expected", 9, 600, nil, "abcd", "", "ab"},
		{"long jobs may take all places", 3, 0, []func(*scheduler){seconds("l", 60)}, "llll", "", "lll"},
		{"but one, when short jobs come by", 3, 0, []func(*scheduler){seconds("l", 60), seconds("s", 1)}, "lllls", "", "lsl"},
		{"a single place is kept from nobody", 1, 0, []func(*scheduler){seconds("l", 60), seconds("s", 1)}, "ls", "", "l"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scheduler{places: c.places, memory: c.memory << 20}
			for _, tell := range c.known {
				tell(s)
			}
			if got := drawn(s, c.waiting, c.running, now); got != c.want {
				t.Errorf("started %q, want %q", got, c.want)
			}
		})
	}
}

// A plugin that keeps the queue full does not keep the others out, however long it
// goes on.
func TestSchedulerServesEverybody(t *testing.T) {
	s := &scheduler{places: 2}
	now := time.Unix(1_800_000_000, 0)
	served := map[string]int{}
	for range 30 {
		now = now.Add(time.Second)
		for _, plugin := range drawn(s, "aaaaaabc", "", now) {
			served[string(plugin)]++
			s.ended(string(plugin), time.Second, 0)
		}
	}
	for _, plugin := range []string{"a", "b", "c"} {
		if served[plugin] != 20 {
			t.Errorf("%s was served %d of 60 times, want 20", plugin, served[plugin])
		}
	}
}

// A job that is too large just now is passed by smaller ones, but not for ever.
func TestSchedulerLetsALargeJobIn(t *testing.T) {
	s := &scheduler{places: 9, memory: 1000 << 20}
	now := time.Unix(1_800_000_000, 0)
	s.ended("a", time.Second, 900<<20)
	s.ended("b", time.Second, 200<<20)
	passed := 0
	for drawn(s, "ab", "b", now) == "b" {
		if passed++; passed > mostPassed {
			t.Fatal("they pass it for ever")
		}
	}
	if got := drawn(s, "ab", "", now); got != "a" {
		t.Errorf("when there is room for it %q starts", got)
	}
}

// The place that is kept for short jobs is given up when none has come for a while,
// and a job that turns out long counts as long.
func TestSchedulerKeepsAPlaceOnlyForAWhile(t *testing.T) {
	s := &scheduler{places: 2}
	now := time.Unix(1_800_000_000, 0)
	s.ended("l", time.Minute, 0)
	s.ended("s", time.Second, 0)
	if got := drawn(s, "s", "", now); got != "s" {
		t.Fatal(got)
	}
	running := []runningJob{{plugin: "new", since: now.Add(-longJob)}}
	if i := s.next([]string{"l"}, running, now); i >= 0 {
		t.Error("a second long job took the place of the short ones")
	}
	if i := s.next([]string{"l"}, running, now.Add(shortsStay)); i != 0 {
		t.Error("the place is kept though no short job came")
	}
}

func TestSchedulerLearns(t *testing.T) {
	s := &scheduler{}
	for range 40 {
		s.ended("a", time.Minute, 100<<20)
	}
	s.ended("a", time.Second, 900<<20)
	if e := s.plugins["a"]; e.peak != 900<<20 || e.usual < 40*time.Second {
		t.Errorf("one short and large job: %+v", *e)
	}
	for range 60 {
		s.ended("a", time.Second, 100<<20)
	}
	if e := s.plugins["a"]; e.peak > 110<<20 || e.usual > 2*time.Second {
		t.Errorf("many small and short ones: %+v", *e)
	}
	for i := range 2 * mostPlugins {
		s.started(strings.Repeat("p", i))
	}
	if len(s.plugins) > mostPlugins {
		t.Errorf("%d plugins are remembered", len(s.plugins))
	}
}
