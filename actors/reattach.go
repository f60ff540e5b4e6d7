package actors

import (
	"context"
	"fmt"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// A guest may outlive the worker process that started it: it waits for the next one,
// with the batches that are not durable. The next one finds it in the journal, and
// goes on with the same attempt; where that cannot be, it is killed and the job runs
// again.

// leftGuest gives the guest that the process before left for a job, if this one is to
// go on with it.
func (c *Coordinator) leftGuest(job *journal.Job) *bridge.Left {
	if !c.config.Reattach || job.Phase != journal.Running || job.Aborting || job.Guest == nil || job.Guest.Address == "" ||
		crashpoint.Broken(crashpoint.OrphanStays) {
		return nil
	}
	// Its rows may be what the worker dies of.
	if len(c.left) >= c.config.Concurrency || c.refusal(job) != nil {
		return nil
	}
	left := &bridge.Left{
		Process: processOf(job.Guest), Claim: bridge.Claim{Address: job.Guest.Address, Token: job.Guest.Token},
		Started: job.Guest.StartedAt,
	}
	if whole := job.Behind(); whole != nil {
		left.Batches, left.Rows = whole.Batches, whole.Rows
	}
	if !bridge.Alive(left.Process) {
		return nil
	}
	return left
}

func processOf(guest *journal.Guest) bridge.Process {
	return bridge.Process{PID: guest.PID, StartTime: guest.StartTime, Marker: guest.Marker}
}

// killLeftover kills the guest that the process before started for a job, with its
// tree.
func killLeftover(job *journal.Job) error {
	if job.Guest == nil || crashpoint.Broken(crashpoint.OrphanStays) {
		return nil
	}
	crashpoint.Reach(crashpoint.RecoverGuestBefore)
	if err := bridge.KillTree(processOf(job.Guest), guestPatience); err != nil {
		return fmt.Errorf("stop the guest that job %d left behind (pid %d): %w", job.ID, job.Guest.PID, err)
	}
	crashpoint.Reach(crashpoint.RecoverGuestAfter)
	return nil
}

// takeUp has the guests that are left gone on with.
func (c *Coordinator) takeUp(ctx context.Context) error {
	for id, left := range c.left {
		job, _ := c.journal.State().Job(id)
		source, err := c.journal.Blob(job.Spec.Source)
		if err != nil && !lost(err) {
			return err
		}
		a := c.begin(job, source)
		a.left, a.behind, a.progress.began = left, job.Behind(), left.Started
		c.log.Info("a guest outlived the worker: going on with it", "job", id, "plugin", job.Spec.Plugin,
			"attempt", a.attempt.Attempt, "pid", left.Process.PID, "behind_batch", left.Batches)
	}
	c.left = nil
	return nil
}
