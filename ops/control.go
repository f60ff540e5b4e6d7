package ops

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// Control is the worker's control socket: a live worker holds the journal alone,
// so whoever wants to look at it asks here. A client sends one JSON line and
// reads JSON lines until the end of the connection.
type Control struct {
	daemon   *Daemon
	path     string
	listener net.Listener
	clients  sync.WaitGroup
	slots    chan struct{}
	ctx      context.Context
	stop     context.CancelFunc
}

// controlRequest is what a client asks for.
type controlRequest struct {
	Ask    string `json:"ask"`              // "records", "status" or "verify"
	From   uint64 `json:"from,omitempty"`   // first sequence number
	Follow bool   `json:"follow,omitempty"` // stay and send what is appended
}

// Limits of the control socket: a stuck client must not hold the worker.
const (
	controlClients  = 8
	controlDeadline = 10 * time.Second
	controlRequests = 4 << 10
)

// socketPath is where the worker of a state folder listens. Socket names are
// limited to about 100 bytes; below a deep state folder the socket stands in the
// temporary folder under a name made from the state folder's.
func socketPath(stateDir string) (string, error) {
	path := filepath.Join(stateDir, "control.sock")
	if len(path) < 100 {
		return path, nil
	}
	sum := sha256.Sum256([]byte(stateDir))
	dir := filepath.Join(os.TempDir(), "casparian-"+hex.EncodeToString(sum[:8]))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return filepath.Join(dir, "control.sock"), nil
}

// ListenControl opens the control socket. The caller holds the journal's lock, so
// a socket that is there was left by a dead worker.
func ListenControl(stateDir string, daemon *Daemon) (*Control, error) {
	path, err := socketPath(stateDir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	crashpoint.Reach(crashpoint.ControlListenAfter)
	c := &Control{daemon: daemon, path: path, listener: listener, slots: make(chan struct{}, controlClients)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.clients.Go(c.accept)
	return c, nil
}

func (c *Control) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return // closed
		}
		select {
		case c.slots <- struct{}{}:
			c.clients.Go(func() {
				defer func() { <-c.slots }()
				defer conn.Close()
				stop := context.AfterFunc(c.ctx, func() { conn.Close() })
				defer stop()
				if err := c.serve(conn); err != nil {
					line, _ := json.Marshal(map[string]string{"error": err.Error()})
					_, _ = conn.Write(append(line, '\n'))
				}
			})
		default:
			_, _ = io.WriteString(conn, `{"error":"too many clients on the control socket"}`+"\n")
			conn.Close()
		}
	}
}

func (c *Control) serve(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(controlDeadline)); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, controlRequests)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var request controlRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	out := bufio.NewWriter(deadlineWriter{conn})
	answer := func(v any) error {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return errors.Join(err, out.Flush())
	}
	switch request.Ask {
	case "status":
		return answer(c.daemon.Status())
	case "verify":
		report, err := c.daemon.journal.Verify(c.ctx)
		if err != nil {
			return err
		}
		return answer(report)
	case "records":
		return c.records(conn, out, request)
	default:
		return fmt.Errorf("ask for records, status or verify, not for %q", request.Ask)
	}
}

// records streams the stored bytes of the journal's records, one a line.
func (c *Control) records(conn net.Conn, out *bufio.Writer, request controlRequest) error {
	// A client that follows says nothing more: any byte or its end ends the stream.
	gone := make(chan struct{})
	if request.Follow {
		_ = conn.SetReadDeadline(time.Time{})
		c.clients.Go(func() {
			defer close(gone)
			_, _ = conn.Read(make([]byte, 1))
		})
		defer func() { conn.Close(); <-gone }()
	}
	next := max(request.From, 1)
	for {
		changed := c.daemon.journal.Changed()
		err := c.daemon.journal.Records(next, func(r journal.Record) error {
			next = r.Seq + 1
			_, err := out.Write(append(r.Raw, '\n'))
			return err
		})
		if err := errors.Join(err, out.Flush()); err != nil || !request.Follow {
			return err
		}
		select {
		case <-changed:
		case <-gone:
			return nil
		case <-c.ctx.Done():
			return nil
		}
	}
}

// deadlineWriter gives each write its own deadline.
type deadlineWriter struct{ conn net.Conn }

func (w deadlineWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(controlDeadline)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// Close ends all clients and removes the socket.
func (c *Control) Close() error {
	c.stop()
	err := c.listener.Close()
	c.clients.Wait()
	if folder := filepath.Dir(c.path); folder != c.daemon.config.StateDir {
		err = errors.Join(err, os.Remove(folder))
	}
	return err
}

// ErrNoWorker says that no worker runs on a state folder.
var ErrNoWorker = errors.New("no worker is running on this state folder")

// ask sends a request to the worker of a state folder and gives each line of the
// answer to each. It returns ErrNoWorker when none listens.
func ask(ctx context.Context, stateDir string, request controlRequest, each func(line []byte) error) error {
	path, err := socketPath(stateDir)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: controlDeadline}).DialContext(ctx, "unix", path)
	if err != nil {
		return ErrNoWorker
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := (deadlineWriter{conn}).Write(append(line, '\n')); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 && err == nil {
			var failure struct {
				Error string `json:"error"`
				Seq   uint64 `json:"seq"`
			}
			if json.Unmarshal(line, &failure) == nil && failure.Error != "" && failure.Seq == 0 {
				return errors.New("the worker answers: " + failure.Error)
			}
			if err := each(line[:len(line)-1]); err != nil {
				return err
			}
			continue
		}
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		return err
	}
}
