package harness

import "encoding/json"

// Message is one thing that the double saw: a message of a worker, or a step of
// its own (open, dispatched, unassignable, violation).
type Message struct {
	Event    string          `json:"event"`
	At       float64         `json:"at"` // Unix time in seconds
	Op       string          `json:"op"` // of a worker's message: IDENTIFY, CONCLUDE, …
	Identity string          `json:"identity"`
	JobID    uint64          `json:"job_id"`
	Payload  json.RawMessage `json:"payload"`
	What     string          `json:"what"` // of a violation
	Endpoint string          `json:"endpoint"`
}

// Receipt is the payload of a CONCLUDE.
type Receipt struct {
	Status       string              `json:"status"`
	Metrics      map[string]int64    `json:"metrics"`
	Artifacts    []map[string]string `json:"artifacts"`
	ErrorMessage string              `json:"error_message"`
}

// Heartbeat is the payload of a HEARTBEAT.
type Heartbeat struct {
	Status       string  `json:"status"`
	CurrentJobID *uint64 `json:"current_job_id"`
}

// EnvReady is the payload of an ENV_READY.
type EnvReady struct {
	EnvHash         string `json:"env_hash"`
	InterpreterPath string `json:"interpreter_path"`
	Cached          bool   `json:"cached"`
}

// ErrorReport is the payload of an ERR.
type ErrorReport struct {
	Message   string `json:"message"`
	Traceback string `json:"traceback"`
}

// Sink is one configured output of a job.
type Sink struct {
	Topic string `json:"topic"`
	URI   string `json:"uri"`
	Mode  string `json:"mode"`
}

// Job is what a test asks the Sentinel to have done. Missing fields get a
// meaning that suits most tests: see [Sentinel.Submit].
type Job struct {
	ID            uint64
	Plugin        string
	Source        string
	File          string
	Sinks         []Sink
	FileVersionID int64
	EnvHash       string
	ArtifactHash  string
}

// Snapshot is the double's state.
type Snapshot struct {
	Jobs       map[uint64]JobState       `json:"jobs"`
	Workers    map[string]WorkerSnapshot `json:"workers"`
	Violations []string                  `json:"violations"`
}

// JobState is a job in the Sentinel's eyes.
type JobState struct {
	Status     string    `json:"status"` // QUEUED, RUNNING, SUCCESS, FAILED
	Worker     string    `json:"worker"`
	Dispatches int       `json:"dispatches"`
	Receipts   []Receipt `json:"receipts"` // since the last submit or retry
	Error      string    `json:"error"`
}

// WorkerSnapshot is a worker in the Sentinel's eyes.
type WorkerSnapshot struct {
	Capabilities []string `json:"capabilities"`
	Busy         bool     `json:"busy"`
	Job          *uint64  `json:"job"`
}
