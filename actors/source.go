package actors

import (
	"context"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Source is where jobs come from and where receipts go to. The coordinator
// knows no more of the outside than this; [Sentinel] is the first implementation.
//
// A source has lanes, counted from 0. Each is known to the other side by a name of
// its own, is given jobs for itself, and has one connection at a time. Connections
// are numbered so that no number is used twice under one journal. What happens on a
// connection arrives in order.
type Source interface {
	// Run serves the source until ctx ends.
	Run(ctx context.Context) error
	// Lanes is how many lanes there are, at least one.
	Lanes() int
	// Events is what comes in, on all lanes. The coordinator reads it all the time.
	Events() <-chan SourceEvent
	// Outbox takes what is to be sent on a lane. Each [Letter] is answered by one
	// [Posted] or [Returned] event, and the coordinator waits for it before the next
	// on that lane, so that neither side ever waits for the other.
	Outbox(lane uint32) chan<- Letter
	// Show tells the source what is done for a lane, for its heartbeat. It does not block.
	Show(lane uint32, a Activity)
}

// SourceEvent is what a source reports. The set is sealed.
type SourceEvent interface{ sourceEvent() }

type (
	// Connected: a connection is up and the worker has introduced itself on it.
	Connected struct {
		Lane       uint32
		Connection uint64
	}

	// Disconnected: the connection is gone, and what was not posted was not sent.
	Disconnected struct {
		Lane       uint32
		Connection uint64
		Reason     error
	}

	// Dispatched: a job was given to this worker. Spec.Source is not yet filled in.
	Dispatched struct {
		Lane       uint32
		Connection uint64
		// Reached is the number of the last message that we sent on this connection and
		// that had reached the other side's socket before this one left it.
		Reached uint64
		JobID   uint64
		Spec    journal.JobSpec
		Source  []byte
	}

	// Aborted: a job is to be stopped.
	Aborted struct {
		Lane       uint32
		Connection uint64
		JobID      uint64
	}

	// EnvironmentAsked: an environment is to be built ahead of its jobs.
	EnvironmentAsked struct {
		Lane          uint32
		Connection    uint64
		JobID         uint64 // of the request's header; the answer carries it again
		EnvHash       string
		Lockfile      string
		PythonVersion string
	}

	// Posted: the letter was written to the connection in full. It is no
	// acknowledgement.
	Posted struct {
		Lane       uint32
		Connection uint64
		Number     uint64 // of the message on the connection; they count from 1
		Letter     Letter
	}

	// Returned: the letter was not sent on the connection it was meant for.
	Returned struct {
		Lane       uint32
		Connection uint64
		Letter     Letter
		Reason     error
	}
)

func (Connected) sourceEvent()        {}
func (Disconnected) sourceEvent()     {}
func (Dispatched) sourceEvent()       {}
func (Aborted) sourceEvent()          {}
func (EnvironmentAsked) sourceEvent() {}
func (Posted) sourceEvent()           {}
func (Returned) sourceEvent()         {}

// Letter is one message to the source, bound to one connection. Exactly one of
// its contents is set.
type Letter struct {
	Connection uint64
	JobID      uint64
	Generation uint32           // of a receipt
	Receipt    *journal.Receipt // a job's result
	Ready      *EnvironmentNews // an environment is there
	Trouble    *Trouble         // something went wrong that belongs to no running job
}

// EnvironmentNews says that an environment can be used.
type EnvironmentNews struct {
	EnvHash     string
	Interpreter string
	Cached      bool
}

// Trouble is an error that is reported outside a job's receipt. The Sentinel
// takes it as a sign that the lane is idle (observed), so it is only sent while
// the lane has no job in hand.
type Trouble struct {
	Message string
	Detail  string
}

// Activity is what a lane's heartbeat tells. A lane is busy from a DISPATCH until
// the job's receipt has gone out: a Sentinel that reads IDLE has read all receipts
// before it, and who finds one of its jobs missing then can give it out again.
type Activity struct {
	Busy       bool
	CurrentJob uint64 // 0 when idle
	// Heard counts the DISPATCHes on the lane that this takes into account.
	Heard uint64
}
