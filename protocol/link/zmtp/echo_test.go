package zmtp

import (
	"testing"
	"time"
)

// A message that left the peer before the echo of ours cannot be an answer to it.
func TestEchoTellsWhatThePeerCannotHaveSeen(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute, Echo: true})
	echoed := make(chan uint64, 1)
	serving(t, conn, func(*Message) error { echoed <- conn.Echoed(); return nil })
	peer.nextCommand("PING") // the first, behind nothing

	expect := func(what string, want uint64) {
		t.Helper()
		select {
		case got := <-echoed:
			if got != want {
				t.Errorf("%s: %d messages echoed, want %d", what, got, want)
			}
		case <-time.After(within):
			t.Fatalf("%s: the message did not arrive", what)
		}
	}
	if err := conn.Send(t.Context(), [][]byte{[]byte("one")}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(t.Context(), [][]byte{[]byte("two")}); err != nil {
		t.Fatal(err)
	}
	peer.nextMessageFrame()
	first := peer.nextCommand("PING")[2:]
	peer.nextMessageFrame()
	second := peer.nextCommand("PING")[2:]

	peer.write(frame(0, []byte("crosses both")))
	expect("before any echo", 0)
	peer.write(commandFrame("PONG", first))
	peer.write(frame(0, []byte("crosses the second")))
	expect("behind the first echo", 1)
	peer.write(frame(flagMore, []byte("begins before the second echo")))
	peer.write(commandFrame("PONG", second))
	peer.write(frame(0, []byte("and ends behind it")))
	expect("around the second echo", 1)
	peer.write(commandFrame("PONG", first))
	peer.write(frame(0, []byte("an answer")))
	expect("behind the second echo", 2)
	peer.write(commandFrame("PONG", []byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9}))
	peer.write(frame(0, []byte("a lie")))
	expect("behind an echo of what was never sent", 2)
}
