//go:build unix

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/faultproxy"
	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// Lanes: one worker that a Sentinel, which gives an identity one job at a time, takes
// for several.

// beginLanes starts a Sentinel, a proxy in front of it and a worker with lanes, and
// waits until all of them have introduced themselves.
func beginLanes(t *testing.T, lanes int, plugins ...string) (*story, *faultproxy.Proxy) {
	t.Helper()
	sentinel := harness.StartSentinel(t, false)
	proxy, err := faultproxy.Listen(strings.TrimPrefix(sentinel.Endpoint, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	site := harness.NewSite(t, sentinel, harness.Options{Plugins: plugins, Concurrency: 4, Lanes: lanes,
		WorkerID: "edge", Connect: "tcp://" + proxy.Address()})
	s := &story{T: t, sentinel: sentinel, site: site}
	s.startLanes(lanes)
	return s, proxy
}

func laneName(lane int) string {
	if lane == 1 {
		return "edge"
	}
	return fmt.Sprintf("edge-%d", lane)
}

// startLanes starts the worker and waits for that many identities.
func (s *story) startLanes(lanes int) {
	s.Helper()
	mark := s.sentinel.Mark()
	s.worker = s.site.Start()
	for lane := 1; lane <= lanes; lane++ {
		s.awaitIdentify(laneName(lane), mark)
	}
}

func (s *story) awaitIdentify(identity string, mark int) {
	s.Helper()
	s.sentinel.Await("IDENTIFY of "+identity, mark, func(m harness.Message) bool {
		return m.Op == "IDENTIFY" && m.Identity == identity
	})
}

// gated submits a job that stands at a gate of its own.
func (s *story) gated(id uint64) *harness.Gate {
	s.Helper()
	gate := harness.NewGate(s)
	job := s.job(id, "frames", nil)
	job.File = s.site.Input(fmt.Sprintf("%d.json", id),
		fmt.Sprintf(`{"rows": 100, "chunk": 50, "gate": %q, "gate_after": 1}`, gate.Folder()))
	s.sentinel.Submit(job)
	return gate
}

func (s *story) laneOf(job uint64) string {
	s.Helper()
	return s.sentinel.Await(fmt.Sprintf("the dispatch of job %d", job), 0, func(m harness.Message) bool {
		return m.Event == "dispatched" && m.JobID == job
	}).Identity
}

func TestFourLanesRunFourJobsAtOnce(t *testing.T) {
	t.Parallel()
	s, proxy := beginLanes(t, 4, "frames")
	gates := map[uint64]*harness.Gate{}
	for id := uint64(1); id <= 4; id++ {
		gates[id] = s.gated(id)
	}
	for _, gate := range gates {
		gate.AwaitReached() // all four run
	}
	lanes := map[string]uint64{}
	for id := range gates {
		lanes[s.laneOf(id)] = id
	}
	if len(lanes) != 4 {
		t.Fatalf("four jobs at once on %v", lanes)
	}
	if at := s.statusLanes(); !maps.Equal(at, lanes) {
		t.Errorf("status shows %v, the jobs were given to %v", at, lanes)
	}

	// One lane is cut. It comes back, and the others do not notice.
	streams := proxy.Streams()
	cut := proxy.Stream("edge-2")
	mark := s.sentinel.Mark()
	cut.Cut()
	s.awaitIdentify("edge-2", mark)
	again := s.sentinel.CountAfter(mark, func(m harness.Message) bool { return m.Op == "IDENTIFY" && m.Identity != "edge-2" })
	if again != 0 {
		t.Errorf("%d other lanes introduced themselves again", again)
	}
	left := proxy.Streams()
	for _, stream := range streams {
		if stream != cut && !slices.Contains(left, stream) {
			t.Errorf("the connection of %s was lost with that of edge-2", stream.Identity())
		}
	}

	for id, gate := range gates {
		gate.Open()
		s.succeeded(s.sentinel.Receipt(id), 100)
	}
	for lane, id := range lanes {
		if from := s.sentinel.Count(func(m harness.Message) bool {
			return m.Op == "CONCLUDE" && m.JobID == id && m.Identity == lane
		}); from != 1 {
			t.Errorf("%d receipts of job %d came from %s, which was given it", from, id, lane)
		}
		if n := s.sentinel.Receipts(id); n != 1 {
			t.Errorf("%d receipts of job %d", n, id)
		}
		if n := s.events("attempt-started", id); n != 1 {
			t.Errorf("job %d was run %d times", id, n)
		}
	}
}

// statusLanes is what `status` shows each lane busy with.
func (s *story) statusLanes() map[string]uint64 {
	s.Helper()
	stdout, stderr, code := s.site.Command("status", "--state-dir", s.site.State, "--json")
	if code != 0 {
		s.Fatalf("status: %d\n%s", code, stderr)
	}
	var status struct {
		Lanes []struct {
			Identity string  `json:"identity"`
			Job      *uint64 `json:"job"`
			Link     struct {
				State string `json:"state"`
			} `json:"link"`
		} `json:"lanes"`
	}
	if err := json.Unmarshal([]byte(stdout), &status); err != nil {
		s.Fatalf("%v in %s", err, stdout)
	}
	lanes := map[string]uint64{}
	for _, lane := range status.Lanes {
		if lane.Link.State != "up" {
			s.Errorf("lane %s is %s", lane.Identity, lane.Link.State)
		}
		if lane.Job != nil {
			lanes[lane.Identity] = *lane.Job
		}
	}
	return lanes
}

// A restart with fewer lanes: the Sentinel knows the others and gives them jobs. They
// are served, until the operator says that the Sentinel does not know them.
func TestFewerLanesAfterARestartLoseNoJob(t *testing.T) {
	t.Parallel()
	s, _ := beginLanes(t, 4, "frames")
	gates := map[uint64]*harness.Gate{}
	for id := uint64(1); id <= 4; id++ {
		gates[id] = s.gated(id)
	}
	for _, gate := range gates {
		gate.AwaitReached()
	}
	s.worker.Kill()
	for _, gate := range gates {
		gate.Open()
	}
	s.site.SetLanes(2)
	s.startLanes(4)
	for id := range gates {
		s.succeeded(s.sentinel.Receipt(id), 100)
		if lane, from := s.laneOf(id), s.receivedFrom(id); from != lane {
			t.Errorf("job %d was given to %s, its receipt came from %s", id, lane, from)
		}
	}
	if log := s.worker.Log(); !strings.Contains(log, "--forget-lanes") {
		t.Error("the log does not say that there are more lanes than asked for, and why")
	}

	// The Sentinel starts anew and knows nobody. Lanes 3 and 4 can go; what they owe
	// goes out on the first: the receipts above are not proven taken.
	s.sentinel.Close()
	s.worker.Terminate()
	if code := s.worker.Wait(); code != 0 {
		t.Fatalf("status %d after SIGTERM", code)
	}
	s.sentinel.Open()
	s.site.SetLanes(2, "--forget-lanes")
	mark := s.sentinel.Mark()
	s.startLanes(2)
	for id := range gates {
		s.sentinel.ReceiptAfter(id, mark)
	}
	s.site.SetLanes(2)
	if strangers := s.sentinel.CountAfter(mark, func(m harness.Message) bool {
		return m.Op == "IDENTIFY" && m.Identity != "edge" && m.Identity != "edge-2"
	}); strangers != 0 {
		t.Errorf("%d forgotten lanes introduced themselves", strangers)
	}
	if workers := s.sentinel.Snapshot().Workers; len(workers) != 2 {
		t.Errorf("the Sentinel knows %v", slices.Sorted(maps.Keys(workers)))
	}
}

func (s *story) receivedFrom(job uint64) string {
	s.Helper()
	return s.sentinel.Await(fmt.Sprintf("the receipt of job %d", job), 0, func(m harness.Message) bool {
		return m.Op == "CONCLUDE" && m.JobID == job
	}).Identity
}

// Two workers of one machine share environments and output, and nothing else.
func TestTwoWorkersShareAMachine(t *testing.T) {
	t.Parallel()
	sentinel := harness.StartSentinel(t, false)
	first := harness.NewSite(t, sentinel, harness.Options{Plugins: []string{"frames"}, Lanes: 2, Concurrency: 2, WorkerID: "left"})
	second := harness.NewSite(t, sentinel, harness.Options{Plugins: []string{"frames"}, Lanes: 2, Concurrency: 2, WorkerID: "right"})
	second.Venvs = first.Venvs
	second.Output = first.Output
	for _, site := range []*harness.Site{first, second} {
		site.Start()
	}
	for _, identity := range []string{"left", "left-2", "right", "right-2"} {
		(&story{T: t, sentinel: sentinel}).awaitIdentify(identity, 0)
	}
	s := &story{T: t, sentinel: sentinel, site: first}
	gates := map[uint64]*harness.Gate{}
	for id := uint64(1); id <= 4; id++ {
		gates[id] = s.gated(id)
	}
	for _, gate := range gates {
		gate.AwaitReached() // two on each worker
	}
	var want []string
	for id, gate := range gates {
		gate.Open()
		s.succeeded(sentinel.Receipt(id), 100)
		want = append(want, fmt.Sprintf("out/frames_%d.parquet", id))
	}
	slices.Sort(want)
	s.files(want...)
}
