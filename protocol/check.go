package protocol

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// What each payload must hold beyond its JSON types.

func (p Identify) check() *fault {
	for i, name := range p.Capabilities {
		if f := isText(fmt.Sprintf("capabilities[%d]", i), name); f != nil {
			return f
		}
	}
	return isText("worker_id", p.WorkerID)
}

func (p Dispatch) check() *fault {
	for i, sink := range p.Sinks {
		at := fmt.Sprintf("sinks[%d].", i)
		if f := firstFault(
			isNamed(at+"topic", sink.Topic),
			isNamed(at+"uri", sink.URI),
			isText(at+"mode", sink.Mode),
			isOpaque(at+"schema_def", sink.SchemaDef, 3),
		); f != nil {
			return f
		}
	}
	return firstFault(
		isNamed("plugin_name", p.PluginName),
		isNamed("file_path", p.FilePath),
		isNamed("env_hash", p.EnvHash),
		isText("source_code", p.SourceCode),
		isText("artifact_hash", p.ArtifactHash),
	)
}

func (Abort) check() *fault { return nil }

func (p Heartbeat) check() *fault {
	if p.Asks() || p.Status == Idle || p.Status == Busy {
		return nil
	}
	return faultf("status", "is %s, it must be IDLE or BUSY", quoted(string(p.Status)))
}

func (p Conclude) check() *fault {
	if p.Status != Success && p.Status != Failed {
		return faultf("status", "is %s, it must be SUCCESS or FAILED: with any other the Sentinel leaves the job RUNNING for ever", quoted(string(p.Status)))
	}
	for name := range p.Metrics {
		if f := isText("metrics", name); f != nil {
			return f
		}
	}
	for i, artifact := range p.Artifacts {
		at := fmt.Sprintf("artifacts[%d]", i)
		for name, value := range artifact {
			if f := firstFault(isText(at, name), isText(at+"["+quoted(name)+"]", value)); f != nil {
				return f
			}
		}
		if f := firstFault(isNamed(at+".topic", artifact["topic"]), isNamed(at+".uri", artifact["uri"])); f != nil {
			return f
		}
	}
	return nil
}

func (Error) check() *fault { return nil }

func (Reload) check() *fault { return nil }

func (p PrepareEnv) check() *fault {
	return firstFault(
		isNamed("env_hash", p.EnvHash),
		isText("lockfile_content", p.LockfileContent),
		isText("python_version", p.PythonVersion),
	)
}

func (p EnvReady) check() *fault {
	return firstFault(
		isNamed("env_hash", p.EnvHash),
		isText("interpreter_path", p.InterpreterPath),
	)
}

func (p Deploy) check() *fault {
	return firstFault(
		isNamed("plugin_name", p.PluginName),
		isNamed("env_hash", p.EnvHash),
		isText("version", p.Version),
		isText("source_code", p.SourceCode),
		isText("lockfile_content", p.LockfileContent),
		isText("artifact_hash", p.ArtifactHash),
		isText("signature", p.Signature),
		isText("publisher_name", p.PublisherName),
		isText("publisher_email", p.PublisherEmail),
		isText("azure_oid", p.AzureOID),
		isOpaque("system_requirements", p.SystemRequirements, 1),
	)
}

func isText(field, value string) *fault {
	if !utf8.ValidString(value) {
		return faultf(field, "is not UTF-8 text (%s): JSON cannot carry it unchanged", quoted(value))
	}
	return nil
}

func isNamed(field, value string) *fault {
	if value == "" {
		return faultf(field, "is missing or empty")
	}
	return isText(field, value)
}

// isOpaque checks JSON that only passes through, and that sits depth objects and
// arrays deep in its payload.
func isOpaque(field string, raw json.RawMessage, depth int) *fault {
	if raw == nil {
		return nil
	}
	if f := survey(raw, depth); f != nil {
		return &fault{field: field, reason: f.reason}
	}
	if !json.Valid(raw) {
		return faultf(field, "is not JSON")
	}
	return nil
}

func firstFault(faults ...*fault) *fault {
	for _, f := range faults {
		if f != nil {
			return f
		}
	}
	return nil
}

// quoted shows the start of a text that somebody else wrote.
func quoted(value string) string { return fmt.Sprintf("%q", clip(value)) }

func clip(value string) string {
	const most = 40
	if len(value) <= most {
		return value
	}
	return value[:most] + "…"
}
