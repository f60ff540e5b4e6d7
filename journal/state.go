package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/benbjohnson/immutable"
)

// Phase is where a job stands.
//
//	            ┌────────── AttemptInterrupted ─────────┐
//	            ▼                                       │
//	JobAccepted → queued → AttemptStarted → running → OutputSealed → sealed
//	                 │                         │                        │
//	                 └──────────── JobConcluded (receipt owed) ◄────────┘
//	                                     │
//	                              ReceiptConfirmed → confirmed → JobsForgotten
//
// A receipt that is owed for too long is undelivered until it is confirmed after
// all. A JobAccepted with the next generation starts again from any phase.
type Phase string

const (
	Queued    Phase = "queued"    // accepted, waiting for its turn or its environment
	Running   Phase = "running"   // a guest runs it, its rows go to staging
	Sealed    Phase = "sealed"    // all rows are durable in staging, publishing has begun
	Concluded Phase = "concluded" // it has its result, the receipt is owed to the Sentinel
	Confirmed Phase = "confirmed" // the Sentinel took the receipt
	// Undelivered: the receipt is kept, and not sent by itself any more.
	Undelivered Phase = "undelivered"
)

// Job is what the journal knows of one job id: its latest generation. A *Job
// that a State gave out never changes.
type Job struct {
	ID         uint64 `json:",omitzero"`
	Generation uint32 `json:",omitzero"`
	Phase      Phase  `json:",omitzero"`
	// Order is the number of the event that accepted it; queued jobs run in this
	// order.
	Order uint64 `json:",omitzero"`
	// Lane is the lane that brought the job and is to take its receipt back. It may be
	// one that was forgotten since.
	Lane uint32 `json:",omitzero"`
	// Spec is what was asked for. Once the job is confirmed only Spec.Plugin is kept.
	Spec JobSpec `json:",omitzero"`
	// Content tells one dispatch from another under the same job id.
	Content Digest `json:",omitzero"`
	// Attempts counts the attempts begun, Crashes those under which the worker died.
	Attempts uint32 `json:",omitzero"`
	Crashes  uint32 `json:",omitzero"`
	// Guest is the process of the latest attempt. It outlives the attempt here,
	// so that a restarted worker can find a process left over.
	Guest *Guest `json:",omitzero"`
	// Aborting is set between AbortRequested and the conclusion.
	Aborting bool `json:",omitzero"`
	// Chosen holds the sinks that the plugin named itself.
	Chosen []SinkSpec `json:",omitzero"`
	// Checkpoint is how far the output is durable, between OutputCheckpointed and
	// the seal; nil when the next attempt begins with nothing.
	Checkpoint *Checkpoint `json:",omitzero"`
	// Agrees is set once the latest attempt's guest gave the batches of the checkpoint,
	// too, and so can go on behind them.
	Agrees bool `json:",omitzero"`
	// Reattached counts how often a guest of the job went on with another worker process.
	Reattached uint32 `json:",omitzero"`
	// Outputs is what was sealed.
	Outputs []Output `json:",omitzero"`
	// Metrics are the receipt's figures, known from OutputSealed on.
	Metrics map[string]int64 `json:",omitzero"`
	// Receipt is the result, known from JobConcluded on. Once the job is confirmed
	// only Status and Artifacts are kept.
	Receipt *Receipt `json:",omitzero"`
	// ConcludedAt is when the job had its result; zero where an older worker wrote it.
	ConcludedAt time.Time `json:",omitzero"`
	// SentOn is the connection the receipt was last written to, 0 if none yet.
	SentOn uint64 `json:",omitzero"`
	// Stale holds the sinks of generations that were replaced before they had a
	// result, and may have left something in staging.
	Stale []SinkSpec `json:",omitzero"`
	// Earlier holds what earlier generations of the same content published, for
	// the new generation to replace.
	Earlier []Artifact `json:",omitzero"`
}

// Attempt names the job's latest attempt.
func (j *Job) Attempt() Attempt {
	return Attempt{JobID: j.ID, Generation: j.Generation, Attempt: j.Attempts}
}

// Unfinished reports whether the job has no result yet.
func (j *Job) Unfinished() bool {
	return j.Phase != Concluded && j.Phase != Confirmed && j.Phase != Undelivered
}

// EnvironmentPhase is where an environment stands.
type EnvironmentPhase string

const (
	EnvironmentWanted  EnvironmentPhase = "wanted" // requested, not built yet
	EnvironmentUsable  EnvironmentPhase = "ready"
	EnvironmentBroken  EnvironmentPhase = "failed"
	EnvironmentRemoved EnvironmentPhase = "evicted"
)

// Environment is what the journal knows of one env_hash.
type Environment struct {
	Hash          string
	Phase         EnvironmentPhase
	Lockfile      Digest // empty for an environment that this worker found on disk
	PythonVersion string
	Interpreter   string
	Reason        string // why it is failed
}

// State is the fold of all events: persistent (in the sense of the data
// structure), so that a State once taken never changes, and any goroutine may
// read it. The zero State is the state of an empty journal.
type State struct {
	// Events is the number of the last event: it counts them all, those forgotten
	// included.
	Events uint64
	// WorkerID is the identity that the worker last started under.
	WorkerID string
	// Starts counts worker processes.
	Starts uint64
	// Stopped is set when the last worker process ended in good order.
	Stopped bool
	// Lanes is how many lanes the Sentinel may know; 0 is the one that every worker has.
	Lanes uint32
	// Forgotten is the number of the last JobsForgotten or JournalRepaired, 0 when
	// there was none: in front of it records may be missing.
	Forgotten uint64

	jobs         *immutable.Map[uint64, *Job]
	unfinished   *immutable.SortedMap[uint64, uint64] // Order → job id, of jobs without a result
	owed         *immutable.SortedMap[uint64, uint64] // Order → job id, of jobs whose receipt is to be sent
	undelivered  *immutable.SortedMap[uint64, uint64] // Order → job id, of jobs whose receipt is not sent any more
	environments *immutable.Map[string, Environment]
}

// TransitionError says that an event is not legal in the state it met. Nothing
// was written. A late event of an attempt that is over ends here, too.
type TransitionError struct {
	Event Event
	Why   string
}

func (e *TransitionError) Error() string {
	if e.Event == nil {
		return "no event is not legal: " + e.Why
	}
	if id := e.Event.Job(); id != 0 {
		return fmt.Sprintf("%s of job %d is not legal: %s", e.Event.kind(), id, e.Why)
	}
	return fmt.Sprintf("%s is not legal: %s", e.Event.kind(), e.Why)
}

// Apply is the one place that decides what an event means. It is pure: no
// clock, no I/O, and s is left as it was. An illegal event gives a
// *TransitionError and the state unchanged.
func Apply(s State, event Event) (State, error) {
	next, why := s.apply(event)
	if why != "" {
		return s, &TransitionError{Event: event, Why: why}
	}
	next.Events++
	return next, nil
}

func (s State) apply(event Event) (State, string) {
	switch e := event.(type) {
	case WorkerStarted:
		s.WorkerID, s.Stopped = e.WorkerID, false
		s.Starts++
		return s, ""
	case WorkerStopped:
		s.Stopped = true
		return s, ""

	case LanesOpened:
		if e.Lanes <= max(s.Lanes, 1) {
			return s, fmt.Sprintf("%d lanes are open already", max(s.Lanes, 1))
		}
		s.Lanes = e.Lanes
		return s, ""
	case LanesForgotten:
		if e.Lanes == 0 || e.Lanes >= s.Lanes {
			return s, fmt.Sprintf("of %d lanes, %d cannot be what is left", max(s.Lanes, 1), e.Lanes)
		}
		s.Lanes = e.Lanes
		return s, ""

	case JobsForgotten:
		return s.forget(e.Jobs)
	case JournalRepaired:
		s.Forgotten = s.Events + 1 // the event that said so may be among the lost
		return s, ""

	case EnvironmentRequested:
		return s.withEnvironment(Environment{Hash: e.EnvHash, Phase: EnvironmentWanted,
			Lockfile: e.Lockfile, PythonVersion: e.PythonVersion}), ""
	case EnvironmentReady:
		env, _ := s.Environment(e.EnvHash)
		env.Hash, env.Phase, env.Interpreter, env.Reason = e.EnvHash, EnvironmentUsable, e.Interpreter, ""
		return s.withEnvironment(env), ""
	case EnvironmentFailed:
		env, _ := s.Environment(e.EnvHash)
		env.Hash, env.Phase, env.Interpreter, env.Reason = e.EnvHash, EnvironmentBroken, "", e.Reason
		return s.withEnvironment(env), ""
	case EnvironmentEvicted:
		env, ok := s.Environment(e.EnvHash)
		if !ok {
			return s, "the environment is not known"
		}
		env.Phase, env.Interpreter = EnvironmentRemoved, ""
		return s.withEnvironment(env), ""

	case JobAccepted:
		return s.accept(e)
	case AttemptStarted:
		return s.change(e.JobID, e.Generation, func(j *Job) string {
			if j.Phase != Queued {
				return "the job is " + string(j.Phase)
			}
			if j.Aborting {
				return "the job is being aborted"
			}
			if e.Attempt.Attempt != j.Attempts+1 {
				return fmt.Sprintf("attempt %d cannot follow attempt %d", e.Attempt.Attempt, j.Attempts)
			}
			j.Phase, j.Attempts, j.Guest, j.Agrees = Running, e.Attempt.Attempt, nil, false
			return ""
		})
	case GuestStarted:
		return s.during(e.Attempt, func(j *Job) string {
			j.Guest = &e.Guest
			return ""
		})
	case GuestReattached:
		return s.during(e.Attempt, func(j *Job) string {
			durable := uint64(0)
			if whole := j.Behind(); whole != nil {
				durable = whole.Batches
			}
			switch {
			case j.Guest == nil || j.Guest.Address == "":
				return "no guest of the attempt outlives a worker"
			case j.Aborting:
				return "the job is being aborted"
			case e.Batches != durable:
				return fmt.Sprintf("%d batches of its guest are durable, not %d", durable, e.Batches)
			}
			j.Crashes++
			j.Reattached++
			return ""
		})
	case SinkChosen:
		return s.during(e.Attempt, func(j *Job) string {
			j.Chosen = DistinctSinks(append(slices.Clip(j.Chosen), e.Sink))
			return ""
		})
	case OutputCheckpointed:
		return s.during(e.Attempt, func(j *Job) string {
			if j.Aborting {
				return "the job is being aborted"
			}
			if why := j.Checkpoint.behind(e.Checkpoint); why != "" {
				return why
			}
			j.Checkpoint, j.Agrees = &e.Checkpoint, true
			return ""
		})
	case OutputResumed:
		return s.during(e.Attempt, func(j *Job) string {
			if j.Checkpoint == nil || j.Checkpoint.Batches != e.Batches {
				return fmt.Sprintf("%d batches are not what is durable", e.Batches)
			}
			j.Agrees = true
			return ""
		})
	case OutputSetAside:
		return s.during(e.Attempt, func(j *Job) string {
			if j.Checkpoint == nil {
				return "nothing is durable"
			}
			j.Checkpoint, j.Agrees = nil, false
			return ""
		})
	case AttemptInterrupted:
		return s.during(e.Attempt, func(j *Job) string {
			j.Phase = Queued
			if e.Crashed {
				j.Crashes++
			}
			return ""
		})
	case OutputSealed:
		return s.during(e.Attempt, func(j *Job) string {
			if j.Aborting {
				return "the job is being aborted"
			}
			j.Phase, j.Outputs, j.Metrics, j.Checkpoint, j.Agrees = Sealed, e.Outputs, e.Metrics, nil, false
			return ""
		})
	case AbortRequested:
		return s.change(e.JobID, e.Generation, func(j *Job) string {
			if j.Phase != Queued && j.Phase != Running {
				return "too late, the job is " + string(j.Phase)
			}
			j.Aborting = true
			return ""
		})
	case JobConcluded:
		return s.change(e.JobID, e.Generation, func(j *Job) string {
			switch {
			case !j.Unfinished():
				return "the job is concluded already"
			case e.Receipt.Status == Success && j.Phase != Sealed:
				return "SUCCESS needs sealed output, the job is " + string(j.Phase)
			case e.Receipt.Status != Success && e.Receipt.Status != Failed:
				return fmt.Sprintf("status %q is neither SUCCESS nor FAILED", e.Receipt.Status)
			}
			j.Phase, j.Receipt, j.Aborting, j.SentOn = Concluded, &e.Receipt, false, 0
			j.ConcludedAt, j.Stale, j.Chosen, j.Checkpoint, j.Agrees = e.At, nil, nil, nil, false
			return ""
		})
	case ReceiptSent:
		return s.change(e.JobID, e.Generation, func(j *Job) string {
			if j.Phase != Concluded && j.Phase != Undelivered {
				return "no receipt is owed, the job is " + string(j.Phase)
			}
			if e.Connection == 0 {
				return "connection 0 means none"
			}
			j.SentOn = e.Connection
			return ""
		})
	case ReceiptConfirmed:
		return s.change(e.JobID, e.Generation, func(j *Job) string {
			if j.Phase != Concluded && j.Phase != Undelivered {
				return "no receipt is owed, the job is " + string(j.Phase)
			}
			if j.SentOn == 0 {
				return "the receipt was never sent"
			}
			// What a confirmed job may still be asked for is small: is this dispatch
			// a retry of it, and what did it publish.
			j.Phase = Confirmed
			j.Spec = JobSpec{Plugin: j.Spec.Plugin}
			j.Guest, j.Outputs, j.Metrics = nil, nil, nil
			j.Receipt = &Receipt{Status: j.Receipt.Status, Artifacts: j.Receipt.Artifacts}
			j.ConcludedAt = time.Time{}
			return ""
		})
	case ReceiptUndelivered:
		return s.change(e.JobID, e.Generation, func(j *Job) string {
			if j.Phase != Concluded {
				return "no receipt is owed, the job is " + string(j.Phase)
			}
			j.Phase = Undelivered
			return ""
		})
	}
	return s, fmt.Sprintf("unknown event type %T", event)
}

// accept begins a generation of a job.
func (s State) accept(e JobAccepted) (State, string) {
	job := &Job{
		ID: e.JobID, Generation: e.Generation, Phase: Queued,
		Order: s.Events + 1, Lane: e.Lane, Spec: e.Spec, Content: e.Spec.Content(),
	}
	before, known := s.Job(e.JobID)
	switch {
	case e.JobID == 0:
		return s, "job id 0 means no job"
	case !known && e.Generation != 1:
		return s, fmt.Sprintf("generation %d of a job never seen", e.Generation)
	case !known && e.Origin != OriginNew:
		return s, fmt.Sprintf("a job never seen cannot begin as %q", e.Origin)
	case known && e.Generation != before.Generation+1:
		return s, fmt.Sprintf("generation %d cannot follow generation %d", e.Generation, before.Generation)
	case known && e.Origin != OriginRetry && e.Origin != OriginChanged:
		return s, fmt.Sprintf("a job known already cannot begin as %q", e.Origin)
	case known && (e.Origin == OriginRetry) != (job.Content == before.Content):
		return s, fmt.Sprintf("%q does not tell what the dispatch is: compare its content with the generation before", e.Origin)
	case known:
		job.Guest = before.Guest // may still be there
		if before.Unfinished() && before.Attempts > 0 {
			job.Stale = DistinctSinks(slices.Concat(before.Stale, before.Spec.Sinks, before.Chosen))
		}
		s = s.unlisted(before)
		if e.Origin == OriginRetry {
			job.Earlier = before.published()
		}
	}
	if s.jobs == nil {
		s.jobs = immutable.NewMap[uint64, *Job](nil)
	}
	s.jobs = s.jobs.Set(job.ID, job)
	return s.nowListed(job), ""
}

// forget removes jobs that are over. One that is not there was forgotten before,
// and its records may be gone.
func (s State) forget(jobs []uint64) (State, string) {
	for _, id := range jobs {
		job, known := s.Job(id)
		if !known {
			continue
		}
		if job.Phase != Confirmed {
			return s, fmt.Sprintf("job %d is %s", id, job.Phase)
		}
		s.jobs = s.jobs.Delete(id)
	}
	s.Forgotten = s.Events + 1
	return s, ""
}

// behind says why later cannot follow c: what is durable only grows.
func (c *Checkpoint) behind(later Checkpoint) string {
	if len(later.Outputs) == 0 || later.Batches == 0 {
		return "a checkpoint of nothing"
	}
	if whole := later.Whole; whole.Batches > 0 && (whole.Batches > later.Batches || len(whole.Ahead) != len(later.Outputs)) {
		return "what is whole is no part of it"
	}
	if c == nil {
		return ""
	}
	if later.Batches < c.Batches {
		return fmt.Sprintf("%d batches cannot follow %d", later.Batches, c.Batches)
	}
	for _, was := range c.Outputs {
		if !slices.ContainsFunc(later.Outputs, func(is Output) bool { return is.Sink.Same(was.Sink) && is.Rows >= was.Rows }) {
			return fmt.Sprintf("of topic %s fewer rows are durable than before", was.Sink.Topic)
		}
	}
	return ""
}

// published lists what the job and the generations that it replaced have out.
func (j *Job) published() []Artifact {
	if j.Receipt != nil && j.Receipt.Status == Success {
		return j.Receipt.Artifacts
	}
	return j.Earlier // a generation that failed replaced nothing
}

// during changes a job that is running exactly this attempt.
func (s State) during(a Attempt, change func(*Job) string) (State, string) {
	return s.change(a.JobID, a.Generation, func(j *Job) string {
		if j.Phase != Running {
			return "the job is " + string(j.Phase)
		}
		if a.Attempt != j.Attempts {
			return fmt.Sprintf("attempt %d is over, attempt %d runs", a.Attempt, j.Attempts)
		}
		return change(j)
	})
}

// change replaces a job by a changed copy. It refuses other generations.
func (s State) change(id uint64, generation uint32, change func(*Job) string) (State, string) {
	job, ok := s.Job(id)
	if !ok {
		return s, "the job is not known"
	}
	if generation != job.Generation {
		return s, fmt.Sprintf("generation %d was replaced by generation %d", generation, job.Generation)
	}
	changed := *job
	if why := change(&changed); why != "" {
		return s, why
	}
	s.jobs = s.jobs.Set(id, &changed)
	if job.Phase != changed.Phase {
		s = s.unlisted(job).nowListed(&changed)
	}
	return s, ""
}

func (s State) withEnvironment(env Environment) State {
	if s.environments == nil {
		s.environments = immutable.NewMap[string, Environment](nil)
	}
	s.environments = s.environments.Set(env.Hash, env)
	return s
}
