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
		{"the identity may be taken, the back-off is longer anyway", outcome{taken: false}, 400 * ms},
		{"longer than the TTL", outcome{taken: true}, 800 * ms},
	} {
		if got := p.after(step.outcome); got != step.want {
			t.Errorf("step %d, %s: %s, want %s", i, step.what, got, step.want)
		}
	}
	p.random = func() float64 { return 0.999 }
	if got := p.after(outcome{}); got < 500*ms || got > 510*ms {
		t.Errorf("the random part takes at most one half off: %s", got)
	}
}
