package actors

import "github.com/casparian-flow/casparian-worker/journal"

// verdict is what to do about a DISPATCH.
type verdict int

const (
	// ignore: the job is in hand already.
	ignore verdict = iota
	// accept: a generation of the job begins.
	accept
	// repeat: the job is done, and its receipt may have been lost; it is sent again.
	repeat
)

// judge decides what a DISPATCH means. The Sentinel never says whether it is
// new, repeated or a retry; what the journal and the connection know has to tell.
//
// meant reports that the job was dispatched on this very connection before and
// its receipt had reached the Sentinel: then the Sentinel has its answer, and asks
// again on purpose. On a new connection the receipt of the old one may have been
// lost.
//
// It does not matter which lane asks. A job in hand that comes again on another lane
// is not run again, since the Sentinel only lost sight of it; it is answered on every
// lane that brought it, or that lane would be busy with it for ever.
func judge(state journal.State, id uint64, spec journal.JobSpec, meant bool) (verdict, journal.JobAccepted) {
	begin := journal.JobAccepted{JobID: id, Generation: 1, Spec: spec, Origin: journal.OriginNew}
	job, known := state.Job(id)
	if !known {
		return accept, begin
	}
	begin.Generation = job.Generation + 1
	if spec.Refused != "" && job.Phase != journal.Confirmed {
		// What cannot be read cannot be told from the job in hand: it takes nothing
		// from it.
		if job.Unfinished() {
			return ignore, journal.JobAccepted{}
		}
		return repeat, journal.JobAccepted{}
	}
	if job.Content != spec.Content() {
		begin.Origin = journal.OriginChanged
		return accept, begin
	}
	begin.Origin = journal.OriginRetry
	switch job.Phase {
	case journal.Confirmed:
		return accept, begin
	case journal.Concluded, journal.Undelivered:
		if meant {
			return accept, begin
		}
		return repeat, journal.JobAccepted{}
	default:
		return ignore, journal.JobAccepted{}
	}
}
