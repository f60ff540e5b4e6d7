//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"testing"
)

// warmGuests asks the running worker for its warm interpreters.
func (s *story) warmGuests() (list []struct {
	State string
	Jobs  int
	PID   int
}) {
	s.Helper()
	stdout, stderr, code := s.site.Command("status", "--state-dir", s.site.State, "--json")
	var status struct {
		Warm json.RawMessage `json:"warm_guests"`
	}
	if err := json.Unmarshal([]byte(stdout), &status); err != nil || code != 0 {
		s.Fatalf("status %d: %v: %s", code, err, stderr)
	}
	if err := json.Unmarshal(status.Warm, &list); err != nil {
		s.Fatal(err)
	}
	return list
}

// A worker that starts again warms up what it used last, before it has a job.
func TestTheLastEnvironmentIsWarmAfterARestart(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	for id := uint64(1); id <= 2; id++ {
		s.succeeded(s.run(s.job(id, "frames", wish{"rows": 10, "chunk": 10})), 10)
	}
	if warm := s.warmGuests(); len(warm) != 1 || warm[0].State != "ready" || warm[0].Jobs != 2 {
		t.Errorf("after two jobs: %+v", warm)
	}
	s.worker.Terminate()
	s.worker.Wait()
	s.worker = s.site.Start()
	s.site.Eventually("the environment is warm", func() error {
		if warm := s.warmGuests(); len(warm) != 1 || warm[0].State != "ready" || warm[0].Jobs != 0 {
			return fmt.Errorf("there are %+v", warm)
		}
		return nil
	})
	s.succeeded(s.run(s.job(3, "frames", wish{"rows": 10, "chunk": 10})), 10)
	if warm := s.warmGuests(); len(warm) != 1 || warm[0].Jobs != 1 {
		t.Errorf("after the third job: %+v", warm)
	}
}
