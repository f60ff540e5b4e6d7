package link

import (
	"testing"
	"time"
)

func TestPauseGrowsAndStartsAgain(t *testing.T) {
	const ms = time.Millisecond
	p := newPause(Config{MinBackoff: 100 * ms, MaxBackoff: 1000 * ms, HeartbeatInterval: 200 * ms})
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
	long := newPause(Config{MinBackoff: time.Minute, MaxBackoff: time.Minute, HeartbeatInterval: 200 * ms})
	long.random = p.random
	if got := long.after(outcome{taken: true}); got != time.Minute {
		t.Errorf("a back-off longer than the TTL: %s", got)
	}
	quick := newPause(Config{MinBackoff: 1 * ms, MaxBackoff: 1 * ms})
	if got := quick.after(outcome{up: 1 * ms}); got != settle {
		t.Errorf("after a connection: %s, want %s", got, settle)
	}
	p.random, p.failures = func() float64 { return 0.999 }, 9
	if got := p.after(outcome{}); got < 500*ms || got > 510*ms {
		t.Errorf("the random part takes at most one half off: %s", got)
	}
}
