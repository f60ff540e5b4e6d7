package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// Claim is what another worker process needs, beside [Process], to go on with a guest
// when the one that started it has died. The zero Claim is of a guest that dies with
// its worker.
type Claim struct {
	Address string // where the guest looks for a worker
	Token   string // SHA-256 of its token, in hex
}

// Left is a guest that has outlived the worker process that started it.
type Left struct {
	Process Process
	Claim   Claim
	Started time.Time // of the job's time limit
	// Batches and Rows is what the worker has of it: the stream goes on behind them.
	Batches uint64
	Rows    int64
	// Agreed is called once the guest has shown who it is and that it has what comes
	// next, and before it is told to go on. After an error it is not.
	Agreed func() error
}

// Attach goes on with a guest whose worker has died. It does not wait for the guest
// to come: [Guest.Next] does. A guest that does not come, or has not kept the batches
// that are needed, is killed, and Next gives a [*GuestError] of kind [NotAttached].
func (h *Host) Attach(ctx context.Context, spec Spec, left Left) (*Guest, error) {
	return h.add(ctx, func() (*Guest, error) { return h.attach(spec, left) })
}

func (h *Host) attach(spec Spec, left Left) (*Guest, error) {
	if h.patience == 0 || left.Claim == (Claim{}) {
		return nil, notAttached("guests do not outlive a worker", nil)
	}
	if !Alive(left.Process) {
		return nil, notAttached(fmt.Sprintf("process %d has ended", left.Process.PID), nil)
	}
	name := filepath.Base(left.Claim.Address)
	if filepath.Dir(left.Claim.Address) != h.socketDir || !strings.HasPrefix(name, socketPrefix) || !strings.HasSuffix(name, socketSuffix) {
		return nil, notAttached("it looks for a worker at "+left.Claim.Address+", and sockets are in "+h.socketDir, nil)
	}
	listener, err := listenAgain(left.Claim.Address)
	if err != nil {
		return nil, notAttached("", err)
	}
	g := h.newGuest(spec)
	g.listener, g.claim, g.left = listener, left.Claim, &left
	g.process, g.root = left.Process, outlivedRoot{left.Process}
	g.handed, g.arrived, g.acknowledged = left.Batches, left.Batches, left.Batches
	return g, nil
}

func notAttached(detail string, err error) *GuestError {
	return &GuestError{Kind: NotAttached, Detail: detail, Err: err}
}

// wasNotAttached makes NotAttached of what ended the conversation with a guest before
// it was told to go on, unless somebody wanted it to end.
func (g *Guest) wasNotAttached(err error) error {
	var failure *GuestError
	if g.left == nil || g.attached || errors.Is(err, ErrClosed) || errors.As(err, &failure) && failure.Kind == JobTimeout {
		return err
	}
	return notAttached("", err)
}

// resumeFrame is in the hello of a guest that was with another worker before.
type resumeFrame struct {
	Kept   uint64 `json:"kept"`   // the first batch that it still has
	Sent   uint64 `json:"sent"`   // the last one
	Output int    `json:"output"` // its descriptor of the pipe that it prints to
}

// goOn agrees with a guest on where its stream goes on, and tells it.
func (g *Guest) goOn(l *link, hello helloFrame) error {
	left, resume := g.left, hello.Resume
	switch {
	case resume == nil && left.Batches > 0:
		return fmt.Errorf("it begins anew, and %d batches are durable", left.Batches)
	case resume != nil && resume.Kept > left.Batches+1:
		return fmt.Errorf("it has let go of batches %d to %d", left.Batches+1, resume.Kept-1)
	case resume != nil && resume.Sent < left.Batches:
		return fmt.Errorf("it has given %d batches, and %d are durable", resume.Sent, left.Batches)
	}
	if resume != nil {
		if err := g.openOutput(resume.Output); err != nil {
			return err
		}
	}
	if err := left.Agreed(); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.GuestResumeBefore)
	g.attached = true
	if resume == nil { // its worker died before it was given the job
		return g.sendJob(l)
	}
	_ = l.SetWriteDeadline(time.Now().Add(jobTime))
	err := writeControl(l.Conn, frameResume, struct {
		Batches uint64 `json:"batches"`
	}{left.Batches})
	crashpoint.Reach(crashpoint.GuestResumeAfter)
	return err
}

// openOutput opens the pipe that the guest prints to, of which the guest has kept a
// descriptor for its next worker.
func (g *Guest) openOutput(descriptor int) error {
	path := fmt.Sprintf("/proc/%d/fd/%d", g.process.PID, descriptor)
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the pipe of its output: %w", err)
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		return fmt.Errorf("the pipe of its output: descriptor %d is no pipe", descriptor)
	}
	pipe, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return fmt.Errorf("the pipe of its output: %w", err)
	}
	g.pipe = pipe
	go g.drainOutput()
	return nil
}

// Claim is what the journal keeps of the guest for the next worker process.
func (g *Guest) Claim() Claim { return g.claim }

// LetGo tells the guest that all batches up to serial are durable, so that it need
// not keep them for another worker. It may be called from any goroutine.
func (g *Guest) LetGo(serial uint64) {
	if g.claim == (Claim{}) {
		return
	}
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	l := g.link
	g.mu.Unlock()
	g.tell(l, frameDurable, serial)
}

// sayGoodbye tells a guest that its connection ends because nobody needs it any
// more, and not because the worker died.
func (g *Guest) sayGoodbye(l *link) {
	if g.claim == (Claim{}) {
		return
	}
	_ = l.SetWriteDeadline(time.Now().Add(goodbyeTime))
	_ = writeFrame(l.Conn, frameBye, nil) // one that does not hear it is killed
}

// goodbyeTime bounds the wait for a guest that does not read.
const goodbyeTime = 100 * time.Millisecond

// outlivedRoot is the root of a guest that another worker process started: it is
// nobody's child, and whoever took it over reaps it.
type outlivedRoot struct{ Process }

func (r outlivedRoot) pid() int     { return r.PID }
func (r outlivedRoot) await()       { awaitForeign(r.Process) }
func (r outlivedRoot) release()     {}
func (r outlivedRoot) reap() string { return "" }

func digestOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
