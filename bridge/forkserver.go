package bridge

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// forkServer is a warm interpreter. What is said between it and the host is in
// guest/casparian_guest/forkserver.py.
type forkServer struct {
	process Process
	control *net.UnixConn
	outlive bool // its forks may go on when it ends
	output  *outputTail
	gone    chan struct{} // closed: the process is gone, and everything of it given back

	mu       sync.Mutex
	forks    uint64 // requests so far
	waiting  map[uint64]chan forkReply
	children map[int]*forkedRoot // forked and not reaped yet
	retired  bool
	dead     bool // its connection has ended
}

// forkRequest says what a fork is to become.
type forkRequest struct {
	Address     []byte   `json:"address"`
	Token       string   `json:"token"`
	Marker      string   `json:"marker"`
	Folder      []byte   `json:"folder"`
	Environment [][]byte `json:"environment"`
	Outlive     bool     `json:"outlive"` // its server's death
}

// serverMessage is anything that a server says.
type serverMessage struct {
	Ready    *json.RawMessage `json:"ready"`
	Refused  string           `json:"refused"`
	Fork     uint64           `json:"fork"`
	PID      int              `json:"pid"`
	Declined string           `json:"declined"`
	Ended    int              `json:"ended"`
	Code     int              `json:"code"`
	Status   int              `json:"status"`
}

type forkReply struct {
	root *forkedRoot
	err  error
}

var (
	// errRetired: the server takes no more jobs.
	errRetired = errors.New("the warm interpreter is retired")
	errGone    = errors.New("the warm interpreter is gone")
)

// declinedError: the server found that it must not be forked any more.
type declinedError struct{ reason string }

func (e *declinedError) Error() string { return e.reason }

const (
	// forkTime bounds one fork: it takes milliseconds, more on a machine that pages.
	forkTime = 20 * time.Second
	// longestMessage bounds what either side says in one message.
	longestMessage = 64 << 10
	// serverOutput is what is kept of a server's own output, for when it fails.
	serverOutput = 8 << 10
)

// startForkServer starts an interpreter and waits until it has imported what it
// shall, and proven that it can be forked. modules come after the usual ones.
func (h *Host) startForkServer(ctx context.Context, interpreter string, modules []string) (*forkServer, error) {
	control, theirs, err := controlPair()
	if err != nil {
		return nil, err
	}
	pipe, printed, err := os.Pipe()
	if err != nil {
		_ = control.Close()
		_ = theirs.Close()
		return nil, err
	}
	marker := h.newMarker()
	cmd := exec.Command(interpreter, append([]string{h.shim, "warm"}, modules...)...)
	// Its forks inherit the variables, and write their own marker over this one.
	cmd.Env = append(inheritedEnvironment(os.Environ()), MarkerVariable+"="+marker)
	cmd.Stdout, cmd.Stderr = printed, printed
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	process, err := h.startCold(cmd, false)
	_ = theirs.Close()
	_ = printed.Close()
	if err != nil {
		_ = control.Close()
		_ = pipe.Close()
		return nil, err
	}
	s := &forkServer{
		process: Process{PID: process.pid(), StartTime: startTime(process.pid()), Marker: marker},
		control: control, outlive: h.patience > 0, output: newOutputTail(serverOutput), gone: make(chan struct{}),
		waiting: make(map[uint64]chan forkReply), children: make(map[int]*forkedRoot),
	}
	ready := make(chan error, 1)
	go s.run(process, pipe, ready)
	expiry, cancel := h.limits.connectContext(ctx)
	defer cancel()
	select {
	case err = <-ready:
	case <-expiry.Done():
		err = fmt.Errorf("importing took longer than %s", h.limits.Connect)
	}
	if err != nil {
		s.retire()
		<-s.gone
		return nil, err
	}
	return s, nil
}

// connectContext ends when a guest, or a server, should have come by.
func (l Limits) connectContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Connect < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, l.Connect)
}

// run is the server's life: it hears what the interpreter says until the
// connection ends, and takes everything of it away then.
func (s *forkServer) run(process root, pipe *os.File, ready chan<- error) {
	defer close(s.gone)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.output.drain(pipe)
	}()
	s.listen(ready)
	_ = s.control.Close()
	// A server that crashed takes its forks with it (the death signal), unless they are
	// to outlive it: then they are waited for without it.
	_ = killTree(s.process, killTime, s.abandon())
	process.release()
	process.await()
	_ = process.reap()
	waitFor(drained, drainTime)
	_ = pipe.Close()
	<-drained
	select {
	case ready <- fmt.Errorf("it ended while it was starting: %s", s.lastWords()):
	default:
	}
}

// listen handles messages until the connection ends.
func (s *forkServer) listen(ready chan<- error) {
	buffer := make([]byte, longestMessage)
	for {
		n, err := s.control.Read(buffer)
		if err != nil {
			return
		}
		var message serverMessage
		if err := json.Unmarshal(buffer[:n], &message); err != nil {
			return
		}
		switch {
		case message.Refused != "":
			ready <- errors.New(message.Refused)
			return
		case message.Ready != nil:
			ready <- nil
		case message.Fork != 0:
			s.answered(message)
		case message.Ended != 0:
			s.ended(message)
		}
	}
}

// fork has the server fork itself. output becomes the fork's stdout and stderr.
// Errors: errRetired, errGone, a [*declinedError], or what kept the request away.
func (s *forkServer) fork(request forkRequest, output *os.File) (root, error) {
	reply := make(chan forkReply, 1)
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return nil, errGone
	}
	if s.retired {
		s.mu.Unlock()
		return nil, errRetired
	}
	s.forks++
	id := s.forks
	s.waiting[id] = reply
	s.mu.Unlock()

	body, err := json.Marshal(request)
	if err == nil {
		err = s.send(forkMessage, id, body, rights(output))
	}
	if err == nil {
		timer := time.NewTimer(forkTime)
		defer timer.Stop()
		select {
		case answer := <-reply:
			if answer.err != nil {
				return nil, answer.err
			}
			return answer.root, nil
		case <-timer.C:
			err = fmt.Errorf("it did not fork within %s", forkTime)
		}
	}
	s.mu.Lock()
	delete(s.waiting, id) // an answer that comes now is an orphan's
	s.mu.Unlock()
	select {
	case answer := <-reply:
		if answer.root != nil {
			return answer.root, nil
		}
	default:
	}
	return nil, err
}

// What the host says begins with one of these, and a number.
const (
	forkMessage = 'F' // the number of the request, which follows as JSON
	reapMessage = 'R' // the process
)

// send writes one message, with what [rights] gave.
func (s *forkServer) send(kind byte, number uint64, body, attached []byte) error {
	message := append(binary.BigEndian.AppendUint64([]byte{kind}, number), body...)
	if len(message) > longestMessage {
		return fmt.Errorf("a request of %d bytes", len(message))
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(forkTime))
	_, _, err := s.control.WriteMsgUnix(message, attached, nil)
	return err
}

func (s *forkServer) answered(message serverMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := s.waiting[message.Fork]
	delete(s.waiting, message.Fork)
	if message.Declined != "" {
		if reply != nil {
			reply <- forkReply{err: &declinedError{message.Declined}}
		}
		return
	}
	forked := &forkedRoot{server: s, process: message.PID, start: startTime(message.PID), over: make(chan struct{})}
	s.children[message.PID] = forked
	if reply != nil {
		reply <- forkReply{root: forked}
		return
	}
	killProcess(process{pid: forked.process, start: forked.start})
	forked.orphan = true
}

func (s *forkServer) ended(message serverMessage) {
	s.mu.Lock()
	forked := s.children[message.Ended]
	s.mu.Unlock()
	if forked == nil {
		return
	}
	forked.status = exitStatus(message.Code, message.Status)
	close(forked.over)
	if forked.orphan {
		forked.reap()
	}
}

// exitStatus says what waitid(2) gave in the words of [os.ProcessState].
func exitStatus(code, status int) string {
	const exited, killed = 1, 2 // CLD_EXITED, CLD_KILLED; 3 is CLD_DUMPED
	switch code {
	case exited:
		return fmt.Sprintf("exit status %d", status)
	case killed:
		return "signal: " + syscall.Signal(status).String()
	}
	return "signal: " + syscall.Signal(status).String() + " (core dumped)"
}

// abandon ends every wait for a server that is gone. It gives the forks that outlive
// it, which may still be its children while it is dying.
func (s *forkServer) abandon() (outlive map[int]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outlive = make(map[int]bool)
	s.retired, s.dead = true, true
	for id, reply := range s.waiting {
		delete(s.waiting, id)
		reply <- forkReply{err: errGone}
	}
	for _, forked := range s.children {
		select {
		case <-forked.over:
		default:
			forked.status = "its warm interpreter ended"
			if s.outlive {
				outlive[forked.process] = true
				go forked.awaitAlone()
				continue
			}
			close(forked.over)
		}
	}
	return outlive
}

// retire has the server take no more jobs, and end with its last one.
func (s *forkServer) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	s.endIfDone()
}

// endIfDone closes the connection, at which the interpreter ends. The caller holds mu.
func (s *forkServer) endIfDone() {
	if s.retired && len(s.children) == 0 && len(s.waiting) == 0 {
		_ = s.control.Close()
	}
}

func (s *forkServer) reap(forked *forkedRoot) {
	_ = s.send(reapMessage, uint64(forked.process), nil, nil) // a server that is gone needs not be told
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.children, forked.process)
	s.endIfDone()
}

func (s *forkServer) jobs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.forks)
}

func (s *forkServer) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.children) == 0 && len(s.waiting) == 0
}

// lastWords is the last line that the server printed.
func (s *forkServer) lastWords() string {
	lines := strings.Split(strings.TrimSpace(s.output.String()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return "it printed nothing"
}

// forkedRoot is a fork of a warm interpreter. The server is its parent.
type forkedRoot struct {
	server  *forkServer
	process int
	start   uint64
	orphan  bool // whoever asked for it has gone
	over    chan struct{}
	status  string // once over is closed
}

func (r *forkedRoot) pid() int { return r.process }
func (r *forkedRoot) await()   { <-r.over }
func (r *forkedRoot) release() {}

// awaitAlone does what the server did as long as it was there.
func (r *forkedRoot) awaitAlone() {
	awaitForeign(Process{PID: r.process, StartTime: r.start})
	close(r.over)
}

func (r *forkedRoot) reap() string {
	r.server.reap(r)
	return r.status
}
