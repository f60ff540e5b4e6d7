package link

import (
	"errors"
	"testing"
	"time"
)

// After a process that was killed, the peer may still hold the identity, and then
// the new connection reaches nobody, without any sign. (That this comes about on a
// real Sentinel, and heals, is tested with the worker's own binary.)
func TestAConnectionAfterACrash(t *testing.T) {
	begin := func(t *testing.T) (*running, *router, time.Duration) {
		t.Parallel()
		peer := startRouter(t, "tcp://127.0.0.1:*", nil)
		config := quick(peer.endpoint)
		config.Suspect = true
		return run(t, config), peer, config.options().TTL() + takenMargin
	}
	stays := func(t *testing.T, l *running, doubt time.Duration) {
		t.Helper()
		select {
		case event := <-l.Events():
			t.Errorf("got %#v", event)
		case <-time.After(doubt + 500*time.Millisecond):
		}
	}
	t.Run("is made anew, once, when nothing arrives on it", func(t *testing.T) {
		l, peer, doubt := begin(t)
		l.nextUp()
		if down := l.nextDown(); !errors.Is(down.Reason, errMadeAnew) {
			t.Errorf("down because of %v", down.Reason)
		}
		up := l.nextUp()
		l.say(up.Connection, bytesOf("identify", "")...)
		peer.next()
		stays(t, l, doubt)
	})
	t.Run("stays when a message arrives", func(t *testing.T) {
		l, peer, doubt := begin(t)
		up := l.nextUp()
		l.say(up.Connection, bytesOf("identify", "")...)
		peer.send(peer.next().From, bytesOf("dispatch", "")...)
		l.nextMessage()
		stays(t, l, doubt)
	})
}
