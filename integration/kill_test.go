//go:build unix

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// Bar: kill -9 at any moment, start again: the job is SUCCESS once in the
// Sentinel's eyes, its rows are exact, in one file, and nothing is staged.

// aftermath starts the worker again and looks at what became of job 1.
func (s *story) aftermath(job harness.Job, rows int64) {
	s.Helper()
	mark := s.sentinel.Mark()
	s.worker = s.site.Start()
	s.succeeded(s.sentinel.ReceiptAfter(job.ID, mark), rows)
	s.heartbeat()
	if n := s.sentinel.CountAfter(mark, func(m harness.Message) bool { return m.Op == "CONCLUDE" && m.JobID == job.ID }); n != 1 {
		s.Errorf("%d receipts after the restart, want 1", n)
	}
	if state := s.sentinel.Snapshot().Jobs[job.ID]; state.Status != "SUCCESS" || state.Dispatches != 1 {
		s.Errorf("in the Sentinel's eyes the job is %s after %d dispatches", state.Status, state.Dispatches)
	}
	file := fmt.Sprintf("out/frames_%d.parquet", job.ID)
	s.files(file)
	s.holds(job, "output", file)
	s.site.CheckNoStaging()
	s.site.AwaitNoGuests(s.worker)
	s.verified()
}

func TestKillInMidStream(t *testing.T) {
	t.Parallel()
	for after, arguments := range map[int][]string{0: rerun, 1: nil, 9: rerun} {
		t.Run(fmt.Sprintf("after %d frames", after), func(t *testing.T) {
			t.Parallel()
			s := beginWith(t, false, harness.Options{Plugins: []string{"frames"}, Arguments: arguments})
			gate := harness.NewGate(t)
			job := s.job(1, "frames", wish{"rows": 10_000, "chunk": 1_000, "gate": gate, "gate_after": after})
			s.sentinel.Submit(job)
			gate.AwaitReached()
			s.worker.Kill()
			gate.Open()
			s.aftermath(job, 10_000)
		})
	}
}

// The plugin has yielded all its rows, and the end frame has not come.
func TestKillBeforeTheLastWord(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	job := s.job(1, "frames", wish{"rows": 10_000, "chunk": 1_000, "gate": gate, "gate_after": -1})
	s.sentinel.Submit(job)
	gate.AwaitReached()
	s.worker.Kill()
	gate.Open()
	s.aftermath(job, 10_000)
}

// Jobs that were taken on and wait are as safe as one that runs.
func TestKillWhileJobsWait(t *testing.T) {
	t.Parallel()
	s := beginBurst(t, 1, "frames")
	gate := harness.NewGate(t)
	var jobs []harness.Job
	for id := uint64(1); id <= 3; id++ {
		job := s.job(id, "frames", wish{"rows": 1_000, "chunk": 100, "gate": gate, "gate_after": 3})
		jobs = append(jobs, job)
		s.sentinel.Submit(job)
	}
	gate.AwaitReached()
	s.heartbeat() // all three were read
	s.site.Eventually("all three jobs are in the journal", func() error {
		for _, job := range jobs {
			if s.events("job-accepted", job.ID) == 0 {
				return fmt.Errorf("job %d is not", job.ID)
			}
		}
		return nil
	})
	s.worker.Kill()
	gate.Open()
	s.worker = s.site.Start()
	for _, job := range jobs {
		s.succeeded(s.sentinel.Receipt(job.ID), 1_000)
		s.holds(job, "output", fmt.Sprintf("out/frames_%d.parquet", job.ID))
	}
	s.files("out/frames_1.parquet", "out/frames_2.parquet", "out/frames_3.parquet")
	s.site.CheckNoStaging()
}

// All rows are sealed and published, and the Sentinel is away: the journal alone
// knows of the receipt.
func TestKillWhileTheReceiptWaits(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	job := s.job(1, "frames", wish{"rows": 10_000, "chunk": 1_000, "gate": gate, "gate_after": 2})
	s.sentinel.Submit(job)
	gate.AwaitReached()
	s.sentinel.Close()
	gate.Open()
	s.awaitFile("out/frames_1.parquet")
	s.site.Eventually("the job is concluded in the journal", func() error {
		if s.events("job-concluded", 1) == 0 {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	s.worker.Kill()
	s.sentinel.Open()
	s.aftermath(job, 10_000)
	if n := s.events("attempt-started", 1); n != 1 {
		t.Errorf("%d attempts, the rows were published in the first", n)
	}
}

// The moments between sealing, publishing and concluding are too short for a
// gate: kill at the sight of the first trace that each leaves on disk.
func TestKillAroundPublishing(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	for id := uint64(1); id <= 4; id++ {
		gate := harness.NewGate(t)
		job := s.job(id, "frames", nil)
		job.File = s.site.Input(fmt.Sprintf("%d.json", id),
			fmt.Sprintf(`{"rows": 10000, "chunk": 1000, "gate": %q, "gate_after": -1}`, gate.Folder()))
		mark := s.sentinel.Mark()
		s.sentinel.Submit(job)
		gate.AwaitReached()
		file := fmt.Sprintf("out/frames_%d.parquet", id)
		published := make(chan struct{})
		go func() {
			defer close(published)
			// As fast as it can: the moment passes in a millisecond.
			for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); {
				if _, err := os.Lstat(filepath.Join(s.site.Output, file)); err == nil {
					return
				}
			}
		}()
		gate.Open()
		<-published
		s.worker.Kill()
		s.worker = s.site.Start()
		s.succeeded(s.sentinel.ReceiptAfter(id, mark), 10_000)
		s.holds(job, "output", file)
		if n := s.events("attempt-started", id); n != 1 {
			t.Errorf("job %d was published in its first attempt, and ran %d times", id, n)
		}
	}
	s.files("out/frames_1.parquet", "out/frames_2.parquet", "out/frames_3.parquet", "out/frames_4.parquet")
	s.site.CheckNoStaging()
	s.verified()
}

// The guest of a killed worker may be in the middle of anything. None of its
// processes outlives the next start, a daemon of it neither.
func TestKillLeavesNoGuestBehind(t *testing.T) {
	t.Parallel()
	warmAndCold(t, killLeavesNoGuest, rerun...)
}

func killLeavesNoGuest(t *testing.T, begin func(...string) *story) {
	s := begin("endless", "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "endless", wish{"gate": gate}))
	gate.AwaitReached()
	old := s.site.Guests(s.worker)
	if len(old) < 4 {
		t.Fatalf("the guest's tree is %q, want the guest, its child, its grandchild and the daemon", old)
	}
	s.worker.Kill()
	s.worker = s.site.Start()
	gate.AwaitReached() // it runs again
	for _, process := range s.site.Guests(s.worker) {
		for _, before := range old {
			if process == before {
				t.Errorf("a process of the killed worker's guest still runs: %s", process)
			}
		}
	}
	s.sentinel.Abort(s.worker.Identity, 1)
	s.failed(s.sentinel.Receipt(1), "aborted")
	s.files()
}

// Killed again and again under one job, it still ends once, exactly.
func TestKillManyTimes(t *testing.T) {
	t.Parallel()
	warmAndCold(t, killManyTimes, rerun...)
}

func killManyTimes(t *testing.T, begin func(...string) *story) {
	s := begin("frames")
	gate := harness.NewGate(t)
	job := s.job(1, "frames", wish{"rows": 10_000, "chunk": 1_000, "gate": gate, "gate_after": 5})
	s.sentinel.Submit(job)
	for range 4 {
		gate.AwaitReached()
		s.worker.Kill()
		s.worker = s.site.Start()
	}
	gate.AwaitReached()
	s.worker.Kill()
	gate.Open()
	s.aftermath(job, 10_000)
}
