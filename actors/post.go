package actors

import (
	"context"
	"errors"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// repliesLimit bounds the answers about environments that wait for their turn.
const repliesLimit = 64

// show tells the source what the worker does, for its heartbeat: the oldest
// running job, as the Sentinel can show only one.
func (c *Coordinator) show() {
	activity := Activity{}
	var oldest uint64
	for job := range c.journal.State().Unfinished() {
		if job.Phase == journal.Running || job.Phase == journal.Sealed {
			oldest = job.ID
			break
		}
	}
	if oldest == 0 {
		for id := range c.running {
			oldest = id
			break
		}
	}
	activity.Busy, activity.CurrentJob = oldest != 0, oldest
	c.source.Show(activity)
}

// post hands the source the next letter, if it has none in hand.
func (c *Coordinator) post() {
	if c.exchange == nil || c.inPost || time.Now().Before(c.postAt) {
		return
	}
	letter, ok := c.nextLetter()
	if !ok {
		return
	}
	letter.Connection = c.exchange.connection
	c.inPost = true
	c.source.Outbox() <- letter // has room: inPost was false
}

// nextLetter picks what goes out next: receipts first, in the order of their jobs.
func (c *Coordinator) nextLetter() (Letter, bool) {
	if job := c.nextReceipt(); job != nil {
		return Letter{JobID: job.ID, Generation: job.Generation, Receipt: job.Receipt}, true
	}
	for i, letter := range c.replies {
		// An ERR makes the Sentinel take the worker for idle (observed): it waits
		// until no job is in hand.
		if letter.Trouble != nil && c.inHand() {
			continue
		}
		c.replies = append(c.replies[:i:i], c.replies[i+1:]...)
		return letter, true
	}
	return Letter{}, false
}

// nextReceipt is the oldest job whose receipt has not gone out on this connection.
func (c *Coordinator) nextReceipt() *journal.Job {
	if c.exchange == nil {
		return nil
	}
	for job := range c.journal.State().Owed() {
		if job.SentOn != c.exchange.connection || c.repeats[job.ID] {
			return job
		}
	}
	return nil
}

// inHand reports whether a job was taken on that has no result yet. Receipts
// always go out before anything else.
func (c *Coordinator) inHand() bool {
	for range c.journal.State().Unfinished() {
		return true
	}
	return false
}

// reply queues the answer to one who asked for an environment on the connection
// that is up. On another one nobody waits for it any more.
func (c *Coordinator) reply(e EnvironmentAsked, answer environmentAnswer) {
	if c.exchange == nil || c.exchange.connection != e.Connection || len(c.replies) >= repliesLimit {
		return
	}
	letter := Letter{JobID: e.JobID}
	if answer.err != nil {
		letter.Trouble = &Trouble{Message: head(answer.err.Error(), messageLimit)}
	} else {
		letter.Ready = &EnvironmentNews{EnvHash: answer.envHash, Interpreter: answer.interpreter, Cached: answer.cached}
	}
	c.replies = append(c.replies, letter)
}

// posted notes that a receipt went out.
func (c *Coordinator) posted(ctx context.Context, e Posted) error {
	if e.Letter.Receipt == nil {
		return nil
	}
	sent := journal.ReceiptSent{JobID: e.Letter.JobID, Generation: e.Letter.Generation, Connection: e.Connection}
	if err := c.note(ctx, sent); err != nil {
		return err
	}
	delete(c.repeats, e.Letter.JobID)
	if c.exchange != nil && c.exchange.connection == e.Connection {
		c.exchange.posted(receipt{job: e.Letter.JobID, generation: e.Letter.Generation})
	}
	c.monitor.delivered(e.Letter.JobID)
	return nil
}

// confirm closes a job whose receipt was taken.
func (c *Coordinator) confirm(ctx context.Context, r receipt, evidence string) error {
	if err := c.note(ctx, journal.ReceiptConfirmed{JobID: r.job, Generation: r.generation, Evidence: evidence}); err != nil {
		return err
	}
	if job, ok := c.journal.State().Job(r.job); ok && job.Phase == journal.Confirmed {
		c.exchange.forget(r.job)
	}
	return nil
}

// note appends an event about a receipt. That a newer generation has made it
// pointless is no error.
func (c *Coordinator) note(ctx context.Context, event journal.Event) error {
	_, err := c.journal.Append(ctx, event)
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		c.log.Debug("late news of a receipt", "job", event.Job(), "reason", illegal.Why)
		return nil
	}
	return err
}
