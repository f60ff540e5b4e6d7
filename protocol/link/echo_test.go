package link

import (
	"fmt"
	"testing"
)

// libzmq answers the PING behind a message before its application sees the message:
// so every answer of the application comes behind the echo.
func TestAnAnswerComesBehindTheEcho(t *testing.T) {
	peer := startEcho(t, nil)
	config := quick(peer.endpoint)
	config.Echo = true
	l := run(t, config)
	up := l.nextUp()
	for n := uint64(1); n <= 200; n++ {
		if err := l.Send(t.Context(), up.Connection, [][]byte{[]byte("header"), fmt.Append(nil, n)}); err != nil {
			t.Fatal(err)
		}
		answer := l.nextMessage()
		if got := string(answer.Frames[1]); got != fmt.Sprint(n) {
			t.Fatalf("%q came back instead of %d", got, n)
		}
		if answer.Echoed != n {
			t.Fatalf("the answer to message %d came when %d were echoed", n, answer.Echoed)
		}
	}
}
