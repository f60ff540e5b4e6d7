package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen, moment is how long a test looks whether
// something happens that must not. The latter can only miss a fault of the proxy.
const (
	patience = 30 * time.Second
	moment   = 50 * time.Millisecond
)

// ends gives both ends of a connection through a proxy, and the stream.
func ends(t *testing.T) (worker, sentinel net.Conn, s *Stream, p *Proxy) {
	t.Helper()
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { upstream.Close() })
	if err := upstream.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p, err = Listen(upstream.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	worker, err = net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Close() })
	sentinel, err = upstream.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sentinel.Close() })
	say(t, worker, "\x04\x1f\x05READY\x08Identity\x00\x00\x00\x04edge")
	hear(t, sentinel, "\x04\x1f\x05READY\x08Identity\x00\x00\x00\x04edge")
	if s = p.Stream("edge"); s == nil {
		t.Fatalf("no stream of the identity among %d", len(p.Streams()))
	}
	return worker, sentinel, s, p
}

func say(t *testing.T, to net.Conn, text string) {
	t.Helper()
	if _, err := to.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, from net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if err := from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

// over waits for the end of a connection and says how it ended.
func over(t *testing.T, conn net.Conn, within time.Duration) error {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(make([]byte, 1))
	if n > 0 {
		t.Fatal("a byte came instead of the end")
	}
	return err
}

func TestBytesPassBothWays(t *testing.T) {
	worker, sentinel, _, _ := ends(t)
	say(t, worker, "up")
	hear(t, sentinel, "up")
	say(t, sentinel, "down")
	hear(t, worker, "down")
	sentinel.Close()
	if err := over(t, worker, patience); err != io.EOF {
		t.Errorf("the end came as %v", err)
	}
}

func TestCutAndReset(t *testing.T) {
	worker, sentinel, s, _ := ends(t)
	s.Cut()
	for _, end := range []net.Conn{worker, sentinel} {
		if err := over(t, end, patience); err != io.EOF {
			t.Errorf("a cut came as %v", err)
		}
	}
	worker, sentinel, s, _ = ends(t)
	s.Reset()
	for _, end := range []net.Conn{worker, sentinel} {
		if err := over(t, end, patience); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a reset came as %v", err)
		}
	}
}

func TestDelayThrottleAndBlackHoleHeal(t *testing.T) {
	for name, fault := range map[string]func(*Stream){
		"delay":      func(s *Stream) { s.Delay(time.Hour) },
		"black hole": func(s *Stream) { s.BlackHole() },
		"throttle":   func(s *Stream) { s.Throttle(1) },
	} {
		t.Run(name, func(t *testing.T) {
			worker, sentinel, s, _ := ends(t)
			fault(s)
			text := strings.Repeat("it takes a while ", 100)
			say(t, worker, text)
			if err := sentinel.SetReadDeadline(time.Now().Add(moment)); err != nil {
				t.Fatal(err)
			}
			n, err := io.ReadFull(sentinel, make([]byte, len(text)))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%d bytes came, %v", n, err)
			}
			s.Heal()
			hear(t, sentinel, text[n:])
		})
	}
}

func TestHalfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		lose   func(*Stream)
		worker bool // is the one that is left
	}{
		"the worker is lost":   {(*Stream).LoseWorker, false},
		"the Sentinel is lost": {(*Stream).LoseSentinel, true},
	} {
		t.Run(name, func(t *testing.T) {
			worker, sentinel, s, _ := ends(t)
			c.lose(s)
			left, lost := sentinel, worker
			if c.worker {
				left, lost = worker, sentinel
			}
			if err := over(t, lost, patience); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the loss came as %v", err)
			}
			say(t, left, "is somebody there?")
			if err := over(t, left, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the end that is left sees %v", err)
			}
			s.Heal()
			if err := over(t, left, patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after healing the end that is left sees %v", err)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	_, _, _, p := ends(t)
	p.Refuse(1)
	refused, err := net.Dial("tcp", p.Address())
	if err == nil {
		err = over(t, refused, patience)
		refused.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("refused with %v", err)
	}
}
