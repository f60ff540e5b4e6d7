package actors

import (
	"fmt"
	"strings"

	"github.com/casparian-flow/casparian-worker/journal"
)

// ArtifactCheck is what becomes of a job whose artifact_hash is not that of its
// source and lockfile.
type ArtifactCheck string

const (
	ArtifactOff     ArtifactCheck = "off"     // nothing is compared
	ArtifactWarn    ArtifactCheck = "warn"    // the log says so, and the job runs
	ArtifactEnforce ArtifactCheck = "enforce" // the job is FAILED
)

// compareArtifact compares a job's artifact_hash with its source and lockfile, where
// this worker holds both: a job of an environment without a lockfile (system, or one
// found on disk) cannot be compared. Nothing else in the field does it. It returns
// what does not match, and logs it.
func (c *Coordinator) compareArtifact(job *journal.Job, source []byte) (mismatch error, err error) {
	env, ok := c.journal.State().Environment(job.Spec.EnvHash)
	if c.config.ArtifactCheck == ArtifactOff || job.Spec.ArtifactHash == "" || !ok || env.Lockfile == "" {
		return nil, nil
	}
	lockfile, err := c.journal.Blob(env.Lockfile)
	if lost(err) {
		return nil, nil // it cannot be compared any more
	}
	if err != nil {
		return nil, err
	}
	have := journal.DigestOf(append(source[:len(source):len(source)], lockfile...))
	if strings.EqualFold(string(have), job.Spec.ArtifactHash) {
		return nil, nil
	}
	mismatch = fmt.Errorf("artifact_hash is %s, but source and lockfile have %s: what the Sentinel sent is not what was deployed",
		job.Spec.ArtifactHash, have)
	c.log.Warn("artifact_hash does not match", "job", job.ID, "plugin", job.Spec.Plugin,
		"artifact_hash", job.Spec.ArtifactHash, "have", string(have))
	return mismatch, nil
}
