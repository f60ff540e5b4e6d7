package actors

import (
	"slices"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// lane is the coordinator's side of one of the source's lanes: what its connection
// has seen, and what is to go out on it. Lanes know nothing of each other; when one
// is cut, the others do not notice.
type lane struct {
	number   uint32
	exchange *exchange // of the connection that is up, nil when none is
	due      []uint64  // jobs whose receipts are to go out on this connection, in order
	replies  []Letter  // about environments, waiting for their turn
	inPost   bool      // a letter is with the source
	postAt   time.Time // not before, after a letter came back
	heard    uint64    // DISPATCHes dealt with
}

// isUp tells whether this connection of the lane is up.
func (l *lane) isUp(connection uint64) bool {
	return l.exchange != nil && l.exchange.connection == connection
}

// connected begins a new connection. The receipts that it owes go out on it first.
func (l *lane) connected(connection uint64, owed []uint64) {
	l.exchange, l.due, l.replies, l.postAt = newExchange(connection), owed, nil, time.Time{}
}

// disconnected ends it. What was queued for it is forgotten: receipts are in the
// journal, and for answers nobody waits any more.
func (l *lane) disconnected() { l.exchange, l.due, l.replies = nil, nil, nil }

// owe queues a job's receipt, once.
func (l *lane) owe(job uint64) {
	if l.exchange != nil && !slices.Contains(l.due, job) {
		l.due = append(l.due, job)
	}
}

// settled reports whether nothing is left to be sent to somebody who is there.
func (l *lane) settled() bool {
	return !l.inPost && len(l.due) == 0 && len(l.replies) == 0
}

// lane gives the lane that an event came on.
func (c *Coordinator) lane(number uint32) *lane { return c.lanes[number] }

// home gives the lane that is to take a job's receipt back: the one that brought it.
// For one that was forgotten the first stands in: the Sentinel does not look at who
// sends a receipt (observed).
func (c *Coordinator) home(job *journal.Job) *lane {
	if int(job.Lane) < len(c.lanes) {
		return c.lanes[job.Lane]
	}
	return c.lanes[0]
}

// owedOn lists the jobs whose receipts a lane owes, in the order of their acceptance.
func (c *Coordinator) owedOn(l *lane) (owed []uint64) {
	for job := range c.journal.State().Owed() {
		if c.home(job) == l {
			owed = append(owed, job.ID)
		}
	}
	return owed
}

// awaited tells whether the lane has a job in hand: it brought the job, or asked for
// it again.
func (c *Coordinator) awaited(l *lane, job *journal.Job) bool {
	return c.home(job) == l || l.exchange != nil && l.exchange.open[job.ID]
}
