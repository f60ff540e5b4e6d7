package actors

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// repliesLimit bounds the answers about environments that wait for their turn.
const repliesLimit = 64

// show tells the source what each lane does, for its heartbeat: its oldest job that
// runs, or else its oldest in hand, as the Sentinel can show only one.
func (c *Coordinator) show() {
	activities := make([]Activity, len(c.lanes))
	for _, l := range c.lanes {
		activities[l.number].Heard = l.heard
		if len(l.due) > 0 {
			activities[l.number].Busy, activities[l.number].CurrentJob = true, l.due[0]
		}
	}
	runs := make([]bool, len(c.lanes))
	for job := range c.journal.State().Unfinished() {
		running := job.Phase == journal.Running || job.Phase == journal.Sealed
		for _, l := range c.lanes {
			a := &activities[l.number]
			if (!a.Busy || running && !runs[l.number]) && c.awaited(l, job) {
				a.Busy, a.CurrentJob, runs[l.number] = true, job.ID, running
			}
		}
	}
	for i, a := range activities {
		c.source.Show(uint32(i), a)
	}
}

// post hands the source the next letter of each lane that has none in hand.
func (c *Coordinator) post() {
	for _, l := range c.lanes {
		if l.exchange == nil || l.inPost || time.Now().Before(l.postAt) {
			continue
		}
		letter, ok := c.nextLetter(l)
		if !ok {
			continue
		}
		letter.Connection = l.exchange.connection
		l.inPost = true
		if letter.Receipt != nil && crashpoint.Broken(crashpoint.ReceiptForgotten) {
			c.forgetReceipt(letter)
		}
		c.source.Outbox(l.number) <- letter // has room: inPost was false
	}
}

// forgetReceipt is what a worker must not do: it takes a receipt for delivered that
// has not been sent, for good: a note of it that a crash may still take would do no
// harm. See [crashpoint.Broken].
func (c *Coordinator) forgetReceipt(letter Letter) {
	_ = c.note(context.Background(), journal.ReceiptSent{JobID: letter.JobID, Generation: letter.Generation, Connection: letter.Connection})
	_ = c.note(context.Background(), journal.ReceiptConfirmed{JobID: letter.JobID, Generation: letter.Generation, Evidence: "none"})
	_ = c.journal.Flush(context.Background())
}

// nextLetter picks what goes out next on a lane: receipts first, in the order in
// which they became due.
func (c *Coordinator) nextLetter(l *lane) (Letter, bool) {
	for len(l.due) > 0 {
		if job, ok := c.journal.State().Job(l.due[0]); ok && (job.Phase == journal.Concluded || job.Phase == journal.Undelivered) {
			return Letter{JobID: job.ID, Generation: job.Generation, Receipt: job.Receipt}, true
		}
		l.due = l.due[1:] // a newer generation is in hand
	}
	for i, letter := range l.replies {
		// An ERR makes the Sentinel take the lane for idle (observed): it waits until
		// the lane has no job in hand.
		if letter.Trouble != nil && c.inHand(l) {
			continue
		}
		l.replies = append(l.replies[:i:i], l.replies[i+1:]...)
		return letter, true
	}
	return Letter{}, false
}

// inHand reports whether a lane has a job that has no result yet. Receipts always go
// out before anything else.
func (c *Coordinator) inHand(l *lane) bool {
	for job := range c.journal.State().Unfinished() {
		if c.awaited(l, job) {
			return true
		}
	}
	return false
}

// reply queues the answer to one who asked for an environment, for the lane that
// asked and while that connection is up. On another nobody waits for it.
func (c *Coordinator) reply(e EnvironmentAsked, answer environmentAnswer) {
	l := c.lane(e.Lane)
	if !l.isUp(e.Connection) || len(l.replies) >= repliesLimit {
		return
	}
	letter := Letter{JobID: e.JobID}
	if answer.err != nil {
		letter.Trouble = &Trouble{Message: head(answer.err.Error(), messageLimit)}
	} else {
		letter.Ready = &EnvironmentNews{EnvHash: answer.envHash, Interpreter: answer.interpreter, Cached: answer.cached}
	}
	l.replies = append(l.replies, letter)
}

// posted notes that a letter went out.
func (c *Coordinator) posted(ctx context.Context, e Posted) error {
	l := c.lane(e.Lane)
	if e.Letter.Trouble != nil && l.isUp(e.Connection) {
		l.exchange.posted(receipt{}, e.Number)
	}
	if e.Letter.Receipt == nil {
		return nil
	}
	sent := journal.ReceiptSent{JobID: e.Letter.JobID, Generation: e.Letter.Generation, Connection: e.Connection}
	if err := c.note(ctx, sent); err != nil {
		return err
	}
	if l.isUp(e.Connection) {
		l.exchange.posted(receipt{job: e.Letter.JobID, generation: e.Letter.Generation}, e.Number)
		// When a newer generation has its result by now, that receipt is still to go.
		if job, ok := c.journal.State().Job(e.Letter.JobID); ok && job.Generation == e.Letter.Generation {
			l.due = slices.DeleteFunc(l.due, func(id uint64) bool { return id == job.ID })
		}
	}
	c.monitor.delivered(e.Letter.JobID)
	return nil
}

// confirm closes a job whose receipt was taken. While it is still due on another
// lane, which asked for the job, too, the job stays open; the next connection sends
// its receipt again.
func (c *Coordinator) confirm(ctx context.Context, r receipt, evidence string) error {
	for _, l := range c.lanes {
		if slices.Contains(l.due, r.job) {
			return nil
		}
	}
	if err := c.note(ctx, journal.ReceiptConfirmed{JobID: r.job, Generation: r.generation, Evidence: evidence}); err != nil {
		return err
	}
	if job, ok := c.journal.State().Job(r.job); ok && job.Phase == journal.Confirmed {
		for _, l := range c.lanes {
			if l.exchange != nil {
				l.exchange.forget(r.job)
			}
		}
	}
	return nil
}

// note appends an event about a receipt, which needs no commit of its own: when it is
// lost, the receipt goes out once more. That a newer generation has made it pointless
// is no error.
func (c *Coordinator) note(ctx context.Context, event journal.Event) error {
	_, err := c.journal.AppendLater(ctx, event)
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		c.log.Debug("late news of a receipt", "job", event.Job(), "reason", illegal.Why)
		return nil
	}
	return err
}
