package crashpoint

// Mutation is a guarantee that a test build can break, to show that the drill
// finds it out. The shipped binary has none of them: see [Broken].
type Mutation string

const (
	// SealUnsynced: a staged file is called complete without being synced.
	SealUnsynced Mutation = "seal-unsynced"
	// PublishUnsealed: files get their final names before the seal is durable.
	PublishUnsealed Mutation = "publish-unsealed"
	// AnswerUncommitted: an append returns before its commit.
	AnswerUncommitted Mutation = "answer-uncommitted"
	// DuplicateRuns: a DISPATCH seen again begins the job anew.
	DuplicateRuns Mutation = "duplicate-runs"
	// StagedStays: what an interrupted attempt staged is not removed.
	StagedStays Mutation = "staged-stays"
	// ResumeRepeats: rows that are durable are written again when a job goes on.
	ResumeRepeats Mutation = "resume-repeats"
	// OrphanStays: a guest that the process before left over is not killed.
	OrphanStays Mutation = "orphan-stays"
	// ReceiptForgotten: a receipt counts as taken before it is sent.
	ReceiptForgotten Mutation = "receipt-forgotten"
)

// Mutations lists them all.
var Mutations = []Mutation{
	SealUnsynced, PublishUnsealed, AnswerUncommitted, DuplicateRuns, StagedStays, ResumeRepeats, OrphanStays, ReceiptForgotten,
}
