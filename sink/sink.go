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
	// what an earlier attempt staged; with a token of Writer.Checkpoint it goes on
	// behind the rows that the token covers. A token that cannot be gone on with
	// (of other options, say) is a [*TokenError], a staged output that is not what
	// its token says a [*DamageError]: nothing was changed then.
	Open(ctx context.Context, target Target, resume Token) (Writer, error)

	// Commit publishes what a token of Writer.Seal covers. Once it has returned
	// nil the output is durable under its final name. It may be called again with
	// the same token, also by another process after a crash, to the same effect.
	Commit(ctx context.Context, target Target, sealed Token) (Artifact, error)

	// Abandon removes all that was staged for the target and not committed, by
	// this attempt or an earlier one. It may be repeated.
	Abandon(ctx context.Context, target Target) error

	// SetAside takes what is staged for the target out of the way without removing
	// it, for a person to look at, and says where it is. It bounds what it keeps. It
	// may be repeated.
	SetAside(ctx context.Context, target Target) (places []string, err error)

	// Retract removes an artifact that an earlier generation published and that
	// the new generation has nothing to put in the place of. It may be repeated.
	Retract(ctx context.Context, artifactURI string) error
}

// Writer stages the rows of one target. It is used by one goroutine.
type Writer interface {
	// Write takes one batch. The batch is borrowed for the duration of the call.
	Write(ctx context.Context, batch arrow.RecordBatch) error

	// Checkpoint notes how far the output is complete; sinks complete rows in pieces
	// of their own size. It gives nil when that is no further than the last time.
	Checkpoint(ctx context.Context) (*Checkpoint, error)

	// Cut completes the piece that is open, so that the next Checkpoint covers every row
	// taken. Where the sink has a reason against that it does nothing.
	Cut(ctx context.Context) error

	// Seal completes the staged output and makes it durable. After it nothing can
	// be written. No rows give an empty token: then there is nothing to commit.
	Seal(ctx context.Context) (Token, error)

	// Stats may be called at any time between calls, also after Seal.
	Stats() Stats

	// Close lets go of memory and descriptors. What is staged stays, for
	// Driver.Commit or Driver.Abandon. It may be called twice.
	Close() error
}

// Checkpoint is a part of a staged output, from its first row on.
type Checkpoint struct {
	// Token is what Driver.Open goes on from, once Sync has returned nil.
	Token Token
	// Stats is what the part holds.
	Stats Stats
	// Sync makes the part durable. It may run in a goroutine of its own while Write
	// goes on; no other method of the writer may be called before it has returned.
	// After an error the writer is of no more use.
	Sync func() error
}
