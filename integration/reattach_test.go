//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// Bar: the guest of a killed worker goes on with the next one. The plugin runs once,
// and the rows are exact, in two files that are cut at different points.

// outliving is a job of the plugin outlives, with a folder in which it tells things.
func (s *story) outliving(w wish) (job harness.Job, told string) {
	s.Helper()
	told = s.TempDir()
	w["folder"] = told
	job = s.job(1, "outlives", w)
	job.Sinks = []harness.Sink{
		{Topic: "many", URI: "parquet://many.parquet?row_group_rows=430"},
		{Topic: "few", URI: "parquet://few.parquet?row_group_rows=270"},
	}
	return job, told
}

// awaitTold waits until the plugin has told something.
func (s *story) awaitTold(told, what string) {
	s.Helper()
	s.site.Eventually("the plugin told: "+what, func() error {
		_, err := os.Stat(filepath.Join(told, what))
		return err
	})
}

// awaitReattached waits until the guest of job 1 went on so many times.
func (s *story) awaitReattached(times int) {
	s.Helper()
	s.site.Eventually("the guest is attached again", func() error {
		if n := s.events("guest-reattached", 1); n < times {
			return fmt.Errorf("%d times so far", n)
		}
		return nil
	})
}

// ranOnce looks at the end of a job that outlived its worker.
func (s *story) ranOnce(job harness.Job, told string, rows int64) {
	s.Helper()
	s.succeeded(s.sentinel.Receipt(1), rows)
	if starts, _ := filepath.Glob(filepath.Join(told, "start-*")); len(starts) != 1 {
		s.Errorf("the plugin ran %d times", len(starts))
	}
	if n := s.events("attempt-started", 1); n != 1 {
		s.Errorf("%d attempts", n)
	}
	s.files("few_1.parquet", "many_1.parquet")
	s.holds(job, "many", "many_1.parquet")
	s.holds(job, "few", "few_1.parquet")
	s.site.CheckNoStaging()
	s.site.AwaitNoGuests(s.worker)
	s.verified()
}

func TestTheGuestOutlivesTheWorker(t *testing.T) {
	t.Parallel()
	warmAndCold(t, func(t *testing.T, begin func(...string) *story) {
		s := begin("outlives")
		gate := harness.NewGate(t)
		job, told := s.outliving(wish{"frames": 60, "rows": 100, "gate": gate, "gate_after": 30})
		s.sentinel.Submit(job)
		gate.AwaitReached()
		s.awaitDurable(0)
		// Killed between two batches; again when the guest has just gone on; and once
		// more when it has nothing new to tell.
		for times := range 3 {
			s.worker.Kill()
			s.worker = s.site.Start()
			s.awaitReattached(times + 1)
		}
		gate.Open()
		s.ranOnce(job, told, 6000)
	})
}

// The worker stands still until the guest waits in the middle of a frame, and dies.
func TestTheGuestOutlivesTheWorkerInMidFrame(t *testing.T) {
	t.Parallel()
	warmAndCold(t, func(t *testing.T, begin func(...string) *story) {
		s := begin("outlives")
		gate := harness.NewGate(t)
		job, told := s.outliving(wish{"frames": 14, "rows": 20_000, "gate": gate, "gate_after": 7})
		s.sentinel.Submit(job)
		gate.AwaitReached()
		s.worker.Signal(syscall.SIGSTOP)
		gate.Open()
		s.awaitTold(told, "behind the gate")
		s.worker.Kill()
		s.worker = s.site.Start()
		s.ranOnce(job, told, 14*20_000)
		if n := s.events("guest-reattached", 1); n != 1 {
			t.Errorf("attached again %d times", n)
		}
	})
}

// The plugin has finished while there was no worker.
func TestTheGuestIsDoneBeforeTheNextWorkerComes(t *testing.T) {
	t.Parallel()
	for _, raises := range []bool{false, true} {
		t.Run(fmt.Sprintf("raises %v", raises), func(t *testing.T) {
			t.Parallel()
			s := begin(t, "outlives")
			gate := harness.NewGate(t)
			job, told := s.outliving(wish{"frames": 22, "rows": 100, "gate": gate, "gate_after": 20, "print": 300_000, "raises": raises})
			s.sentinel.Submit(job)
			gate.AwaitReached()
			s.awaitDurable(0)
			s.worker.Kill()
			gate.Open()
			s.awaitTold(told, "end")
			s.worker = s.site.Start()
			if !raises {
				s.ranOnce(job, told, 2200)
				return
			}
			s.failed(s.sentinel.Receipt(1), "ValueError: as asked", "600002 bytes of output while there was no worker")
			s.files()
			s.site.AwaitNoGuests(s.worker)
		})
	}
}

// Nobody comes: the guest ends, and all that it started.
func TestAGuestThatNobodyClaimsEnds(t *testing.T) {
	t.Parallel()
	for name, warm := range map[string]string{"warm": "4", "cold": "off"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := beginWith(t, false, harness.Options{Plugins: []string{"endless"}, Arguments: []string{"--reattach", "1s", "--warm-guests", warm}})
			gate := harness.NewGate(t)
			s.sentinel.Submit(s.job(1, "endless", wish{"gate": gate}))
			gate.AwaitReached()
			s.worker.Kill()
			s.site.AwaitNoGuests(s.worker)
			// The job runs again in another guest.
			s.worker = s.site.Start()
			gate.AwaitReached()
			s.sentinel.Abort(s.worker.Identity, 1)
			s.failed(s.sentinel.Receipt(1), "aborted")
			if n := s.events("attempt-started", 1); n != 2 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

// An abort reaches a guest that was attached again, with its tree.
func TestAbortOfAGuestThatOutlivedItsWorker(t *testing.T) {
	t.Parallel()
	s := begin(t, "endless")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "endless", wish{"gate": gate}))
	gate.AwaitReached()
	s.worker.Kill()
	s.worker = s.site.Start()
	s.awaitReattached(1)
	s.sentinel.Abort(s.worker.Identity, 1)
	s.failed(s.sentinel.Receipt(1), "aborted")
	s.site.AwaitNoGuests(s.worker)
	s.files()
	s.site.CheckNoStaging()
}

// A worker that is told not to go on with guests kills them, and their jobs run again.
func TestAGuestThatIsNotWantedIsKilled(t *testing.T) {
	t.Parallel()
	s := begin(t, "outlives")
	gate := harness.NewGate(t)
	job, told := s.outliving(wish{"frames": 60, "rows": 100, "gate": gate, "gate_after": 30})
	s.sentinel.Submit(job)
	gate.AwaitReached()
	s.awaitDurable(0)
	before := strings.Join(s.site.Guests(s.worker), "\n")
	s.worker.Kill()
	s.site.SetLanes(1, "--reattach", "0")
	s.worker = s.site.Start()
	gate.AwaitReached()
	for _, process := range s.site.Guests(s.worker) {
		if strings.Contains(before, process) {
			t.Errorf("still there: %s", process)
		}
	}
	gate.Open()
	s.succeeded(s.sentinel.Receipt(1), 6000)
	s.holds(job, "many", "many_1.parquet")
	s.holds(job, "few", "few_1.parquet")
	if n := s.events("guest-reattached", 1); n != 0 {
		t.Errorf("attached again %d times", n)
	}
	if starts, _ := filepath.Glob(filepath.Join(told, "start-*")); len(starts) < 2 {
		t.Errorf("the plugin ran %d times", len(starts))
	}
}
