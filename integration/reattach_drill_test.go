//go:build linux && drill

package integration

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// Bar: a job of a minute, whose worker is killed at half, ends less than ten seconds
// later than an undisturbed one, and its plugin runs once.
func TestDrillAMinuteLongJobOutlivesItsWorker(t *testing.T) {
	warmAndCold(t, func(t *testing.T, begin func(...string) *story) {
		run := func(kill bool) time.Duration {
			s := begin("outlives")
			job, told := s.outliving(wish{"frames": 600, "rows": 1000, "pause": 0.1})
			began := time.Now()
			s.sentinel.Submit(job)
			if kill {
				time.Sleep(30 * time.Second) // half of it
				s.worker.Kill()
				s.worker = s.site.Start()
			}
			s.awaitTold(told, "end")
			s.sentinel.Receipt(1)
			took := time.Since(began)
			// The comparison runs the plugin once for each file: without its pauses.
			unhurried, err := os.ReadFile(job.File)
			if err == nil {
				err = os.WriteFile(job.File, bytes.Replace(unhurried, []byte(`"pause":0.1`), []byte(`"pause":0`), 1), 0o644)
			}
			if err != nil {
				s.Fatal(err)
			}
			s.ranOnce(job, told, 600_000)
			if n := s.events("guest-reattached", 1); kill != (n == 1) {
				s.Errorf("attached again %d times", n)
			}
			return took
		}
		undisturbed, disturbed := run(false), run(true)
		t.Logf("undisturbed %.1f s, killed at half %.1f s: %.1f s later", undisturbed.Seconds(), disturbed.Seconds(), (disturbed - undisturbed).Seconds())
		if undisturbed < time.Minute || disturbed-undisturbed > 10*time.Second {
			t.Error("more than 10 s later, or not a minute long")
		}
	})
}
