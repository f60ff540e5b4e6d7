package link

import (
	"testing"
	"time"
)

func TestPauseGrowsAndStartsAgain(t *testing.T) {
	const ms = time.Millisecond
	p := newPause(Config{MinBackoff: 100 * ms, MaxBackoff: 1000 * ms, HeartbeatInterval: 200 * ms, margin: takenMargin}, 1)
	p.random = func() float64 { return 0 }
	for i, step := range []struct {
		what string
		outcome
		want time.Duration
	}{
		{"not there", outcome{}, 100 * ms},
		{"not there", outcome{}, 200 * ms},
		{"closed at once counts as a failure", outcome{up: 1 * ms}, 400 * ms},
		{"not there", outcome{}, 800 * ms},
		{"the cap", outcome{}, 1000 * ms},
		{"the cap stays", outcome{}, 1000 * ms},
		{"after a stable connection", outcome{up: time.Hour}, 100 * ms},
		{"the identity may be taken", outcome{up: 1 * ms, taken: true}, 400*ms + takenMargin},
		{"it is free", outcome{}, 400 * ms},
	} {
		if got := p.after(step.outcome); got != step.want {
			t.Errorf("step %d, %s: %s, want %s", i, step.what, got, step.want)
		}
	}
	long := newPause(Config{MinBackoff: time.Minute, MaxBackoff: time.Minute, HeartbeatInterval: 200 * ms, margin: takenMargin}, 1)
	long.random = p.random
	if got := long.after(outcome{taken: true}); got != time.Minute {
		t.Errorf("a back-off longer than the TTL: %s", got)
	}
	quick := newPause(Config{MinBackoff: 1 * ms, MaxBackoff: 1 * ms}, 1)
	if got := quick.after(outcome{up: 1 * ms}); got != settle {
		t.Errorf("after a connection: %s, want %s", got, settle)
	}
	p.random, p.failures = func() float64 { return 0.999 }, 9
	if got := p.after(outcome{}); got < 500*ms || got > 510*ms {
		t.Errorf("the random part takes at most one half off: %s", got)
	}
}

// The endpoints are tried in their order, and from the first again when the link has
// to dial anyway. It grows patient by the round.
func TestPauseChoosesTheEndpoint(t *testing.T) {
	const ms = time.Millisecond
	p := newPause(Config{MinBackoff: 100 * ms, MaxBackoff: 1000 * ms, HeartbeatInterval: 200 * ms, margin: takenMargin}, 3)
	p.random = func() float64 { return 0 }
	for i, step := range []struct {
		what string
		outcome
		wait time.Duration
		next int
	}{
		{"the first is not there", outcome{}, 100 * ms, 1},
		{"the second is not there", outcome{}, 100 * ms, 2},
		{"the third does not stay", outcome{up: 1 * ms}, 100 * ms, 0},
		{"the second round", outcome{}, 200 * ms, 1},
		{"the second was stable", outcome{up: time.Hour}, 100 * ms, 0},
		{"the first is frozen", outcome{up: time.Hour, taken: true}, 400*ms + takenMargin, 0},
		{"the first does not answer", outcome{}, 100 * ms, 1},
		{"made anew, the same", outcome{up: 1 * ms, anew: true}, settleAfterCrash, 1},
	} {
		if wait := p.after(step.outcome); wait != step.wait || p.at != step.next {
			t.Errorf("step %d, %s: endpoint %d after %s, want %d after %s", i, step.what, p.at, wait, step.next, step.wait)
		}
	}
}
