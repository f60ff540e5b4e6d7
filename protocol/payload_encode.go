package protocol

import (
	"bytes"
	"encoding/json"
	"strings"
)

// encodeWire gives a payload's bytes: compact JSON with every field there, null
// where an optional one is absent, fields in the order of the protocol's table,
// and <, > and & as they are. These are the bytes that Python writes.
func encodeWire(wire any) ([]byte, *fault) {
	if wire == nil {
		return []byte{}, nil
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(wire); err != nil {
		return nil, faultf("", "cannot be written as JSON: %v", err)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

// wireForm gives what the JSON of a payload is made from, nil for a payload that
// is empty. A pointer to a payload struct satisfies Payload too, and is not known:
// it could be nil.
func wireForm(payload Payload) (wire any, known bool) {
	switch p := payload.(type) {
	case Identify:
		return identifyJSON{present(p.Capabilities), optional(p.WorkerID)}, true
	case Dispatch:
		sinks := make([]sinkJSON, 0, len(p.Sinks))
		for _, s := range p.Sinks {
			sinks = append(sinks, sinkJSON(s))
		}
		return dispatchJSON{p.PluginName, p.FilePath, sinks, p.FileVersionID, p.EnvHash, p.SourceCode, optional(p.ArtifactHash)}, true
	case Abort, Reload:
		return nil, true
	case Heartbeat:
		if p.Asks() {
			return struct{}{}, true
		}
		return heartbeatJSON(p), true
	case Conclude:
		metrics := p.Metrics
		if metrics == nil {
			metrics = map[string]int64{}
		}
		return concludeJSON{p.Status, metrics, present(p.Artifacts), optional(readable(p.ErrorMessage))}, true
	case Error:
		return errorJSON{readable(p.Message), optional(readable(p.Traceback))}, true
	case PrepareEnv:
		return prepareEnvJSON{p.EnvHash, p.LockfileContent, optional(p.PythonVersion)}, true
	case EnvReady:
		return envReadyJSON(p), true
	case Deploy:
		return deployJSON{
			p.PluginName, p.Version, p.SourceCode, p.LockfileContent, p.EnvHash, p.ArtifactHash, p.Signature,
			p.PublisherName, optional(p.PublisherEmail), optional(p.AzureOID), p.SystemRequirements,
		}, true
	default:
		return nil, false
	}
}

type identifyJSON struct {
	Capabilities []string `json:"capabilities"`
	WorkerID     *string  `json:"worker_id"`
}

type sinkJSON struct {
	Topic     string          `json:"topic"`
	URI       string          `json:"uri"`
	Mode      string          `json:"mode"`
	SchemaDef json.RawMessage `json:"schema_def"`
}

type dispatchJSON struct {
	PluginName    string     `json:"plugin_name"`
	FilePath      string     `json:"file_path"`
	Sinks         []sinkJSON `json:"sinks"`
	FileVersionID int64      `json:"file_version_id"`
	EnvHash       string     `json:"env_hash"`
	SourceCode    string     `json:"source_code"`
	ArtifactHash  *string    `json:"artifact_hash"`
}

type heartbeatJSON struct {
	Status       WorkerStatus `json:"status"`
	CurrentJobID *uint64      `json:"current_job_id"`
}

type concludeJSON struct {
	Status       JobStatus           `json:"status"`
	Metrics      map[string]int64    `json:"metrics"`
	Artifacts    []map[string]string `json:"artifacts"`
	ErrorMessage *string             `json:"error_message"`
}

type errorJSON struct {
	Message   string  `json:"message"`
	Traceback *string `json:"traceback"`
}

type prepareEnvJSON struct {
	EnvHash         string  `json:"env_hash"`
	LockfileContent string  `json:"lockfile_content"`
	PythonVersion   *string `json:"python_version"`
}

type envReadyJSON struct {
	EnvHash         string `json:"env_hash"`
	InterpreterPath string `json:"interpreter_path"`
	Cached          bool   `json:"cached"`
}

type deployJSON struct {
	PluginName         string          `json:"plugin_name"`
	Version            string          `json:"version"`
	SourceCode         string          `json:"source_code"`
	LockfileContent    string          `json:"lockfile_content"`
	EnvHash            string          `json:"env_hash"`
	ArtifactHash       string          `json:"artifact_hash"`
	Signature          string          `json:"signature"`
	PublisherName      string          `json:"publisher_name"`
	PublisherEmail     *string         `json:"publisher_email"`
	AzureOID           *string         `json:"azure_oid"`
	SystemRequirements json.RawMessage `json:"system_requirements"`
}

// optional is null for an empty string.
func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// present is an empty list for nil: a list that is null is refused by Python.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// readable makes text for people fit for JSON.
func readable(value string) string {
	return strings.ToValidUTF8(value, "\uFFFD")
}
