package actors

import (
	"slices"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink/digest"
)

// Outputs complete their rows in pieces of their own size, so that of one batch one
// output may have durable rows and another none. A guest that goes on with the next
// worker does so behind the last batch of which all have all.

// milestone is a batch behind which a guest might be told to go on.
type milestone struct {
	batches uint64
	digest  digest.Sum
	rows    int64
	taken   []int64 // rows of each output, durable or not
}

// mostMilestones bounds the list; beyond it every second one goes, since any of them
// is good to go on from.
const mostMilestones = 2048

// passed notes a milestone behind the batch that was just taken.
func (s *staging) passed() {
	taken := make([]int64, len(s.outputs))
	for i, out := range s.outputs {
		taken[i] = out.taken
	}
	s.milestones = append(s.milestones, milestone{s.batches, s.digest, s.rows, taken})
	if len(s.milestones) > mostMilestones {
		kept := s.milestones[:0]
		for i := 1; i < len(s.milestones); i += 2 {
			kept = append(kept, s.milestones[i])
		}
		s.milestones = kept
	}
}

// whole gives the last milestone that lies within what is durable, and forgets those
// before it.
func (s *staging) whole() milestone {
	within := func(m milestone) bool {
		for i, rows := range m.taken {
			if durable := s.outputs[i].durable; rows > 0 && (durable == nil || durable.Rows < rows) {
				return false
			}
		}
		return true
	}
	n := 0
	for n < len(s.milestones) && within(s.milestones[n]) {
		s.wholeUpTo = s.milestones[n]
		n++
	}
	s.milestones = slices.Delete(s.milestones, 0, n)
	return s.wholeUpTo
}

// wholeOf is that milestone for the journal, with a checkpoint's outputs; zero when
// there is none.
func (s *staging) wholeOf(outputs []journal.Output) journal.Whole {
	m := s.whole()
	if m.batches == 0 {
		return journal.Whole{}
	}
	w := journal.Whole{Batches: m.batches, Digest: m.digest.String(), Rows: m.rows, Ahead: make([]int64, len(outputs))}
	for i, output := range outputs {
		w.Ahead[i] = output.Rows
		for n, taken := range m.taken {
			if sinkSpecOf(s.outputs[n].target).Same(output.Sink) {
				w.Ahead[i] -= taken
			}
		}
	}
	return w
}

// goOn takes up what the guest's stream goes on behind, with the outputs open.
func (s *staging) goOn(behind *journal.Whole) error {
	sum, err := digest.Parse(behind.Digest)
	if err != nil {
		return err
	}
	s.batches, s.rows, s.digest = behind.Batches, behind.Rows, sum
	s.a.progress.Batches.Store(int64(s.batches))
	s.a.progress.Rows.Store(s.rows)
	// Those that the plugin named itself may get no batch any more.
	for _, out := range s.chosen {
		if out.durable != nil {
			s.outputs = append(s.outputs, out)
		}
	}
	s.chosen = slices.DeleteFunc(s.chosen, func(out *stagedOutput) bool { return out.durable != nil })
	for i, part := range s.a.checkpoint.Outputs {
		out := s.find(part.Sink)
		out.skip = behind.Ahead[i]
		out.taken = part.Rows - behind.Ahead[i]
	}
	s.passed()
	s.whole()
	if s.batches == s.awaited.Batches {
		s.awaited = nil
	}
	return nil
}
