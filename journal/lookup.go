package journal

import (
	"iter"

	"github.com/benbjohnson/immutable"
)

// Job returns the latest generation of a job id.
func (s State) Job(id uint64) (*Job, bool) {
	if s.jobs == nil {
		return nil, false
	}
	return s.jobs.Get(id)
}

// JobCount is the number of job ids ever accepted and still known.
func (s State) JobCount() int {
	if s.jobs == nil {
		return 0
	}
	return s.jobs.Len()
}

// Jobs iterates over all jobs, in no order.
func (s State) Jobs() iter.Seq[*Job] {
	return func(yield func(*Job) bool) {
		if s.jobs == nil {
			return
		}
		for it := s.jobs.Iterator(); !it.Done(); {
			if _, job, _ := it.Next(); !yield(job) {
				return
			}
		}
	}
}

// Unfinished iterates over the jobs without a result, oldest acceptance first.
func (s State) Unfinished() iter.Seq[*Job] { return s.listed(s.unfinished) }

// Owed iterates over the jobs whose receipt is to be sent until it is confirmed,
// oldest acceptance first.
func (s State) Owed() iter.Seq[*Job] { return s.listed(s.owed) }

// Undelivered iterates over the jobs whose receipt is kept and not sent by itself
// any more, oldest acceptance first.
func (s State) Undelivered() iter.Seq[*Job] { return s.listed(s.undelivered) }

func (s State) listed(order *immutable.SortedMap[uint64, uint64]) iter.Seq[*Job] {
	return func(yield func(*Job) bool) {
		if order == nil {
			return
		}
		for it := order.Iterator(); !it.Done(); {
			_, id, _ := it.Next()
			job, _ := s.jobs.Get(id)
			if !yield(job) {
				return
			}
		}
	}
}

// Environment returns what is known of an env_hash.
func (s State) Environment(hash string) (Environment, bool) {
	if s.environments == nil {
		return Environment{}, false
	}
	return s.environments.Get(hash)
}

// Environments iterates over all known environments, in no order.
func (s State) Environments() iter.Seq[Environment] {
	return func(yield func(Environment) bool) {
		if s.environments == nil {
			return
		}
		for it := s.environments.Iterator(); !it.Done(); {
			_, env, _ := it.Next()
			if !yield(env) {
				return
			}
		}
	}
}

// nowListed puts a job on the list that its phase belongs to.
func (s State) nowListed(job *Job) State {
	switch {
	case job.Unfinished():
		s.unfinished = with(s.unfinished, job)
	case job.Phase == Concluded:
		s.owed = with(s.owed, job)
	case job.Phase == Undelivered:
		s.undelivered = with(s.undelivered, job)
	}
	return s
}

// unlisted takes a job off the list that its phase belongs to.
func (s State) unlisted(job *Job) State {
	switch {
	case job.Unfinished():
		s.unfinished = without(s.unfinished, job)
	case job.Phase == Concluded:
		s.owed = without(s.owed, job)
	case job.Phase == Undelivered:
		s.undelivered = without(s.undelivered, job)
	}
	return s
}

func with(order *immutable.SortedMap[uint64, uint64], job *Job) *immutable.SortedMap[uint64, uint64] {
	if order == nil {
		order = immutable.NewSortedMap[uint64, uint64](nil)
	}
	return order.Set(job.Order, job.ID)
}

func without(order *immutable.SortedMap[uint64, uint64], job *Job) *immutable.SortedMap[uint64, uint64] {
	if order == nil {
		return nil
	}
	return order.Delete(job.Order)
}

// Behind is where the stream of the latest attempt's guest can go on; nil for its
// beginning.
func (j *Job) Behind() *Whole {
	if j.Checkpoint == nil || !j.Agrees || j.Checkpoint.Whole.Batches == 0 {
		return nil
	}
	return &j.Checkpoint.Whole
}
