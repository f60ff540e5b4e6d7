//go:build unix

package integration

import (
	"errors"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// The plugin runs for ever, with children that ignore SIGTERM and a daemon that
// left the session.
func TestAbortInMidStreamLeavesNoProcess(t *testing.T) {
	t.Parallel()
	warmAndCold(t, abortInMidStream)
}

func abortInMidStream(t *testing.T, begin func(...string) *story) {
	s := begin("endless", "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "endless", wish{"gate": gate}))
	gate.AwaitReached()
	if tree := s.site.Guests(s.worker); len(tree) < 4 {
		t.Errorf("the guest's tree is %q, want the guest, its child, its grandchild and the daemon", tree)
	}
	// Otherwise this test would prove nothing about cleaning up.
	s.site.Eventually("something is staged in mid-stream", func() error {
		if len(s.site.Staged()) == 0 {
			return errors.New("nothing is")
		}
		return nil
	})
	s.sentinel.Abort(s.worker.Identity, 1)
	receipt := s.sentinel.Receipt(1)
	s.failed(receipt, "aborted")
	// The receipt comes last: all is gone by then.
	if left := s.site.Guests(s.worker); len(left) != 0 {
		t.Errorf("processes of the aborted job are left: %q", left)
	}
	s.files()
	if staged := s.site.Staged(); len(staged) != 0 {
		t.Errorf("staged files of the aborted job are left: %q", staged)
	}

	// An abort of what is over, or was never there, changes nothing.
	s.sentinel.Abort(s.worker.Identity, 1)
	s.sentinel.Abort(s.worker.Identity, 999)
	s.succeeded(s.run(s.job(2, "frames", wish{"rows": 10, "chunk": 10})), 10)
	if n := s.sentinel.Receipts(1); n != 1 {
		t.Errorf("job 1 has %d receipts, want 1", n)
	}
}

func TestAbortOfAJobThatWaits(t *testing.T) {
	t.Parallel()
	s := beginBurst(t, 1, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 10, "chunk": 5, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	s.sentinel.Submit(s.job(2, "frames", wish{"rows": 10, "chunk": 5, "gate": gate, "gate_after": 1}))
	s.sentinel.Abort(s.worker.Identity, 2)
	s.failed(s.sentinel.Receipt(2), "aborted")
	gate.LetOne()
	s.succeeded(s.sentinel.Receipt(1), 10)
	s.files("out/frames_1.parquet")
}
