//go:build unix

package integration

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// awaitDraining waits until the worker has taken a SIGTERM to heart.
func (s *story) awaitDraining() {
	s.Helper()
	s.site.Eventually("the worker says that it drains", func() error {
		if !strings.Contains(s.worker.Log(), "draining") {
			return errors.New("its log does not say so")
		}
		return nil
	})
}

// SIGTERM: what runs may finish, what waits stays in the journal, status 0.
func TestTerminateDrains(t *testing.T) {
	t.Parallel()
	s := beginBurst(t, 1, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	waits := s.job(2, "frames", nil)
	waits.File = s.site.Input("waits.json", `{"rows": 10, "chunk": 10}`)
	s.sentinel.Submit(waits)
	s.heartbeat()

	s.worker.Terminate()
	s.awaitDraining()
	gate.Open()
	s.succeeded(s.sentinel.Receipt(1), 100)
	if code := s.worker.Wait(); code != 0 {
		t.Errorf("status %d after draining, want 0", code)
	}
	s.site.CheckNothingLeft()
	if n := s.sentinel.Receipts(2); n != 0 {
		t.Errorf("job 2 has %d receipts, it should have waited for the next start", n)
	}
	s.files("out/frames_1.parquet")

	s.worker = s.site.Start()
	s.succeeded(s.sentinel.Receipt(2), 10)
}

// A second SIGTERM stops at once; the job runs again at the next start.
func TestSecondTerminateStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached() // and it will stand there for ever
	s.worker.Terminate()
	s.worker.Signal(syscall.SIGTERM)
	s.awaitDraining()
	s.worker.Signal(syscall.SIGTERM) // two in a row may be one signal
	if code := s.worker.Wait(); code != 0 {
		t.Errorf("status %d after the second SIGTERM, want 0", code)
	}
	if left := s.site.Guests(nil); len(left) != 0 {
		t.Errorf("processes are left: %q", left)
	}
	if n := s.sentinel.Receipts(1); n != 0 {
		t.Errorf("the job has %d receipts, want none", n)
	}
	gate.Open()
	s.worker = s.site.Start()
	s.succeeded(s.sentinel.Receipt(1), 100)
	s.files("out/frames_1.parquet")
	s.site.CheckNoStaging()
}

func TestSecondWorkerOnTheSameStateIsRefused(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	_, stderr, code := s.site.Command(s.site.Flags()...)
	if code == 0 {
		t.Error("a second worker on the same state directory was let in")
	}
	if !strings.Contains(stderr, s.site.State) {
		t.Errorf("the message does not name the state directory %s:\n%s", s.site.State, stderr)
	}
	if n := s.sentinel.Count(func(m harness.Message) bool { return m.Op == "IDENTIFY" }); n != 1 {
		t.Errorf("%d IDENTIFY, the second worker must not reach the Sentinel", n)
	}
	// The first one is well.
	s.succeeded(s.run(s.job(1, "frames", wish{"rows": 10, "chunk": 10})), 10)
}

// Mistakes in the call end at once, with the flag and the value in the message.
func TestWrongOptionsAreRefusedByName(t *testing.T) {
	t.Parallel()
	sentinel := harness.StartSentinel(t, false)
	site := harness.NewSite(t, sentinel, harness.Options{})
	base := []string{"--connect", sentinel.Endpoint, "--output", site.Output, "--state-dir", site.State, "--venvs-dir", site.Venvs}
	for _, c := range []struct {
		name  string
		flags []string
		words []string
	}{
		{"a wildcard matches nothing at the Sentinel", []string{"--plugins", "*"}, []string{"plugins", "*"}},
		{"a wildcard among names", []string{"--plugins", "a,*,b"}, []string{"plugins", "*"}},
		{"negative concurrency", []string{"--plugins", "a", "--concurrency", "-3"}, []string{"concurrency", "-3"}},
		{"no number", []string{"--plugins", "a", "--concurrency", "many"}, []string{"concurrency", "many"}},
		{"no endpoint", []string{"--plugins", "a", "--connect", "localhost"}, []string{"connect", "localhost"}},
		{"an unknown transport", []string{"--plugins", "a", "--connect", "pgm://x:1"}, []string{"connect", "pgm://x:1"}},
		{"an unknown flag", []string{"--pluggins", "a"}, []string{"pluggins"}},
		{"an unknown command", []string{"lokal"}, []string{"lokal"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, code := site.Command(append(base[:len(base):len(base)], c.flags...)...)
			if code == 0 {
				t.Error("status 0")
			}
			for _, word := range c.words {
				if !strings.Contains(stderr, word) {
					t.Errorf("the message lacks %q:\n%s", word, stderr)
				}
			}
		})
	}
	if n := sentinel.Count(func(m harness.Message) bool { return m.Op != "" }); n != 0 {
		t.Errorf("%d messages reached the Sentinel", n)
	}
}

// Flag beats variable beats default, and `config` says which it was.
func TestConfigNamesTheOriginOfEachValue(t *testing.T) {
	t.Parallel()
	sentinel := harness.StartSentinel(t, false)
	site := harness.NewSite(t, sentinel, harness.Options{Environment: []string{
		"CASPARIAN_CONNECT=tcp://127.0.0.1:1", "CASPARIAN_PLUGINS=x,y", "CASPARIAN_CONCURRENCY=3",
	}})
	stdout, stderr, code := site.Command("config", "--concurrency", "5", "--output", site.Output, "--state-dir", site.State)
	if code != 0 {
		t.Fatalf("status %d: %s", code, stderr)
	}
	line := func(flag string) string {
		for line := range strings.Lines(stdout) {
			if fields := strings.Fields(line); len(fields) > 0 && fields[0] == flag {
				return strings.Join(fields, " ")
			}
		}
		t.Errorf("config does not show %s:\n%s", flag, stdout)
		return ""
	}
	for flag, want := range map[string]string{
		"concurrency": "concurrency 5 flag --concurrency",
		"connect":     "connect tcp://127.0.0.1:1 variable CASPARIAN_CONNECT",
		"plugins":     "plugins x,y variable CASPARIAN_PLUGINS",
		"output":      "output " + site.Output + " flag --output",
	} {
		if got := line(flag); got != want {
			t.Errorf("config shows %q, want %q", got, want)
		}
	}
	if got := line("worker-id"); !strings.HasSuffix(got, "default") {
		t.Errorf("config shows %q, want it to come from the default", got)
	}
	stdout, _, code = site.Command("version")
	if code != 0 || !strings.HasPrefix(stdout, "casparian-worker ") {
		t.Errorf("version prints %q with status %d", stdout, code)
	}
}
