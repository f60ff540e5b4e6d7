package link

import (
	"errors"
	"testing"
)

// The first Sentinel is away, so the link goes to the second. It stays there when
// the first comes, and begins with the first when it has to dial anyway.
func TestTheNextEndpointTakesOver(t *testing.T) {
	first := freePort(t)
	second := startRouter(t, "tcp://127.0.0.1:*", nil)
	config := quick(first)
	config.Fallback = []string{second.endpoint}
	l := run(t, config)
	up := l.nextUp()
	l.say(up.Connection, []byte("to the second"))
	second.next()
	if got := l.Status().Endpoint; got != second.endpoint {
		t.Errorf("the status says %s", got)
	}
	if l.Status().Reasons[KindUnreachable] == 0 {
		t.Errorf("counted: %v", l.Status().Reasons)
	}

	primary := startRouter(t, first, nil)
	l.say(up.Connection, []byte("still to the second"))
	second.next()
	eventually(t, "the connection was stable", func() bool { return stable(l, config) })
	second.kill()
	l.nextDown()
	up = l.nextUp()
	l.say(up.Connection, []byte("to the first"))
	if got := primary.next(); string(got.Frames[0]) != "to the first" {
		t.Errorf("the first got %q", got.Frames)
	}
	primary.kill()
	l.nextDown()
}

func stable(l *running, config Config) bool {
	status := l.Status()
	return status.State == StateUp && status.LastHeard.Sub(status.Since) > config.MaxBackoff
}

// The consumer can give a connection up; the link comes back with another.
func TestTheConsumerGivesAConnectionUp(t *testing.T) {
	peer := startRouter(t, "tcp://127.0.0.1:*", nil)
	config := quick(peer.endpoint)
	config.HeartbeatInterval = noticed // its TTL is waited for
	l := run(t, config)
	up := l.nextUp()
	nonsense := errors.New("nonsense")
	l.Close(up.Connection+1, nonsense) // is not up
	l.Close(up.Connection, nonsense)
	down := l.nextDown()
	if down.Connection != up.Connection || !errors.Is(down.Reason, ErrGivenUp) || !errors.Is(down.Reason, nonsense) || KindOf(down.Reason) != KindGivenUp {
		t.Errorf("got %+v", down)
	}
	if again := l.nextUp(); again.Connection != up.Connection+1 {
		t.Errorf("connection %d is up", again.Connection)
	}
}
