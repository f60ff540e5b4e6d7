package actors

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Retention keeps the journal from growing for ever.
//
// Owns: what of the history is old enough to go.
// Receives: nothing, it looks every hour.
// Emits: JobsForgotten to the journal, and then has its file compacted.
type Retention struct {
	journal *journal.Journal
	keep    journal.Retention
	log     *slog.Logger
}

// retentionPause is the time between two looks.
const retentionPause = time.Hour

// NewRetention makes the actor.
func NewRetention(j *journal.Journal, keep journal.Retention, log *slog.Logger) *Retention {
	return &Retention{journal: j, keep: keep, log: log}
}

// Run looks at once and then every hour, until ctx ends. An error means that the
// journal cannot be written.
func (r *Retention) Run(ctx context.Context) error {
	tick := time.NewTicker(retentionPause)
	defer tick.Stop()
	for {
		if err := r.tidy(ctx); storageFailure(err) != nil {
			return err
		} else if err != nil && ctx.Err() == nil {
			r.log.Warn("the journal could not be compacted, it stays as it is", "error", err, "again_in", retentionPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tidy forgets what has expired and compacts the file. What a crash left between the
// two is taken up first.
func (r *Retention) tidy(ctx context.Context) error {
	due, err := r.journal.CompactionDue()
	if err != nil {
		return err
	}
	if due {
		if err := r.compact(ctx); err != nil {
			return err
		}
	}
	jobs, err := r.journal.Expired(ctx, r.keep)
	if err != nil || len(jobs) == 0 {
		return err
	}
	_, err = r.journal.Append(ctx, journal.JobsForgotten{Jobs: jobs})
	if illegal := (*journal.TransitionError)(nil); errors.As(err, &illegal) {
		return nil // one of them was dispatched again just now: the next look sees that
	}
	if err != nil {
		return err
	}
	r.log.Info("old jobs are forgotten", "jobs", len(jobs))
	return r.compact(ctx)
}

func (r *Retention) compact(ctx context.Context) error {
	began := time.Now()
	report, err := r.journal.Compact(ctx)
	if err != nil {
		return err
	}
	r.log.Info("journal compacted", "records_dropped", report.Dropped, "bytes_before", report.Before, "bytes_after", report.After,
		"took", time.Since(began).Round(time.Millisecond))
	return nil
}
