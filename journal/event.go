// Package journal is the worker's memory: an append-only, hash-chained log of
// events in a bbolt file, and the state that folding them gives.
//
// Read event.go for what can happen and state.go for what it means; the other
// files only make the two durable.
package journal

import (
	"encoding/json"
	"time"
)

// Event is one thing that happened. The set is sealed: every event type is in
// this file, in the order of a job's life, and [Apply] knows all of them. Events
// are passed by value. A change to the fields of one is a new version of its stored
// form, see kinds.go.
//
// Events are facts and decisions in the past tense. A decision is appended
// before it is acted on, so that a restarted worker knows what it had in hand.
type Event interface {
	// Job is the job that the event belongs to, 0 when it belongs to none.
	Job() uint64
	// kind is the name under which the event is stored. It never changes.
	kind() Kind
}

// Kind names an event type in the stored record.
type Kind string

// KindOf gives the name under which an event is stored.
func KindOf(event Event) Kind { return event.kind() }

// The worker itself.
type (
	// WorkerStarted: a worker process opened the journal and took it over; attempts
	// that ran under the process before are its to interrupt or to take up.
	WorkerStarted struct {
		WorkerID string `json:"worker_id"`
		Version  string `json:"version"`
		PID      int    `json:"pid"`
	}

	// WorkerStopped: the worker closed the journal in good order.
	WorkerStopped struct {
		Reason string `json:"reason"`
	}

	// LanesOpened: the worker is about to connect on so many lanes; the Sentinel will
	// know each of them, and may give it jobs, for as long as it runs.
	LanesOpened struct {
		Lanes uint32 `json:"lanes"`
	}

	// LanesForgotten: the operator says that the Sentinel knows only so many lanes any
	// more, since it was started anew.
	LanesForgotten struct {
		Lanes uint32 `json:"lanes"`
	}
)

// The journal itself.
type (
	// JobsForgotten: what happened to these jobs is too old, or too much, to be kept;
	// their records are taken out of the file, and a later DISPATCH under one of these
	// ids is a new job.
	JobsForgotten struct {
		Jobs []uint64 `json:"jobs"`
	}

	// JournalRepaired: the end of the log was damaged and set aside; the jobs named
	// had records there, or nobody knows whether they had.
	JournalRepaired struct {
		SetAside string   `json:"set_aside"` // name of the damaged file
		Lost     uint64   `json:"lost"`      // records known to be missing
		Jobs     []uint64 `json:"jobs,omitempty"`
	}
)

// Environments.
type (
	// EnvironmentRequested: the Sentinel asked for an environment; its lockfile
	// is kept, so that it can be built again after a crash or an eviction.
	EnvironmentRequested struct {
		EnvHash       string `json:"env_hash"`
		Lockfile      Digest `json:"lockfile"`
		PythonVersion string `json:"python_version,omitempty"`
	}

	// EnvironmentReady: the environment is complete on disk and its locked
	// packages were imported from it.
	EnvironmentReady struct {
		EnvHash     string `json:"env_hash"`
		Interpreter string `json:"interpreter"`
		Cached      bool   `json:"cached"`
	}

	// EnvironmentFailed: the build ended without an environment.
	EnvironmentFailed struct {
		EnvHash string `json:"env_hash"`
		Reason  string `json:"reason"`
	}

	// EnvironmentEvicted: the environment is to be removed from disk to make room.
	EnvironmentEvicted struct {
		EnvHash string `json:"env_hash"`
	}
)

// A job's life.
type (
	// JobAccepted: a DISPATCH was taken on. Generation 1 is the first under this
	// job id; a higher one takes the place of the generation before it.
	JobAccepted struct {
		JobID      uint64  `json:"job_id"`
		Generation uint32  `json:"generation"`
		Spec       JobSpec `json:"spec"`
		// Origin says why a new generation began.
		Origin Origin `json:"origin"`
		// Lane is the lane that brought it, counted from 0.
		Lane uint32 `json:"lane,omitempty"`
	}

	// AttemptStarted: the job is about to be run in a guest process.
	AttemptStarted struct {
		Attempt
		Interpreter string `json:"interpreter"`
	}

	// GuestStarted: the guest process of the attempt exists.
	GuestStarted struct {
		Attempt
		Guest Guest `json:"guest"`
	}

	// GuestReattached: the worker process died under the attempt, its guest did not, and
	// the stream goes on behind these batches, which are durable.
	GuestReattached struct {
		Attempt
		Batches uint64 `json:"batches"`
	}

	// SinkChosen: the plugin published to a topic that has no sink and named one of
	// its own; rows are about to be staged there.
	SinkChosen struct {
		Attempt
		Sink SinkSpec `json:"sink"`
	}

	// OutputCheckpointed: a part of the rows is durable in staging; the next attempt
	// goes on behind it if the plugin gives the same batches again.
	OutputCheckpointed struct {
		Attempt
		Checkpoint
	}

	// OutputResumed: the plugin gave the same batches again; the attempt goes on
	// behind the rows that an earlier one made durable.
	OutputResumed struct {
		Attempt
		Batches uint64 `json:"batches"`
	}

	// OutputSetAside: what was durable in staging cannot be gone on with; it is out
	// of the way, and the job starts over.
	OutputSetAside struct {
		Attempt
		Reason string `json:"reason"`
	}

	// AttemptInterrupted: the attempt ended through no fault of the plugin (the
	// worker stopped or crashed); the job waits for its next attempt.
	AttemptInterrupted struct {
		Attempt
		Reason string `json:"reason"`
		// Crashed is set when the worker process died under the attempt.
		Crashed bool `json:"crashed,omitempty"`
	}

	// OutputSealed: all rows of the attempt are durable in staging; from here the
	// job can only go forward, and a restart publishes instead of running again.
	OutputSealed struct {
		Attempt
		Outputs []Output         `json:"outputs"`
		Metrics map[string]int64 `json:"metrics"`
	}

	// AbortRequested: the Sentinel wants the job stopped; it will conclude FAILED.
	AbortRequested struct {
		JobID      uint64 `json:"job_id"`
		Generation uint32 `json:"generation"`
	}

	// JobConcluded: the job has its result, and its receipt is owed to the Sentinel.
	JobConcluded struct {
		JobID      uint64    `json:"job_id"`
		Generation uint32    `json:"generation"`
		Receipt    Receipt   `json:"receipt"`
		At         time.Time `json:"at,omitzero"` // from version 2 on
	}

	// ReceiptSent: the receipt was written to a connection (they count from 1);
	// whether the Sentinel took it is not known.
	ReceiptSent struct {
		JobID      uint64 `json:"job_id"`
		Generation uint32 `json:"generation"`
		Connection uint64 `json:"connection"`
	}

	// ReceiptConfirmed: there is evidence that the Sentinel took the receipt.
	ReceiptConfirmed struct {
		JobID      uint64 `json:"job_id"`
		Generation uint32 `json:"generation"`
		Evidence   string `json:"evidence"`
	}

	// ReceiptUndelivered: the receipt was owed for so long without any evidence that
	// it is not sent by itself any more; it is kept, and sent again when asked for.
	ReceiptUndelivered struct {
		JobID      uint64 `json:"job_id"`
		Generation uint32 `json:"generation"`
		Reason     string `json:"reason"`
	}
)

// JobSpec is what a DISPATCH asks for. The plugin's source is kept as a blob.
type JobSpec struct {
	Plugin        string     `json:"plugin"`
	FilePath      string     `json:"file_path"`
	FileVersionID int64      `json:"file_version_id"`
	EnvHash       string     `json:"env_hash"`
	ArtifactHash  string     `json:"artifact_hash,omitempty"`
	Source        Digest     `json:"source"`
	Sinks         []SinkSpec `json:"sinks"`
	// Refused says why the job can only fail: its DISPATCH could not be read.
	Refused string `json:"refused,omitempty"`
}

// SinkSpec is one output of a job, as the Sentinel configured it.
type SinkSpec struct {
	Topic  string          `json:"topic"`
	URI    string          `json:"uri"`
	Mode   string          `json:"mode"`
	Schema json.RawMessage `json:"schema_def,omitempty"` // kept for audit; nothing reads it yet
}

// Origin is why a generation of a job began.
type Origin string

const (
	OriginNew     Origin = "new"     // first dispatch under this job id
	OriginRetry   Origin = "retry"   // the same job, dispatched again after its receipt was taken
	OriginChanged Origin = "changed" // the same job id with other content
)

// Attempt names one run of one generation of a job. Attempts count from 1.
type Attempt struct {
	JobID      uint64 `json:"job_id"`
	Generation uint32 `json:"generation"`
	Attempt    uint32 `json:"attempt"`
}

// Guest is a process, told apart from a later one with the same pid by its
// start time (in the unit of the operating system; only compared, never shown).
type Guest struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"`
	// Marker is the value of the environment variable CASPARIAN_GUEST, which every
	// process of the guest's tree inherits.
	Marker string `json:"marker,omitempty"`
	// Address is where the guest looks for the next worker when this one dies, and Token
	// the SHA-256 of what it must show. They are empty when it dies, too.
	Address string `json:"address,omitempty"`
	Token   string `json:"token,omitempty"`
	// StartedAt is when the attempt's time began to count.
	StartedAt time.Time `json:"started_at,omitzero"`
}

// Output is one sealed output of an attempt. Token is the sink's own note of
// what is staged; an empty Token means that the sink got no rows and has no file.
type Output struct {
	Sink  SinkSpec        `json:"sink"`
	Token json.RawMessage `json:"token,omitempty"`
	Rows  int64           `json:"rows"`
	Bytes int64           `json:"bytes"`
}

// Checkpoint is how far an attempt's output is durable.
type Checkpoint struct {
	// Batches counts the plugin's batches, from the first on, that hold all durable
	// rows; of the last ones some outputs may lack rows.
	Batches uint64 `json:"batches"`
	// Digest is that of these batches, of their topics and values.
	Digest string `json:"digest"`
	// Outputs has each sink with durable rows. Its Token is what the sink goes on from.
	Outputs []Output `json:"outputs"`
	// Whole is the last batch whose rows are durable in every output, with all before
	// it: from there on a guest that outlives the worker can give its batches again.
	Whole Whole `json:"whole,omitzero"`
}

// Whole is how far all outputs of an attempt are durable together; zero: not at all.
type Whole struct {
	Batches uint64 `json:"batches"`
	Digest  string `json:"digest"` // of these batches
	Rows    int64  `json:"rows"`   // of these batches
	// Ahead counts, for each of the checkpoint's Outputs, the durable rows of later batches.
	Ahead []int64 `json:"ahead,omitempty"`
}

// Artifact is one published output.
type Artifact struct {
	Topic string `json:"topic"`
	URI   string `json:"uri"`
}

// Status is a job's result. The Sentinel understands these two and no others.
type Status string

const (
	Success Status = "SUCCESS"
	Failed  Status = "FAILED"
)

// Receipt is what the Sentinel is told about a finished job.
type Receipt struct {
	Status    Status           `json:"status"`
	Metrics   map[string]int64 `json:"metrics"`
	Artifacts []Artifact       `json:"artifacts"`
	Error     string           `json:"error,omitempty"`
}

const (
	kindWorkerStarted        Kind = "worker-started"
	kindWorkerStopped        Kind = "worker-stopped"
	kindLanesOpened          Kind = "lanes-opened"
	kindLanesForgotten       Kind = "lanes-forgotten"
	kindJobsForgotten        Kind = "jobs-forgotten"
	kindJournalRepaired      Kind = "journal-repaired"
	kindEnvironmentRequested Kind = "environment-requested"
	kindEnvironmentReady     Kind = "environment-ready"
	kindEnvironmentFailed    Kind = "environment-failed"
	kindEnvironmentEvicted   Kind = "environment-evicted"
	kindJobAccepted          Kind = "job-accepted"
	kindAttemptStarted       Kind = "attempt-started"
	kindGuestStarted         Kind = "guest-started"
	kindGuestReattached      Kind = "guest-reattached"
	kindSinkChosen           Kind = "sink-chosen"
	kindOutputCheckpointed   Kind = "output-checkpointed"
	kindOutputResumed        Kind = "output-resumed"
	kindOutputSetAside       Kind = "output-set-aside"
	kindAttemptInterrupted   Kind = "attempt-interrupted"
	kindOutputSealed         Kind = "output-sealed"
	kindAbortRequested       Kind = "abort-requested"
	kindJobConcluded         Kind = "job-concluded"
	kindReceiptSent          Kind = "receipt-sent"
	kindReceiptConfirmed     Kind = "receipt-confirmed"
	kindReceiptUndelivered   Kind = "receipt-undelivered"
)

func (WorkerStarted) kind() Kind        { return kindWorkerStarted }
func (WorkerStopped) kind() Kind        { return kindWorkerStopped }
func (LanesOpened) kind() Kind          { return kindLanesOpened }
func (LanesForgotten) kind() Kind       { return kindLanesForgotten }
func (JobsForgotten) kind() Kind        { return kindJobsForgotten }
func (JournalRepaired) kind() Kind      { return kindJournalRepaired }
func (EnvironmentRequested) kind() Kind { return kindEnvironmentRequested }
func (EnvironmentReady) kind() Kind     { return kindEnvironmentReady }
func (EnvironmentFailed) kind() Kind    { return kindEnvironmentFailed }
func (EnvironmentEvicted) kind() Kind   { return kindEnvironmentEvicted }
func (JobAccepted) kind() Kind          { return kindJobAccepted }
func (AttemptStarted) kind() Kind       { return kindAttemptStarted }
func (GuestStarted) kind() Kind         { return kindGuestStarted }
func (GuestReattached) kind() Kind      { return kindGuestReattached }
func (SinkChosen) kind() Kind           { return kindSinkChosen }
func (OutputCheckpointed) kind() Kind   { return kindOutputCheckpointed }
func (OutputResumed) kind() Kind        { return kindOutputResumed }
func (OutputSetAside) kind() Kind       { return kindOutputSetAside }
func (AttemptInterrupted) kind() Kind   { return kindAttemptInterrupted }
func (OutputSealed) kind() Kind         { return kindOutputSealed }
func (AbortRequested) kind() Kind       { return kindAbortRequested }
func (JobConcluded) kind() Kind         { return kindJobConcluded }
func (ReceiptSent) kind() Kind          { return kindReceiptSent }
func (ReceiptConfirmed) kind() Kind     { return kindReceiptConfirmed }
func (ReceiptUndelivered) kind() Kind   { return kindReceiptUndelivered }

func (WorkerStarted) Job() uint64        { return 0 }
func (WorkerStopped) Job() uint64        { return 0 }
func (LanesOpened) Job() uint64          { return 0 }
func (LanesForgotten) Job() uint64       { return 0 }
func (JobsForgotten) Job() uint64        { return 0 }
func (JournalRepaired) Job() uint64      { return 0 }
func (EnvironmentRequested) Job() uint64 { return 0 }
func (EnvironmentReady) Job() uint64     { return 0 }
func (EnvironmentFailed) Job() uint64    { return 0 }
func (EnvironmentEvicted) Job() uint64   { return 0 }
func (e JobAccepted) Job() uint64        { return e.JobID }
func (a Attempt) Job() uint64            { return a.JobID }
func (e AbortRequested) Job() uint64     { return e.JobID }
func (e JobConcluded) Job() uint64       { return e.JobID }
func (e ReceiptSent) Job() uint64        { return e.JobID }
func (e ReceiptConfirmed) Job() uint64   { return e.JobID }
func (e ReceiptUndelivered) Job() uint64 { return e.JobID }
