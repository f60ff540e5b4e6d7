// Package sink is where a job's rows go. A [Driver] knows one kind of
// destination and is chosen by URI scheme; the Parquet driver is the first.
//
// Every driver gives the same promise, so that recovery needs to know none of
// them: rows are staged out of sight, sealed, and then published by Commit,
// which may be repeated after a crash.
package sink

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
)

// Mode is what to do about output that is there already.
type Mode string

const (
	Append  Mode = "append"  // a file of its own per job
	Error   Mode = "error"   // refuse when the final name exists already
	Replace Mode = "replace" // one name for all jobs, the newest takes the place
)

// Target is one output of one generation of a job.
type Target struct {
	JobID         uint64
	Generation    uint32
	Attempt       uint32
	Topic         string
	URI           string
	Mode          Mode
	Plugin        string
	FileVersionID int64
	// Earlier holds the artifact URIs that earlier generations of this job
	// published: Mode Error does not count them as being in the way.
	Earlier []string
}

// Token is a driver's own note of what is durable: JSON that the journal keeps
// and only the driver reads. An empty token means nothing was staged.
type Token = json.RawMessage

// Stats counts what a writer has taken and made.
type Stats struct {
	Rows  int64 // rows taken
	Bytes int64 // bytes staged (encoded)
}

// Artifact is one published output, as the Sentinel is told of it.
type Artifact struct {
	Topic string
	URI   string
}

// Driver knows one kind of destination. Its methods may be called from any
// goroutine; for one target they are never called at the same time.
type Driver interface {
	// Check refuses a target that can never be written (a path out of the output
	// root, an unknown option, a name taken in Mode Error) before the plugin runs.
	Check(target Target) error

	// Open begins to stage rows. With an empty token it starts afresh and removes
	// what an earlier attempt staged; with a token of Writer.Flush it goes on
	// behind the rows that the token covers.
	Open(ctx context.Context, target Target, resume Token) (Writer, error)

	// Commit publishes what a token of Writer.Seal covers. Once it has returned
	// nil the output is durable under its final name. It may be called again with
	// the same token, also by another process after a crash, to the same effect.
	Commit(ctx context.Context, target Target, sealed Token) (Artifact, error)

	// Abandon removes all that was staged for the target and not committed, by
	// this attempt or an earlier one. It may be repeated.
	Abandon(ctx context.Context, target Target) error

	// Retract removes an artifact that an earlier generation published and that
	// the new generation has nothing to put in the place of. It may be repeated.
	Retract(ctx context.Context, artifactURI string) error
}

// Writer stages the rows of one target. It is used by one goroutine.
type Writer interface {
	// Write takes one batch. The batch is borrowed for the duration of the call.
	Write(ctx context.Context, batch arrow.RecordBatch) error

	// Flush makes all rows written so far durable and gives the token from which
	// Driver.Open can go on behind them.
	Flush(ctx context.Context) (Token, error)

	// Seal completes the staged output and makes it durable. After it nothing can
	// be written. No rows give an empty token: then there is nothing to commit.
	Seal(ctx context.Context) (Token, error)

	// Stats may be called at any time between calls, also after Seal.
	Stats() Stats

	// Close lets go of memory and descriptors. What is staged stays, for
	// Driver.Commit or Driver.Abandon. It may be called twice.
	Close() error
}
