//go:build linux

package integration

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/protocol/link"
)

// hostile is a peer that does the same with every connection.
type hostile struct {
	name  string
	flags []string
	kind  link.Kind // what the worker must make of it
	does  func(conn net.Conn)
	held  int64 // messages as large as the cap that the worker may hold at once, beyond one
}

const (
	capFlag  = "16MiB"
	capBytes = 16 << 20
	serverZ  = "HelloWorldHelloWorldHelloWorldHelloWorld" // a public key whose secret nobody has
)

var hostilePeers = []hostile{
	{"garbage", nil, link.KindProtocol, says("HTTP/1.1 400 Bad Request\r\n\r\n"), 0},
	{"a greeting that never ends", nil, link.KindHandshake, func(conn net.Conn) {
		pace := time.NewTicker(500 * time.Millisecond)
		defer pace.Stop()
		for _, b := range greeting("NULL") {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			<-pace.C
		}
	}, 0},
	{"malformed READY", nil, link.KindProtocol, says(string(greeting("NULL")) + "\x04\x08\x05READY\xc8x"), 0},
	{"a READY of 1 TiB", nil, link.KindLimit, says(string(greeting("NULL")) + "\x06\x00\x00\x01\x00\x00\x00\x00\x00"), 0},
	{"a frame of 1 TiB", nil, link.KindLimit, afterHandshake("\x02\x00\x00\x01\x00\x00\x00\x00\x00"), 0},
	{"a frame of MaxInt64", nil, link.KindLimit, afterHandshake("\x02\x7f\xff\xff\xff\xff\xff\xff\xff"), 0},
	{"half a frame as large as the cap", nil, link.KindClosed, func(conn net.Conn) {
		if shakeHands(conn) != nil {
			return
		}
		header := binary.BigEndian.AppendUint64([]byte{2}, capBytes)
		if _, err := conn.Write(append(header, make([]byte, capBytes-1)...)); err == nil {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}, 0},
	{"messages as large as the cap, in 1024 frames", nil, link.KindClosed, func(conn net.Conn) {
		if shakeHands(conn) != nil {
			return
		}
		const size = capBytes / 1024
		frame := append(binary.BigEndian.AppendUint64([]byte{2 | 1}, size), make([]byte, size)...)
		for i := range 10 * 1024 {
			frame[0] = 2 | 1
			if i%1024 == 1023 {
				frame[0] = 2
			}
			if _, err := conn.Write(frame); err != nil {
				return
			}
		}
		_ = conn.(*net.TCPConn).CloseWrite()
	}, 1}, // one is looked at while the next one is read
	{"messages as large as the cap, in one frame", nil, link.KindClosed, func(conn net.Conn) {
		if shakeHands(conn) != nil {
			return
		}
		message := append(binary.BigEndian.AppendUint64([]byte{2}, capBytes), make([]byte, capBytes)...)
		for range 10 {
			if _, err := conn.Write(message); err != nil {
				return
			}
		}
		_ = conn.(*net.TCPConn).CloseWrite()
	}, 1},
	{"a million empty messages", nil, link.KindGivenUp, afterHandshake(strings.Repeat("\x00\x00", 1_000_000)), 0},
	{"a million frames of one message", nil, link.KindLimit, afterHandshake(strings.Repeat("\x01\x00", 1_000_000)), 0},
	{"a million PINGs", nil, link.KindClosed, func(conn net.Conn) {
		if shakeHands(conn) != nil {
			return
		}
		if _, err := io.WriteString(conn, strings.Repeat("\x04\x07\x04PING\x00\x01", 1_000_000)); err == nil {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}, 0},
	{"CURVE with a wrong key", []string{"--curve-server-key", serverZ}, link.KindSecurity,
		says(string(greeting("CURVE")) + "\x04\xa8\x07WELCOME" + strings.Repeat("x", 160)), 0},
	{"no CURVE where it must be", []string{"--curve-server-key", serverZ}, link.KindSecurity, says(string(greeting("NULL"))), 0},
}

// greeting is that of ZMTP 3.0.
func greeting(mechanism string) []byte {
	g := make([]byte, 64)
	g[0], g[9], g[10] = 0xff, 0x7f, 3
	copy(g[12:], mechanism)
	return g
}

func shakeHands(conn net.Conn) error {
	if _, err := conn.Write(greeting("NULL")); err != nil {
		return err
	}
	head := make([]byte, 64+2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[65])); err != nil {
		return err
	}
	_, err := io.WriteString(conn, "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER")
	return err
}

func says(words string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, words) }
}

func afterHandshake(words string) func(net.Conn) {
	return func(conn net.Conn) {
		if shakeHands(conn) == nil {
			_, _ = io.WriteString(conn, words)
		}
	}
}

// listen serves every connection as the peer does, reading all that comes, until the
// worker hangs up or the test ends.
func (h hostile) listen(t *testing.T) (endpoint string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() {
				h.does(conn)
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "tcp://" + listener.Addr().String()
}

// lonely starts the worker as it ships towards an endpoint, and gives its state
// folder, its log and its process.
func lonely(t *testing.T, endpoint string, flags ...string) (state, log string, process *os.Process) {
	t.Helper()
	root, err := os.MkdirTemp("", "hostile-") // the control socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	state, log = filepath.Join(root, "state"), filepath.Join(root, "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	command := exec.Command(harness.Binary(t, true), append([]string{
		"--connect", endpoint, "--plugins", "sales", "--lanes", "1", "--heartbeat", "1s", "--max-message", capFlag,
		"--state-dir", state, "--output", filepath.Join(root, "out"), "--venvs-dir", filepath.Join(root, "venvs")}, flags...)...)
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(harness.Patience, func() { _ = command.Process.Kill() })
		defer late.Stop()
		if err := command.Wait(); err != nil {
			content, _ := os.ReadFile(log)
			t.Errorf("the worker ended with %v:\n%.4000s", err, content)
		}
	})
	return state, log, command.Process
}

// counted asks the worker for what it has counted.
func counted(t *testing.T, state string) (reasons map[link.Kind]uint64, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, harness.Binary(t, true), "status", "--json", "--state-dir", state).Output()
	if err != nil {
		return nil, false // it is still starting
	}
	var status struct {
		Lanes []struct {
			Link struct {
				Reasons map[link.Kind]uint64 `json:"reasons"`
			} `json:"link"`
		} `json:"lanes"`
	}
	if err := json.Unmarshal(output, &status); err != nil || len(status.Lanes) != 1 {
		t.Fatalf("%s: %v", output, err)
	}
	return status.Lanes[0].Link.Reasons, true
}

// Bar: whatever speaks to the worker, it keeps running, its memory grows by less than
// the cap and 32 MB, and the reason is in the log and is counted.
func TestHostilePeers(t *testing.T) {
	t.Parallel()
	quiet := peakWhen(t, "tcp://"+parts.HeldPort(t), link.KindUnreachable)
	for _, peer := range hostilePeers {
		t.Run(peer.name, func(t *testing.T) {
			t.Parallel()
			peak := peakWhen(t, peer.listen(t), peer.kind, peer.flags...)
			t.Logf("peak %d MB, %d MB without a peer", peak>>20, quiet>>20)
			growth := (1+peer.held)*capBytes + 32<<20
			if peak > quiet+growth {
				t.Errorf("memory grew by %d MB, at most %d MB are allowed", (peak-quiet)>>20, growth>>20)
			}
		})
	}
}

// peakWhen starts a worker, waits until it has noted a reason of that kind, and gives
// the most memory that it ever had.
func peakWhen(t *testing.T, endpoint string, kind link.Kind, flags ...string) int64 {
	t.Helper()
	state, log, process := lonely(t, endpoint, flags...)
	deadline := time.Now().Add(harness.Patience)
	for {
		reasons, _ := counted(t, state)
		if reasons[kind] > 0 {
			break
		}
		if time.Now().After(deadline) {
			content, _ := os.ReadFile(log)
			t.Fatalf("no reason of kind %s, but %v:\n%.4000s", kind, reasons, content)
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when the next one is counted
	}
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("kind=%s reason=", kind); !strings.Contains(string(content), want) {
		t.Errorf("the log lacks %q:\n%.4000s", want, content)
	}
	return harness.PeakMemory(t, process.Pid)
}
