package bridge

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// handshakeTime is what one connection gets to prove who it is, so that a
// stranger cannot use up the whole connect limit.
const handshakeTime = 10 * time.Second

// converse accepts the guest, hands it the job and reads what it publishes. It
// returns nil after a true end frame.
func (g *Guest) converse() error {
	l, who, err := g.accept()
	if err != nil {
		return err
	}
	if who.first != magic {
		return g.converseVersion1(l, who.first)
	}
	return g.converseVersion2(l, who.hello)
}

// introduction is how a connection begins.
type introduction struct {
	first uint32     // number on the connection, which tells the version
	hello helloFrame // of version 2
}

// accept waits for the one connection that is the guest's. Others are closed,
// and the wait goes on. When it returns nobody can connect any more.
func (g *Guest) accept() (l *link, who introduction, err error) {
	var deadline time.Time
	limit := g.host.limits.Connect
	if g.left != nil {
		limit = g.host.limits.Silence // native code can keep it from noticing that its worker died
	}
	if limit > 0 {
		deadline = time.Now().Add(limit)
		expiry := time.AfterFunc(limit, func() { _ = g.listener.Close() })
		defer expiry.Stop()
	}
	defer func() { _ = g.listener.Close() }()
	var refused error
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return nil, who, g.notConnected(limit, refused)
		}
		l, err := g.adopt(conn)
		if err != nil {
			return nil, who, err
		}
		who, err := g.identify(l, deadline)
		if err == nil {
			return l, who, nil
		}
		_ = conn.Close()
		var stranger *strangerError
		if !errors.As(err, &stranger) {
			return nil, who, err
		}
		refused = stranger
		g.host.logger.Warn("a connection to a guest's socket was refused",
			"job", g.spec.JobID, "attempt", g.spec.Attempt, "reason", stranger.reason)
	}
}

// strangerError: this connection is not the guest's; the next one may be.
type strangerError struct{ reason string }

func (e *strangerError) Error() string { return "a connection was refused: " + e.reason }

func (g *Guest) notConnected(limit time.Duration, refused error) error {
	select {
	case <-g.exited:
		return &GuestError{Kind: EndedEarly, Detail: "the process ended before it connected", Err: refused}
	default:
		return &GuestError{
			Kind:   ConnectTimeout,
			Detail: "the guest did not connect within " + limit.String(),
			Hint:   "raise the connect limit if this machine starts Python that slowly",
			Err:    refused,
		}
	}
}

// identify makes sure that the process at the other end was started by us, and
// reads as far as the version.
func (g *Guest) identify(l *link, deadline time.Time) (who introduction, err error) {
	pid, err := g.listener.Peer(l.Conn)
	if err != nil {
		return who, &strangerError{reason: err.Error()}
	}
	if pid != 0 && !belongsTo(g.process, pid) {
		return who, &strangerError{reason: fmt.Sprintf("process %d is not of the guest's tree", pid)}
	}
	if g.host.custom {
		// A version 1 guest says nothing before its first publish, which may be as
		// far away as the silence limit allows.
		if who.first, err = readNumber(l); err != nil {
			return who, err
		}
		if who.first != magic {
			return who, nil
		}
	}
	until := time.Now().Add(handshakeTime)
	if !deadline.IsZero() && deadline.Before(until) {
		until = deadline
	}
	l.setUntil(until)
	defer l.setUntil(time.Time{})
	if !g.host.custom {
		if who.first, err = readNumber(l); err != nil {
			return who, &strangerError{reason: "it left without a hello: " + err.Error()}
		}
		if who.first != magic {
			return who, &strangerError{reason: "it does not speak version 2"}
		}
	}
	who.hello, err = g.readHello(l)
	return who, err
}

// readHello reads the rest of the preamble and the first frame.
func (g *Guest) readHello(l *link) (hello helloFrame, err error) {
	rest, err := readNumber(l)
	if err != nil {
		return hello, &strangerError{reason: "it left within its hello: " + err.Error()}
	}
	if version := rest >> 16; version != currentVersion {
		return hello, violation("the guest speaks version %d of the wire, this worker speaks 1 and %d", version, currentVersion)
	}
	kind, length, err := readHeader(l)
	if err != nil {
		return hello, &strangerError{reason: "its hello: " + err.Error()}
	}
	if kind != frameHello {
		return hello, &strangerError{reason: fmt.Sprintf("it began with frame type %d", kind)}
	}
	if err := readControl(l, kind, length, longestHello, &hello); err != nil {
		return hello, &strangerError{reason: "its hello: " + err.Error()}
	}
	if subtle.ConstantTimeCompare([]byte(digestOf(hello.Token)), []byte(g.tokenDigest())) != 1 {
		return hello, &strangerError{reason: "its token is wrong"}
	}
	return hello, nil
}

// tokenDigest is that of the token that the guest must show.
func (g *Guest) tokenDigest() string {
	if g.left != nil {
		return g.left.Claim.Token
	}
	return digestOf(g.token)
}

// adopt makes a connection known to the rest of the guest, so that it can be
// interrupted.
func (g *Guest) adopt(conn net.Conn) (*link, error) {
	l := &link{Conn: conn, silence: g.host.limits.Silence}
	g.mu.Lock()
	g.link = l
	stopped := g.cause
	g.mu.Unlock()
	if stopped != nil {
		_ = conn.Close()
		return nil, stopped
	}
	select {
	case <-g.exited:
		l.setExited()
	default:
	}
	return l, nil
}

func (g *Guest) converseVersion1(l *link, first uint32) error {
	serial := uint64(0)
	return readVersion1(l, first, g.pool, g.host.limits.Frame, func(batch arrow.RecordBatch) error {
		serial++
		return g.deliver(received{serial: serial, record: batch, bytes: sizeOf(batch)})
	})
}

func (g *Guest) converseVersion2(l *link, hello helloFrame) error {
	var err error
	reader := version2{pool: g.pool, limit: g.host.limits.Frame,
		in: l, batch: g.credit,
		progress: g.noted,
		log:      func(message string) { _, _ = io.WriteString(g.output, message+"\n") },
	}
	if g.left != nil {
		err = g.goOn(l, hello)
		reader.serial, reader.rows = g.left.Batches, g.left.Rows
	} else {
		err = g.sendJob(l)
	}
	if err == nil {
		err = reader.read()
	}
	if err == nil {
		g.host.learn(g.spec, reader.imports)
	}
	return err
}

// keepMemory and keepDisk bound what a guest keeps of batches that are not durable, in
// bytes. Beyond them it lets all go, and can only be gone on with behind a later
// checkpoint. It has all of the memory, and the disk, once it has run for KeepLate: until
// then to run again takes no longer, and writing everything twice would slow down who is
// quick. The memory grows to that from KeepLittle. What a guest lets go of meanwhile has to
// be made durable before it computes for long.
const (
	keepMemory = 64 << 20
	keepDisk   = 1 << 30
	KeepLate   = 10 * time.Second
	KeepLittle = 8 << 20
)

// jobTime bounds the wait for a guest that does not read its job.
const jobTime = 30 * time.Second

func (g *Guest) sendJob(l *link) error {
	limits := g.host.limits
	job := jobFrame{
		JobID: g.spec.JobID, FileVersionID: g.spec.FileVersionID,
		Path: []byte(g.spec.FilePath), Plugin: g.spec.Plugin, Topics: g.spec.Topics,
		Window: limits.Window, SliceRows: limits.SliceRows, SliceBytes: limits.SliceBytes,
		FrameBytes: limits.Frame, Learn: g.host.learned != nil,
		Patience: g.host.patience.Milliseconds(), KeepMemory: keepMemory, KeepDisk: keepDisk, KeepLate: g.host.keepLate.Milliseconds(), KeepLittle: KeepLittle, Folder: []byte(g.host.dir),
	}
	if job.Topics == nil {
		job.Topics = []string{}
	}
	_ = l.SetWriteDeadline(time.Now().Add(jobTime))
	if err := writeControl(l.Conn, frameJob, job); err != nil {
		return fmt.Errorf("send the job to the guest: %w", err)
	}
	if err := writeFrame(l.Conn, frameSource, g.spec.Source); err != nil {
		return fmt.Errorf("send the plugin to the guest: %w", err)
	}
	return nil
}

// credit counts a version 2 batch against the window, then delivers it.
func (g *Guest) credit(r received) error {
	crashpoint.Reach(crashpoint.GuestFrameAfter)
	g.mu.Lock()
	unacknowledged := r.serial - g.acknowledged
	g.arrived = r.serial
	starved := unacknowledged >= uint64(g.host.limits.Window)
	if starved {
		// Under the lock: an acknowledgement that comes now must be the later one.
		g.link.setStarved(true)
	}
	g.mu.Unlock()
	if unacknowledged > uint64(g.host.limits.Window) {
		r.record.Release()
		return violation("batch %d exceeds the window of %d", r.serial, g.host.limits.Window)
	}
	return g.deliver(r)
}

// Acknowledge tells the guest that the host is done with all batches up to
// serial, and lets it send as many more. Serials below an earlier one are
// ignored, and so is any after the end. It waits for the guest's socket at most
// a few seconds, and may be called from any goroutine.
func (g *Guest) Acknowledge(serial uint64) error {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	if serial > g.handed {
		handed := g.handed
		g.mu.Unlock()
		return fmt.Errorf("acknowledge batch %d: only %d were handed out", serial, handed)
	}
	if serial <= g.acknowledged {
		g.mu.Unlock()
		return nil
	}
	g.acknowledged = serial
	l := g.link
	counted := g.arrived > 0 // version 1 has no acknowledgements
	if counted {
		l.setStarved(false)
	}
	g.mu.Unlock()
	if !counted {
		return nil
	}
	crashpoint.Reach(crashpoint.GuestAckBefore)
	g.tell(l, frameAck, serial)
	crashpoint.Reach(crashpoint.GuestAckAfter)
	return nil
}

// tell sends a frame that is a serial. The caller holds writing.
func (g *Guest) tell(l *link, kind frameType, serial uint64) {
	_ = l.SetWriteDeadline(time.Now().Add(10 * time.Second))
	// A guest that has ended reads nothing, and whoever reads from it learns why: an
	// error here would only say the same with less.
	_ = writeFrame(l.Conn, kind, binary.BigEndian.AppendUint64(nil, serial))
}

// sizeOf is what the arrays of a batch hold, counting a shared buffer each time.
func sizeOf(batch arrow.RecordBatch) int64 {
	total := int64(0)
	for _, column := range batch.Columns() {
		total += int64(column.Data().SizeInBytes())
	}
	return total
}
