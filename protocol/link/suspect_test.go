package link

import (
	"cmp"
	"errors"
	"testing"
	"time"
)

// After a process that was killed, the peer may still hold the identity, and then
// the new connection reaches nobody, without any sign. (That this comes about on a
// real Sentinel, and heals, is tested with the worker's own binary.)
func TestAConnectionAfterACrash(t *testing.T) {
	doubtful := func(t *testing.T, config Config) (l *running, doubts <-chan func()) {
		due := make(chan func(), 8)
		config.afterFunc = func(after time.Duration, doubt func()) *time.Timer {
			if want := config.options().TTL() + cmp.Or(config.margin, takenMargin); after != want {
				t.Errorf("the doubt comes after %s, want %s", after, want)
			}
			due <- doubt
			return time.AfterFunc(time.Hour, doubt)
		}
		return run(t, config), due
	}
	begin := func(t *testing.T) (l *running, peer *router, doubts <-chan func()) {
		t.Parallel()
		peer = startRouter(t, "tcp://127.0.0.1:*", nil)
		config := quick(peer.endpoint)
		config.Suspect = true
		l, doubts = doubtful(t, config)
		return l, peer, doubts
	}
	doubt := func(t *testing.T, doubts <-chan func()) {
		t.Helper()
		select {
		case now := <-doubts:
			now()
		case <-time.After(within):
			t.Fatal("the connection is not doubted")
		}
	}
	t.Run("is made anew, once, when nothing arrives on it", func(t *testing.T) {
		l, peer, doubts := begin(t)
		l.nextUp()
		doubt(t, doubts)
		if down := l.nextDown(); !errors.Is(down.Reason, errMadeAnew) {
			t.Errorf("down because of %v", down.Reason)
		}
		peer.exchange(l, l.nextUp().Connection, "after all")
		if len(doubts) > 0 {
			t.Error("the second connection is doubted, too")
		}
	})
	t.Run("stays when a message arrives", func(t *testing.T) {
		l, peer, doubts := begin(t)
		up := l.nextUp()
		peer.exchange(l, up.Connection, "before the doubt")
		doubt(t, doubts)
		peer.exchange(l, up.Connection, "behind it")
	})
	t.Run("is made anew after an end of which the peer may know nothing", func(t *testing.T) {
		t.Parallel()
		peer := startRouter(t, "tcp://127.0.0.1:*", nil)
		network := layWire(t, peer.endpoint[len("tcp://"):])
		config := quick(network.endpoint())
		config.HeartbeatInterval, config.margin = noticed, time.Millisecond // waited for
		l, doubts := doubtful(t, config)
		l.nextUp()
		if len(doubts) > 0 {
			t.Error("the first connection is doubted")
		}
		network.reset()
		l.nextDown()
		l.nextUp()
		doubt(t, doubts)
		if down := l.nextDown(); !errors.Is(down.Reason, errMadeAnew) {
			t.Errorf("down because of %v", down.Reason)
		}
		l.nextUp()
		if len(doubts) > 0 {
			t.Error("the third connection is doubted, too")
		}
	})
}
