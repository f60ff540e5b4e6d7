//go:build unix

package link

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"
)

// A stopped process takes bytes, for its kernel does, and answers nothing. It is
// noticed however much is sent to it meanwhile.
func TestFrozenPeerIsNoticed(t *testing.T) {
	t.Parallel()
	peer := startRouter(t, "tcp://127.0.0.1:*", nil)
	config := quick(peer.endpoint)
	config.HeartbeatInterval = noticed
	l := run(t, config)
	up := l.nextUp()
	l.say(up.Connection, []byte("before"))
	peer.next()

	if err := peer.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	talked := make(chan error, 1)
	go func() {
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for {
			if err := l.Send(ctx, up.Connection, bytesOf("anybody there?")); err != nil {
				talked <- err
				return
			}
			<-pace.C
		}
	}()
	down := l.nextDown()
	if took := time.Since(frozen); took > within/2 { // a drill measures it
		t.Errorf("noticed after %s", took)
	}
	if !errors.Is(down.Reason, ErrPeerSilent) {
		t.Errorf("got %v", down.Reason)
	}
	if err := <-talked; !errors.Is(err, ErrNotConnected) && !errors.Is(err, ErrPeerSilent) {
		t.Errorf("the Send: %v", err)
	}

	if err := peer.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	again := l.nextUp()
	if again.Connection != up.Connection+1 {
		t.Errorf("connection %d is up", again.Connection)
	}
	// It may be one that reaches nobody. Nothing comes on it, so it is made anew.
	if down := l.nextDown(); !errors.Is(down.Reason, errMadeAnew) {
		t.Errorf("down because of %v", down.Reason)
	}
	up = l.nextUp()
	l.say(up.Connection, []byte("after"))
	for string(peer.next().Frames[0]) != "after" {
	}
}
