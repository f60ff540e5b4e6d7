package actors

import (
	"cmp"
	"time"
)

// scheduler chooses which waiting job starts next. It is pure: it is told what
// waits, what runs and what time it is, and remembers what it saw of each plugin.
//
//   - At most so many jobs run at once, and, but for a single one, only as many as
//     are expected to fit into the memory that guests may take together.
//   - Of the plugins that have a job waiting, the one with the fewest running is
//     served; among those, the one that was served longest ago. Jobs of one plugin
//     keep their order.
//   - While short jobs come by, one place of several is kept from long ones.
type scheduler struct {
	places int
	memory int64 // bytes; 0: no limit

	plugins   map[string]*experience
	turns     uint64    // jobs started
	passed    int       // jobs that were let pass one which does not fit, in a row
	lastShort time.Time // when a job of a plugin known as short last waited
}

// experience is what a plugin's jobs were like.
type experience struct {
	turn  uint64        // when its last job was started, in jobs
	usual time.Duration // of a job; 0: none has ended
	peak  int64         // bytes of a guest; 0: not known
}

const (
	// longJob is the time from which on a job is a long one.
	longJob = 10 * time.Second
	// shortsStay is how long after a short job a place is still kept for the next.
	shortsStay = 10 * time.Minute
	// unknownPeak is expected of a plugin that nothing is known of.
	unknownPeak = 256 << 20
	// mostPassed is how many jobs may pass one that is too large just now.
	mostPassed = 16
	// mostPlugins bounds what is remembered; then it begins anew.
	mostPlugins = 4096
)

// runningJob is a job in hand. Output that is only to be published has no plugin.
type runningJob struct {
	plugin string
	since  time.Time
}

// next gives the index in waiting of the plugin whose first job is to start; waiting
// has the plugins that have jobs, in the order of these. -1: none may start now.
func (s *scheduler) next(waiting []string, running []runningJob, now time.Time) int {
	for _, plugin := range waiting {
		if e := s.plugins[plugin]; e != nil && e.usual > 0 && e.usual < longJob {
			s.lastShort = now
		}
	}
	if len(running) >= s.places {
		return -1
	}
	counts := make(map[string]int)
	long, expected := 0, int64(0)
	for _, job := range running {
		if job.plugin == "" {
			continue
		}
		counts[job.plugin]++
		expected += s.expected(job.plugin)
		if s.long(job.plugin) || now.Sub(job.since) >= longJob {
			long++
		}
	}
	keepOne := s.places > 1 && !s.lastShort.IsZero() && now.Sub(s.lastShort) < shortsStay
	fits := func(plugin string) bool {
		return s.memory == 0 || len(running) == 0 || expected+s.expected(plugin) <= s.memory
	}
	first, best := -1, -1 // whoever's turn it is, and who of them fits
	for i, plugin := range waiting {
		if keepOne && long >= s.places-1 && s.long(plugin) {
			continue
		}
		if first < 0 || s.before(plugin, waiting[first], counts) {
			first = i
		}
		if fits(plugin) && (best < 0 || s.before(plugin, waiting[best], counts)) {
			best = i
		}
	}
	switch {
	case best == first:
		s.passed = 0
	case s.passed >= mostPassed:
		return -1 // until enough has ended
	case best >= 0:
		s.passed++
	}
	return best
}

// before tells whether one plugin is to be served before another.
func (s *scheduler) before(a, b string, running map[string]int) bool {
	turn := func(plugin string) uint64 {
		if e := s.plugins[plugin]; e != nil {
			return e.turn
		}
		return 0
	}
	return cmp.Or(cmp.Compare(running[a], running[b]), cmp.Compare(turn(a), turn(b))) < 0
}

func (s *scheduler) long(plugin string) bool {
	e := s.plugins[plugin]
	return e != nil && e.usual >= longJob
}

// expected is the memory that a guest of the plugin will take, in bytes.
func (s *scheduler) expected(plugin string) int64 {
	if e := s.plugins[plugin]; e != nil && e.peak > 0 {
		return e.peak
	}
	return unknownPeak
}

// of gives a plugin's experience to be changed.
func (s *scheduler) of(plugin string) *experience {
	if e := s.plugins[plugin]; e != nil {
		return e
	}
	if s.plugins == nil || len(s.plugins) >= mostPlugins {
		s.plugins = make(map[string]*experience)
	}
	e := &experience{}
	s.plugins[plugin] = e
	return e
}

// started notes that a job of the plugin was started.
func (s *scheduler) started(plugin string) {
	s.turns++
	s.of(plugin).turn = s.turns
}

// ended notes how long a job took and how much memory its guest had at most; 0: not
// known. The usual time follows slowly, the peak downwards only.
func (s *scheduler) ended(plugin string, took time.Duration, peak int64) {
	e := s.of(plugin)
	took = max(took, time.Nanosecond)
	if e.usual == 0 {
		e.usual = took
	}
	e.usual += (took - e.usual) / 4
	if peak > 0 {
		e.peak = max(peak, e.peak-(e.peak-peak)/8)
	}
}
