package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// Spec says what a guest is to run.
type Spec struct {
	Interpreter string // path of the Python of the job's environment, 3.9 or later
	JobID       uint64
	Attempt     string // names the attempt in messages
	FilePath    string // the input file
	Plugin      string // the plugin's name, shown in tracebacks
	// FileVersionID is the event's file_id.
	FileVersionID int64
	Source        []byte   // the plugin's source
	Topics        []string // topics that have a sink
	Env           []string // extra variables, NAME=value
	WorkDir       string   // "" = the worker's own
}

// Batch is one record batch that a plugin published.
type Batch struct {
	// Serial counts the batches of an attempt from 1.
	Serial uint64
	// Topic is "" for a batch of every sink of the job: what a plugin returned, or
	// anything from a version 1 guest.
	Topic string
	// DefaultURI is what the plugin registered the topic with; it may be "".
	DefaultURI string
	// Record belongs to the caller, who must Release it. It has at least one row.
	// Its memory is used again after that: strings and byte slices taken from it
	// must be copied to outlive it.
	Record arrow.RecordBatch
	Bytes  int64 // size on the wire
}

// Progress is how far a guest has come.
type Progress struct {
	Batches uint64
	Rows    int64
	Bytes   int64
	Note    string // what the plugin last said of itself; may be ""
}

// Guest is one attempt of a job in a process of its own. One goroutine calls
// Next; everything else may be called from any goroutine.
type Guest struct {
	host     *Host
	spec     Spec
	token    string
	claim    Claim // for the next worker; zero: the guest dies with this one
	left     *Left // what is known of a guest that another worker started
	process  Process
	root     root
	listener listener
	pool     *framePool
	output   *outputTail
	pipe     *os.File // read end of stdout and stderr

	drained  chan struct{} // stdout and stderr are at their end
	exited   chan struct{} // the root process has ended
	stop     chan struct{} // closed with cause: the conversation is to end
	batches  chan Batch    // unbuffered: one batch is decoded ahead; closed with result
	finished chan struct{} // nothing of the guest is left
	total    *time.Timer   // the limit on the whole job; nil = none

	writing sync.Mutex   // one acknowledgement at a time
	peak    atomic.Int64 // see PeakMemory

	attached bool // left, and told to go on; only run looks at it

	mu           sync.Mutex
	link         *link
	cause        error  // why stop was closed
	arrived      uint64 // serial of the last version 2 batch that came in
	handed       uint64 // serial of the last batch that Next gave
	acknowledged uint64
	progress     Progress
	result       error // what Next returns behind the last batch; valid once batches is closed
	leftover     error // what Close returns; valid once finished
}

const (
	// leaveTime is how long a guest may take to end by itself after a true end
	// frame: its exit handlers may have temporary files to remove.
	leaveTime = 5 * time.Second
	// failTime is the same after the plugin raised, or the connection ended: its
	// exit status is worth waiting for.
	failTime = 2 * time.Second
	// killTime bounds the rounds of KillTree, and then the wait for the kernel.
	killTime = 5 * time.Second
	// drainTime is how long output may still come after the tree was killed.
	drainTime = 2 * time.Second
	// backlogTime is how long the connection of an ended process may wait to be
	// accepted.
	backlogTime = 500 * time.Millisecond
)

// launch starts the process of a guest. The context bounds the wait for a warm
// interpreter.
func (h *Host) launch(ctx context.Context, spec Spec) (*Guest, error) {
	if spec.Interpreter == "" {
		return nil, &GuestError{Kind: StartFailed, Detail: "no interpreter is given"}
	}
	g := h.newGuest(spec)
	g.token = randomName()
	var err error
	if g.listener, err = listen(h.socketDir); err != nil {
		return nil, &GuestError{Kind: StartFailed, Err: err}
	}
	if h.patience > 0 {
		g.claim = Claim{Address: g.listener.Address(), Token: digestOf(g.token)}
	}
	crashpoint.Reach(crashpoint.GuestSocketAfter)
	pipe, theirs, err := os.Pipe()
	if err != nil {
		_ = g.listener.Close()
		return nil, &GuestError{Kind: StartFailed, Detail: "no pipe for the output", Err: err}
	}
	g.pipe = pipe
	marker := h.newMarker()
	crashpoint.Reach(crashpoint.GuestStartBefore)
	g.root, err = h.startRoot(ctx, g, marker, theirs)
	_ = theirs.Close()
	if err != nil {
		_ = g.listener.Close()
		_ = pipe.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, startError(spec, err)
	}
	crashpoint.Reach(crashpoint.GuestStartAfter)
	g.process = Process{PID: g.root.pid(), StartTime: startTime(g.root.pid()), Marker: marker}
	return g, nil
}

func (h *Host) newGuest(spec Spec) *Guest {
	return &Guest{
		host: h, spec: spec,
		pool:     &framePool{keep: h.limits.Window + 2},
		output:   newOutputTail(h.limits.Output),
		drained:  make(chan struct{}),
		exited:   make(chan struct{}),
		stop:     make(chan struct{}),
		batches:  make(chan Batch),
		finished: make(chan struct{}),
	}
}

// startRoot forks a warm interpreter where it can, and starts one otherwise.
func (h *Host) startRoot(ctx context.Context, g *Guest, marker string, output *os.File) (root, error) {
	if h.warm != nil {
		request := forkRequest{
			Address: []byte(g.listener.Address()), Token: g.token, Marker: marker, Folder: []byte(g.spec.WorkDir),
			Outlive: h.patience > 0,
		}
		for _, variable := range g.spec.Env {
			request.Environment = append(request.Environment, []byte(variable))
		}
		if h.learned != nil && g.spec.Plugin != "" {
			own := placeKey{g.spec.Interpreter, g.spec.Plugin}
			if modules := h.learned.started(own, time.Now()); modules != nil {
				if forked := h.warm.forkIfReady(own, modules, request, output); forked != nil {
					return forked, nil
				}
			}
		}
		general := placeKey{interpreter: g.spec.Interpreter}
		if forked, err := h.warm.fork(ctx, general, request, output); forked != nil || err != nil {
			return forked, err
		}
	}
	cmd := exec.Command(g.spec.Interpreter, h.shim)
	cmd.Dir = g.spec.WorkDir
	cmd.Env = guestEnvironment(os.Environ(), g.spec, g.listener.Address(), marker, g.token, h.custom)
	cmd.Stdout, cmd.Stderr = output, output
	return h.startCold(cmd, h.patience > 0)
}

// begin starts what watches over the guest.
func (g *Guest) begin() {
	if limit := g.host.limits.Total; limit > 0 {
		left := limit
		if g.left != nil {
			left = max(0, limit-time.Since(g.left.Started))
		}
		g.total = time.AfterFunc(left, func() {
			g.interrupt(&GuestError{Kind: JobTimeout, Detail: "the job ran for " + limit.String(), Hint: "raise the job limit if it may take longer"})
		})
	}
	if g.pipe != nil {
		go g.drainOutput()
	}
	go g.watchExit()
	go g.run()
}

func startError(spec Spec, err error) error {
	failure := &GuestError{Kind: StartFailed, Detail: "interpreter " + spec.Interpreter, Err: err}
	switch {
	case errors.Is(err, os.ErrNotExist):
		failure.Hint = "the environment, or the working folder, is not there"
	case errors.Is(err, os.ErrPermission):
		failure.Hint = "the file is not executable by the worker's user"
	case errors.Is(err, syscall.E2BIG):
		failure.Hint = "the environment variables are too large together"
	}
	return failure
}

func (g *Guest) drainOutput() {
	defer close(g.drained)
	g.output.drain(g.pipe)
}

func (g *Guest) watchExit() {
	g.root.await()
	close(g.exited)
	g.mu.Lock()
	l := g.link
	g.mu.Unlock()
	if l != nil {
		l.setExited()
	}
}

// run is the guest's one goroutine from connect to the end of its processes.
func (g *Guest) run() {
	defer close(g.finished)
	closing := g.closeListenerAfterExit()
	err := g.converse()
	close(closing)
	g.peak.Store(peakMemory(g.process.PID))
	if err == nil {
		g.conclude(io.EOF)
		if g.claim != (Claim{}) {
			<-g.stop // until then the guest has what it gave, for another worker
		}
	}
	g.interrupt(err) // the guest sees its connection end, and leaves
	if err == nil {
		g.dismantle(leaveTime, g.host.census.take) // nothing waits for it
		return
	}
	g.mu.Lock()
	if g.cause != nil {
		err = g.cause
	}
	g.mu.Unlock()
	patience := time.Duration(0)
	err = g.wasNotAttached(classify(err))
	var ended *GuestError
	var raised *PluginError
	if errors.As(err, &raised) || errors.As(err, &ended) && ended.Kind == EndedEarly {
		patience = failTime
	}
	status := g.dismantle(patience, processTable)
	if raised != nil {
		raised.Output = g.Output()
	}
	if errors.As(err, &ended) {
		ended.Output, ended.ExitStatus = g.Output(), status
		if ended.Kind == EndedEarly && ended.Hint == "" {
			ended.Hint = hintFor(status)
		}
	}
	g.conclude(err)
}

// closeListenerAfterExit ends the wait for a guest that has ended; what it sent
// before may still be in the listener's queue for a moment. The returned channel
// ends the watch.
func (g *Guest) closeListenerAfterExit() chan struct{} {
	over := make(chan struct{})
	go func() {
		select {
		case <-over:
			return
		case <-g.exited:
		}
		select {
		case <-over:
		case <-time.After(backlogTime):
			_ = g.listener.Close()
		}
	}()
	return over
}

// classify makes a typed error of whatever ended the conversation.
func classify(err error) error {
	var failure *GuestError
	var raised *PluginError
	switch {
	case errors.Is(err, ErrClosed), errors.As(err, &failure), errors.As(err, &raised):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &GuestError{Kind: EndedEarly, Detail: "the connection ended in the middle of a frame"}
	case errors.Is(err, io.EOF):
		return &GuestError{Kind: EndedEarly, Detail: "the connection ended"}
	}
	return &GuestError{Kind: EndedEarly, Err: err}
}

func hintFor(status string) string {
	switch status {
	case "signal: killed":
		return "something killed it, for example the kernel when memory ran out"
	case "signal: segmentation fault", "signal: aborted", "signal: bus error", "signal: illegal instruction":
		return "native code crashed; the output may show where"
	case "exit status 0":
		return "the plugin ended the process itself, for example with os._exit"
	}
	return ""
}

// interrupt ends the conversation. The first cause counts; nil means that it is
// over anyway.
func (g *Guest) interrupt(cause error) {
	g.mu.Lock()
	select {
	case <-g.stop:
		g.mu.Unlock()
		return
	default:
	}
	g.cause = cause
	close(g.stop)
	l := g.link
	g.mu.Unlock()
	_ = g.listener.Close()
	if l != nil {
		g.sayGoodbye(l)
		_ = l.Close()
	}
}

// conclude sets what Next returns from here on.
func (g *Guest) conclude(result error) {
	g.mu.Lock()
	g.result = result
	g.mu.Unlock()
	close(g.batches)
}

// dismantle ends the guest's processes and gives back everything that it held.
// The root gets patience to end by itself; then its status is returned. Table is for
// the first look at what is left.
func (g *Guest) dismantle(patience time.Duration, table func() ([]process, error)) (status string) {
	if g.total != nil {
		g.total.Stop()
	}
	byItself := waitFor(g.exited, patience)
	// The root stays a zombie while its tree is killed: its pid is nobody else's.
	crashpoint.Reach(crashpoint.GuestEndBefore)
	err := killTreeIn(table, g.process, killTime, nil)
	crashpoint.Reach(crashpoint.GuestEndAfter)
	g.root.release()
	if waitFor(g.exited, killTime) {
		if ended := g.root.reap(); byItself {
			status = ended
		}
	} else if err == nil {
		err = &TreeError{PIDs: []int{g.process.PID}}
	}
	if g.pipe != nil {
		waitFor(g.drained, drainTime)
		_ = g.pipe.Close()
		waitFor(g.drained, drainTime)
	}
	g.mu.Lock()
	if err != nil {
		g.leftover = fmt.Errorf("close the guest of job %d: %w", g.spec.JobID, err)
	}
	g.mu.Unlock()
	g.host.forget(g)
	return status
}

// waitFor tells whether the channel was closed in time.
func waitFor(done <-chan struct{}, patience time.Duration) bool {
	select {
	case <-done:
		return true
	default:
	}
	if patience <= 0 {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// deliver waits until somebody takes the batch.
func (g *Guest) deliver(r received) error {
	select {
	case g.batches <- Batch{Serial: r.serial, Topic: r.topic.Name, DefaultURI: r.topic.DefaultURI, Record: r.record, Bytes: r.bytes}:
		return nil
	case <-g.stop:
		r.record.Release()
		return ErrClosed
	}
}

// Next waits for the next batch. It returns io.EOF only behind a true end frame
// (a guest that can outlive the worker then stays until it is closed),
// ErrClosed after Close, a [*PluginError] or a [*GuestError] otherwise; by the
// time of an error the guest's processes are gone. The context bounds the call,
// not the guest: after its error Next may be called again.
func (g *Guest) Next(ctx context.Context) (Batch, error) {
	select {
	case batch, open := <-g.batches:
		return g.taken(batch, open)
	default:
	}
	select {
	case batch, open := <-g.batches:
		return g.taken(batch, open)
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
}

func (g *Guest) taken(batch Batch, open bool) (Batch, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !open {
		return Batch{}, g.result
	}
	g.handed = batch.Serial
	g.progress.Batches++
	g.progress.Rows += batch.Record.NumRows()
	g.progress.Bytes += batch.Bytes
	return batch, nil
}

func (g *Guest) noted(note string) {
	g.mu.Lock()
	g.progress.Note = oneLine(note)
	g.mu.Unlock()
}

// Process names the guest's root process.
func (g *Guest) Process() Process { return g.process }

// PeakMemory is the most memory that the guest's root process had resident, in bytes,
// once Next has returned io.EOF or an error; 0 when that is not known: the process was
// gone by then, or the system is not Linux. Pages that it shares with a warm
// interpreter are counted.
func (g *Guest) PeakMemory() int64 { return g.peak.Load() }

// Output is the tail of what the guest printed so far, stdout and stderr in the
// order of arrival, as valid UTF-8.
func (g *Guest) Output() string { return g.output.String() }

// Progress is what Next has handed out so far, and the plugin's last note.
func (g *Guest) Progress() Progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.progress
}

// Close ends the guest: unless it has published everything, it is killed with
// its whole tree at once; otherwise it gets a few seconds to leave. Next returns.
// Close returns when nothing of the guest is left, or a [*TreeError] when its
// processes cannot be killed. It may be called more than once.
func (g *Guest) Close() error {
	g.interrupt(ErrClosed)
	<-g.finished
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leftover
}
