//go:build unix

package harness

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// do gives the double a command and waits for its answer.
func (s *Sentinel) do(what string, arguments map[string]any) json.RawMessage {
	s.t.Helper()
	s.mu.Lock()
	s.commands++
	id := s.commands
	s.mu.Unlock()

	command := map[string]any{"do": what, "id": id}
	for key, value := range arguments {
		command[key] = value
	}
	line, err := json.Marshal(command)
	if err != nil {
		s.t.Fatalf("command %s: %v", what, err)
	}
	if _, err := s.stdin.Write(append(line, '\n')); err != nil {
		s.t.Fatalf("tell the Sentinel double to %s: %v", what, err)
	}
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		done, ok := s.answers[id]
		changed, ended := s.changed, s.ended
		s.mu.Unlock()
		switch {
		case ok && done.Error != "":
			s.t.Fatalf("the Sentinel double could not %s", done.Error)
		case ok:
			return done.Result
		case ended:
			s.t.Fatalf("the Sentinel double ended before it answered %s", what)
		}
		select {
		case <-changed:
		case <-deadline.C:
			s.t.Fatalf("the Sentinel double did not answer %s", what)
		}
	}
}

// Submit queues a job. A job without an environment runs in `system`; without
// sinks it has one, topic `output`, at parquet://out/PLUGIN.parquet.
func (s *Sentinel) Submit(job Job) {
	s.t.Helper()
	if job.EnvHash == "" {
		job.EnvHash = "system"
	}
	if job.Sinks == nil {
		job.Sinks = []Sink{{Topic: "output", URI: "parquet://out/" + job.Plugin + ".parquet"}}
	}
	sinks := make([]Sink, len(job.Sinks))
	for i, sink := range job.Sinks {
		if sink.Mode == "" {
			sink.Mode = "append"
		}
		sinks[i] = sink
	}
	dispatch := map[string]any{
		"plugin_name": job.Plugin, "file_path": job.File, "sinks": sinks,
		"file_version_id": job.FileVersionID, "env_hash": job.EnvHash, "source_code": job.Source,
	}
	if job.ArtifactHash != "" {
		dispatch["artifact_hash"] = job.ArtifactHash
	}
	s.do("submit", map[string]any{"job_id": job.ID, "dispatch": dispatch})
}

// Retry queues a known job again, as it was.
func (s *Sentinel) Retry(jobID uint64) {
	s.t.Helper()
	s.do("retry", map[string]any{"job_id": jobID})
}

// Resend repeats a job's DISPATCH at once, whatever the job's status.
func (s *Sentinel) Resend(jobID uint64) {
	s.t.Helper()
	s.do("resend", map[string]any{"job_id": jobID})
}

// Abort asks a worker to stop a job.
func (s *Sentinel) Abort(identity string, jobID uint64) {
	s.t.Helper()
	s.do("abort", map[string]any{"identity": identity, "job_id": jobID})
}

// Reload reloads the Sentinel's configuration: every worker gets the one-frame
// RELOAD, and each sink of jobs dispatched later is there once more.
func (s *Sentinel) Reload() {
	s.t.Helper()
	s.do("reload", nil)
}

// AskHeartbeat asks a worker for a heartbeat.
func (s *Sentinel) AskHeartbeat(identity string) {
	s.t.Helper()
	s.do("heartbeat", map[string]any{"identity": identity})
}

// PrepareEnv asks a worker to build an environment.
func (s *Sentinel) PrepareEnv(identity, envHash, lockfile, pythonVersion string) {
	s.t.Helper()
	request := map[string]any{"env_hash": envHash, "lockfile_content": lockfile}
	if pythonVersion != "" {
		request["python_version"] = pythonVersion
	}
	s.do("prepare_env", map[string]any{"identity": identity, "request": request})
}

// Raw sends frames as they are.
func (s *Sentinel) Raw(identity string, frames ...[]byte) {
	s.t.Helper()
	encoded := make([]string, len(frames))
	for i, frame := range frames {
		encoded[i] = base64.StdEncoding.EncodeToString(frame)
	}
	s.do("raw", map[string]any{"identity": identity, "frames": encoded})
}

// Close closes the Sentinel's socket: for its workers it is gone.
func (s *Sentinel) Close() {
	s.t.Helper()
	s.do("close", nil)
}

// Open opens the socket again on the same port. The Sentinel remembers its jobs
// and none of its workers.
func (s *Sentinel) Open() {
	s.t.Helper()
	s.do("open", nil)
}

// Hold has the Sentinel not touch its socket, as if it were busy with something
// else, until [Sentinel.Resume]. Nothing may be sent meanwhile.
func (s *Sentinel) Hold() {
	s.t.Helper()
	s.do("hold", nil)
}

// Resume ends a [Sentinel.Hold].
func (s *Sentinel) Resume() {
	s.t.Helper()
	s.do("resume", nil)
}

// Snapshot is the double's state now.
func (s *Sentinel) Snapshot() Snapshot {
	s.t.Helper()
	return Decode[Snapshot](s.t, s.do("query", nil))
}
