package journal

import (
	"context"
	"errors"
	"time"
)

// Retention says how much history is kept. Jobs that are not concluded and confirmed
// always stay, and so does a receipt that was not delivered.
type Retention struct {
	// For is how long a job stays after its receipt was confirmed; 0 is for ever.
	For time.Duration
	// Bytes is the size of the file above which the oldest jobs go; 0 is no limit.
	Bytes int64
}

// maxForgotten is the most jobs that one JobsForgotten names.
const maxForgotten = 200_000

// Expired lists the jobs that should be forgotten now, the oldest first; none while
// it is not worth a compaction. Jobs go in bunches: those above their time when the
// first of them is a thirtieth above it, and for their size when the file is above
// the limit, until a quarter of the limit is free again.
//
// It reads the log from its beginning, as far as what is found may go.
func (j *Journal) Expired(ctx context.Context, keep Retention) ([]uint64, error) {
	now, state := j.now(), j.State()
	var excess int64 // bytes that have to go
	if size := j.store.size(); keep.Bytes > 0 && size > keep.Bytes {
		excess = size - keep.Bytes/4*3
	}
	var jobs []uint64
	overdue := excess > 0
	bytes := map[uint64]int64{} // of the jobs met
	err := j.store.records(1, func(r Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		age := now.Sub(r.Time)
		old := keep.For > 0 && age > keep.For
		if !old && excess <= 0 || len(jobs) == maxForgotten {
			return errFarEnough
		}
		if r.Job == 0 {
			return nil
		}
		bytes[r.Job] += int64(len(r.Raw))
		confirmed, is := r.Event.(ReceiptConfirmed)
		job, known := state.Job(r.Job)
		if !is || !known || job.Phase != Confirmed || job.Generation != confirmed.Generation {
			return nil
		}
		jobs = append(jobs, r.Job)
		excess -= bytes[r.Job]
		overdue = overdue || old && age > keep.For+keep.For/30
		return nil
	})
	if err != nil && !errors.Is(err, errFarEnough) {
		return nil, err
	}
	if !overdue {
		return nil, nil
	}
	return jobs, nil
}

// errFarEnough ends a reading of the log.
var errFarEnough = errors.New("far enough")
