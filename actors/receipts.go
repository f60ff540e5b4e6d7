package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// lapse gives up on receipts that are owed for too long: they stay in the journal,
// and go out when the Sentinel asks. One that had no connection to go out on is not
// given up.
func (c *Coordinator) lapse(ctx context.Context) error {
	if c.config.ReceiptTimeout == 0 {
		return nil
	}
	for job := range c.journal.State().Owed() {
		since := job.ConcludedAt
		if since.IsZero() { // written by an older worker
			since = c.began
		}
		age := time.Since(since)
		if age < c.config.ReceiptTimeout || job.SentOn == 0 || !c.home(job).isUp(job.SentOn) {
			continue
		}
		reason := fmt.Sprintf("owed for %s, and no evidence that the Sentinel took it", age.Round(time.Second))
		if err := c.note(ctx, journal.ReceiptUndelivered{JobID: job.ID, Generation: job.Generation, Reason: reason}); err != nil {
			return err
		}
		c.log.Warn("receipt undelivered: it is kept, and sent again when the Sentinel asks for the job", "job", job.ID, "reason", reason)
	}
	return nil
}
