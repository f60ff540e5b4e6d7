package protocol

// decodePayload reads the payload of an opcode that is known to be valid.
func decodePayload(op OpCode, body []byte) (Payload, *fault) {
	switch op {
	case OpAbort:
		return Abort{}, nil
	case OpReload:
		return Reload{}, nil
	case OpHeartbeat:
		if blank := trimSpace(body); len(blank) == 0 || string(blank) == "null" {
			return Heartbeat{}, nil
		}
	}
	o, f := readObject(body)
	if f != nil {
		return nil, f
	}
	payload := readPayload(op, o)
	if o.fault != nil {
		return nil, o.fault
	}
	if f := payload.check(); f != nil {
		return nil, f
	}
	return payload, nil
}

func readPayload(op OpCode, o *object) Payload {
	switch op {
	case OpIdentify:
		return Identify{
			Capabilities: o.texts("capabilities"),
			WorkerID:     o.optionalText("worker_id"),
		}
	case OpDispatch:
		return Dispatch{
			PluginName:    o.text("plugin_name"),
			FilePath:      o.text("file_path"),
			Sinks:         readSinks(o),
			FileVersionID: o.int64("file_version_id"),
			EnvHash:       o.text("env_hash"),
			SourceCode:    o.text("source_code"),
			ArtifactHash:  o.optionalText("artifact_hash"),
		}
	case OpHeartbeat:
		return Heartbeat{
			Status:       WorkerStatus(o.optionalText("status")),
			CurrentJobID: o.optionalUint64("current_job_id"),
		}
	case OpConclude:
		return Conclude{
			Status:       JobStatus(o.text("status")),
			Metrics:      readMetrics(o),
			Artifacts:    readArtifacts(o),
			ErrorMessage: o.optionalText("error_message"),
		}
	case OpErr:
		return Error{
			Message:   o.text("message"),
			Traceback: o.optionalText("traceback"),
		}
	case OpPrepareEnv:
		return PrepareEnv{
			EnvHash:         o.text("env_hash"),
			LockfileContent: o.text("lockfile_content"),
			PythonVersion:   o.optionalText("python_version"),
		}
	case OpEnvReady:
		return EnvReady{
			EnvHash:         o.text("env_hash"),
			InterpreterPath: o.text("interpreter_path"),
			Cached:          o.boolean("cached"),
		}
	default: // OpDeploy, the last of the valid ones
		return Deploy{
			PluginName:         o.text("plugin_name"),
			Version:            o.text("version"),
			SourceCode:         o.text("source_code"),
			LockfileContent:    o.text("lockfile_content"),
			EnvHash:            o.text("env_hash"),
			ArtifactHash:       o.text("artifact_hash"),
			Signature:          o.text("signature"),
			PublisherName:      o.text("publisher_name"),
			PublisherEmail:     o.optionalText("publisher_email"),
			AzureOID:           o.optionalText("azure_oid"),
			SystemRequirements: o.opaque("system_requirements"),
		}
	}
}

func readSinks(o *object) []Sink {
	sinks := []Sink{}
	o.objects("sinks", func(item *object) {
		sinks = append(sinks, Sink{
			Topic:     item.text("topic"),
			URI:       item.text("uri"),
			Mode:      item.text("mode"),
			SchemaDef: item.opaque("schema_def"),
		})
	})
	return sinks
}

func readMetrics(o *object) map[string]int64 {
	inner := o.object("metrics")
	metrics := make(map[string]int64, len(inner.fields))
	for _, name := range inner.names() {
		metrics[name] = inner.int64(name)
	}
	o.adopt(inner)
	return metrics
}

func readArtifacts(o *object) []map[string]string {
	artifacts := []map[string]string{}
	o.objects("artifacts", func(item *object) {
		artifact := make(map[string]string, len(item.fields))
		for _, name := range item.names() {
			artifact[name] = item.text(name)
		}
		artifacts = append(artifacts, artifact)
	})
	return artifacts
}
