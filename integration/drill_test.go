//go:build unix

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/faultproxy"
	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// Many jobs, while the network breaks or the Sentinel dies: each is concluded, runs
// once, and has its one result in the Sentinel's books; and the worker is as small as
// before. Here each drill is short. Their full size is behind the build tag `drill`.

// drill is one worker with several lanes, and many tiny jobs.
type drill struct {
	*story
	seed  uint64
	rand  *rand.Rand
	lanes int
	jobs  int
	began time.Time

	// What the Sentinel saw, up to a mark.
	mark       int
	ended      map[uint64]bool // jobs with a receipt
	receipts   int
	identifies int
	requeued   int

	before worth
}

// worth is what a worker takes of the machine.
type worth struct{ goroutines, descriptors int }

// seedOf is the seed of a drill: the one that CASPARIAN_DRILL_SEED names, or its own.
func seedOf(t *testing.T, own uint64) uint64 {
	t.Helper()
	text := os.Getenv("CASPARIAN_DRILL_SEED")
	if text == "" {
		return own
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CASPARIAN_DRILL_SEED: %v", err)
	}
	return seed
}

// beginDrill starts the worker, lets it run one job on each lane, looks at how much it
// takes, and submits the jobs.
func beginDrill(t *testing.T, sentinel *harness.Sentinel, connect string, seed uint64, lanes, jobs int) *drill {
	t.Helper()
	site := harness.NewSite(t, sentinel, harness.Options{Plugins: []string{"tiny"}, Concurrency: 4, Lanes: lanes,
		WorkerID: "edge", Connect: connect, Arguments: []string{"--heartbeat", "1s"}})
	d := &drill{
		story: &story{T: t, sentinel: sentinel, site: site}, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)),
		lanes: lanes, jobs: jobs + lanes, ended: map[uint64]bool{}, began: time.Now(),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to do it again: CASPARIAN_DRILL_SEED=%d go test ./integration -run '^%s$' (the full size with -tags drill)", seed, t.Name())
		}
	})
	d.startLanes(lanes)
	file := site.Input("tiny.json", "{}")
	submit := func(from, to int) {
		for id := from; id <= to; id++ {
			sentinel.Submit(harness.Job{ID: uint64(id), Plugin: "tiny", Source: harness.Plugin(t, "tiny"), File: file, FileVersionID: int64(id)})
		}
	}
	submit(1, lanes)
	d.until("the first jobs", func() bool { return len(d.ended) >= lanes })
	site.Eventually("the worker has all that it needs", func() error {
		var busy string
		if d.before, busy = d.worth(); busy != "" {
			return errors.New(busy)
		}
		return nil
	})
	submit(lanes+1, d.jobs)
	return d
}

// look takes in what the Sentinel has seen since it looked last.
func (d *drill) look() {
	for _, m := range d.sentinel.Since(d.mark) {
		d.mark++
		switch {
		case m.Op == "CONCLUDE":
			d.receipts++
			d.ended[m.JobID] = true
		case m.Op == "IDENTIFY":
			d.identifies++
		case m.Event == "requeued":
			d.requeued++
		}
	}
}

// until waits for something, and gives up when no job ends for a long time.
func (d *drill) until(what string, done func() bool) {
	d.Helper()
	ended, since := -1, time.Now()
	for {
		d.look()
		if done() {
			return
		}
		if len(d.ended) != ended {
			ended, since = len(d.ended), time.Now()
		}
		if time.Since(since) > harness.Patience {
			d.Fatalf("seed %d: %v without a result while waiting for %s: %d of %d jobs ended\n%s",
				d.seed, harness.Patience, what, len(d.ended), d.jobs, d.stuck())
		}
		time.Sleep(10 * time.Millisecond) // the Sentinel's log grows by itself
	}
}

// stuck lists jobs without a result, as the Sentinel and the journal see them.
func (d *drill) stuck() string {
	var text strings.Builder
	records := d.records()
	for id, job := range d.sentinel.Snapshot().Jobs {
		if job.Status == "SUCCESS" || text.Len() > 4000 {
			continue
		}
		fmt.Fprintf(&text, "job %d is %s on %q after %d dispatches; the journal has", id, job.Status, job.Worker, job.Dispatches)
		for _, r := range records {
			if r.Job == id {
				fmt.Fprintf(&text, " %s", r.Kind)
			}
		}
		fmt.Fprintln(&text)
	}
	return text.String()
}

// worth asks the worker how much it takes, and what it is still busy with, if anything.
func (d *drill) worth() (takes worth, busy string) {
	d.Helper()
	stdout, stderr, code := d.site.Command("status", "--state-dir", d.site.State, "--json")
	if code != 0 {
		d.Fatalf("status: %d\n%s", code, stderr)
	}
	var status struct {
		Goroutines int   `json:"goroutines"`
		Running    []any `json:"running"`
		Warm       []struct {
			State string `json:"state"`
		} `json:"warm_guests"`
		Lanes []struct {
			Identity string `json:"identity"`
			Link     struct {
				State string `json:"state"`
			} `json:"link"`
		} `json:"lanes"`
	}
	if err := json.Unmarshal([]byte(stdout), &status); err != nil {
		d.Fatal(err)
	}
	if len(status.Running) > 0 {
		busy = "jobs run"
	}
	for _, warm := range status.Warm {
		if warm.State == "starting" {
			busy = "a warm interpreter starts"
		}
	}
	for _, lane := range status.Lanes {
		if lane.Link.State != "up" {
			busy = fmt.Sprintf("lane %s is %s", lane.Identity, lane.Link.State)
		}
	}
	return worth{status.Goroutines, d.worker.Descriptors()}, busy
}

// finish waits for every job and judges.
func (d *drill) finish(what string) {
	d.Helper()
	d.until("the last job", func() bool { return len(d.ended) == d.jobs })
	var after worth
	d.site.Eventually("the worker takes no more than before", func() error {
		var busy string
		if after, busy = d.worth(); busy != "" {
			return errors.New(busy)
		}
		if after.goroutines > d.before.goroutines || after.descriptors > d.before.descriptors {
			return fmt.Errorf("it takes %+v, before it was %+v", after, d.before)
		}
		return nil
	})
	for id, job := range d.sentinel.Snapshot().Jobs {
		if job.Status != "SUCCESS" || len(job.Receipts) == 0 || job.Receipts[0].Metrics["rows"] != 3 {
			d.Errorf("seed %d: in the Sentinel's eyes job %d is %s: %+v", d.seed, id, job.Status, job.Receipts)
		}
	}
	counts := map[string]map[uint64]int{"job-accepted": {}, "attempt-started": {}, "job-concluded": {}}
	for _, r := range d.records() {
		if of := counts[r.Kind]; of != nil {
			of[r.Job]++
		}
	}
	for id := uint64(1); id <= uint64(d.jobs); id++ {
		for kind, of := range counts {
			if of[id] != 1 {
				d.Errorf("seed %d: the journal has %d %s of job %d, want 1", d.seed, of[id], kind, id)
			}
		}
	}
	if files := d.site.Files(); len(files) != d.jobs {
		d.Errorf("seed %d: %d files of %d jobs", d.seed, len(files), d.jobs)
	}
	d.Logf("%s, seed %d: %d jobs on %d lanes in %v, each run and concluded once; %d receipts, %d introductions, %d jobs given out again; before %+v, after %+v",
		what, d.seed, d.jobs, d.lanes, time.Since(d.began).Round(time.Second), d.receipts, d.identifies, d.requeued, d.before, after)
}

// faults are the ways to break a stream, for a time where they heal.
var faults = []struct {
	name  string
	apply func(s *faultproxy.Stream, random *rand.Rand)
}{
	{"cut", func(s *faultproxy.Stream, _ *rand.Rand) { s.Cut() }},
	{"reset", func(s *faultproxy.Stream, _ *rand.Rand) { s.Reset() }},
	{"delay", func(s *faultproxy.Stream, r *rand.Rand) { s.Delay(time.Duration(50+r.IntN(1500)) * time.Millisecond) }},
	{"throttle", func(s *faultproxy.Stream, r *rand.Rand) { s.Throttle(50 + r.IntN(2000)) }},
	{"black hole", func(s *faultproxy.Stream, _ *rand.Rand) { s.BlackHole() }},
	{"worker lost", func(s *faultproxy.Stream, _ *rand.Rand) { s.LoseWorker() }},
	{"Sentinel lost", func(s *faultproxy.Stream, _ *rand.Rand) { s.LoseSentinel() }},
}

// badNetwork breaks random lanes in random ways while jobs are given out.
func badNetwork(t *testing.T, seed uint64, lanes, jobs, breaks int) {
	sentinel := harness.StartOperatedSentinel(t)
	proxy, err := faultproxy.Listen(strings.TrimPrefix(sentinel.Endpoint, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	d := beginDrill(t, sentinel, "tcp://"+proxy.Address(), seed, lanes, jobs)
	var healing sync.WaitGroup
	done := map[string]int{}
	for n := range breaks {
		// Spread over the jobs, so that all of them happen under load.
		d.until("the next fault", func() bool {
			return len(d.ended)-d.lanes >= n*jobs/breaks && len(proxy.Streams()) > 0
		})
		streams := proxy.Streams()
		slices.SortFunc(streams, func(a, b *faultproxy.Stream) int { return a.Number - b.Number })
		if len(streams) == 0 {
			continue // the last one ended just now, which is a fault as well
		}
		stream, fault := streams[d.rand.IntN(len(streams))], faults[d.rand.IntN(len(faults))]
		lasts := time.Duration(100+d.rand.IntN(4000)) * time.Millisecond
		fault.apply(stream, d.rand)
		done[fault.name]++
		healing.Add(1)
		time.AfterFunc(lasts, func() { defer healing.Done(); stream.Heal() })
	}
	healing.Wait()
	d.finish(fmt.Sprintf("%d faults %v", breaks, done))
}

// sentinelKills kills the Sentinel again and again while jobs are given out, and
// freezes it for a time in between.
func sentinelKills(t *testing.T, seed uint64, lanes, jobs, kills int, frozen time.Duration) {
	sentinel := harness.StartOperatedSentinel(t)
	d := beginDrill(t, sentinel, "", seed, lanes, jobs)
	for n := range kills {
		d.until("the next kill", func() bool { return len(d.ended)-d.lanes >= n*jobs/(kills+1) })
		if n == kills/2 {
			sentinel.Signal(syscall.SIGSTOP)
			time.Sleep(frozen) // how long it stands still is what is tried
			sentinel.Signal(syscall.SIGCONT)
			stands := len(d.ended)
			d.until("a job after the Sentinel was frozen", func() bool { return len(d.ended) > stands })
		}
		sentinel.Kill()
		if d.rand.IntN(2) == 0 {
			time.Sleep(time.Duration(d.rand.IntN(1000)) * time.Millisecond) // nobody listens
		}
		sentinel.Relaunch()
	}
	d.finish(fmt.Sprintf("%d kills of the Sentinel, once frozen for %v", kills, frozen))
}

func TestDrillBadNetworkInShort(t *testing.T) {
	t.Parallel()
	badNetwork(t, seedOf(t, 1), 4, 60, 12)
}

func TestDrillSentinelKillsInShort(t *testing.T) {
	t.Parallel()
	sentinelKills(t, seedOf(t, 1), 4, 60, 3, 3*time.Second)
}
