package protocol

import "encoding/json"

// Payload is what a message says. The set is sealed: one struct for each
// opcode, used as a value. An empty string in an optional field means that the
// field is absent, and is sent as null.
type Payload interface {
	// Op is the opcode under which the payload travels.
	Op() OpCode
	// check finds what the receiver could not act on. Encode and Decode both ask
	// it, so that whatever can be read can be sent and the other way round.
	check() *fault
}

// WorkerStatus is what a worker says of itself in a HEARTBEAT.
type WorkerStatus string

const (
	Idle WorkerStatus = "IDLE"
	Busy WorkerStatus = "BUSY"
)

// JobStatus is a job's result. No other value ends a job: the Sentinel frees the
// worker and leaves the job RUNNING (observed).
type JobStatus string

const (
	Success JobStatus = "SUCCESS"
	Failed  JobStatus = "FAILED"
)

// Identify presents a worker, once per connection.
type Identify struct {
	// Capabilities are the plugins that the worker can run. The Sentinel matches
	// names literally: "*" matches nothing (observed).
	Capabilities []string
	WorkerID     string // optional
}

// Dispatch hands a job to a worker. It carries no lockfile: the environment must
// have been prepared.
type Dispatch struct {
	PluginName string // not empty
	FilePath   string // the input, not empty
	// Sinks may repeat: a Sentinel appends its configured sinks again each time
	// that it reloads (observed).
	Sinks         []Sink
	FileVersionID int64
	EnvHash       string // not empty: SHA-256 of the lockfile text in hex, or "system"
	SourceCode    string // the plugin's Python text
	ArtifactHash  string // optional: SHA-256 of source text + lockfile text in hex
}

// Sink is one destination of a job's rows.
type Sink struct {
	Topic string // not empty: a receipt's artifact needs it
	URI   string // not empty
	Mode  string // any text; what is understood is the sink's own business
	// SchemaDef is opaque JSON in compact form, nil when absent.
	SchemaDef json.RawMessage
}

// Abort stops a job. Its payload is empty; what one may hold is ignored.
type Abort struct{}

// Heartbeat says that a worker is alive. The Sentinel never answers one
// (observed); newer ones send an empty one to ask for it.
type Heartbeat struct {
	Status       WorkerStatus
	CurrentJobID *uint64 // optional
}

// Asks reports whether this is a Sentinel asking for a heartbeat, rather than a
// worker giving one: an empty payload, `{}`, `null`, or nulls in all fields.
func (h Heartbeat) Asks() bool { return h.Status == "" && h.CurrentJobID == nil }

// Conclude is the receipt of a job. A receipt that is short of any field but
// ErrorMessage, or has a metric that is no integer, is dropped by the Sentinel,
// and the job stays RUNNING for ever (observed).
type Conclude struct {
	Status       JobStatus
	Metrics      map[string]int64    // nil is sent as {}
	Artifacts    []map[string]string // each with `topic` and `uri`; nil is sent as []
	ErrorMessage string              // optional, any bytes
}

// Error is the payload of an ERR. The Sentinel takes its sender for idle, even
// for job 0 (observed): never send one for job 0 while a job runs.
type Error struct {
	Message   string // any bytes
	Traceback string // optional, any bytes
}

// Reload says that plugins or configuration changed. It has no payload; what one
// may hold is ignored.
type Reload struct{}

// PrepareEnv asks for an environment.
type PrepareEnv struct {
	EnvHash         string // not empty: SHA-256 of LockfileContent in hex
	LockfileContent string // the text of a uv.lock
	PythonVersion   string // optional
}

// EnvReady says that an environment can be used.
type EnvReady struct {
	EnvHash         string // not empty
	InterpreterPath string
	Cached          bool // it was there already
}

// Deploy publishes a plugin. It travels from a client to the Sentinel; a worker
// never gets one.
type Deploy struct {
	PluginName      string // not empty
	Version         string
	SourceCode      string
	LockfileContent string
	EnvHash         string // not empty
	ArtifactHash    string
	Signature       string
	PublisherName   string
	PublisherEmail  string // optional
	AzureOID        string // optional
	// SystemRequirements is opaque JSON in compact form, nil when absent.
	SystemRequirements json.RawMessage
}

func (Identify) Op() OpCode   { return OpIdentify }
func (Dispatch) Op() OpCode   { return OpDispatch }
func (Abort) Op() OpCode      { return OpAbort }
func (Heartbeat) Op() OpCode  { return OpHeartbeat }
func (Conclude) Op() OpCode   { return OpConclude }
func (Error) Op() OpCode      { return OpErr }
func (Reload) Op() OpCode     { return OpReload }
func (PrepareEnv) Op() OpCode { return OpPrepareEnv }
func (EnvReady) Op() OpCode   { return OpEnvReady }
func (Deploy) Op() OpCode     { return OpDeploy }
