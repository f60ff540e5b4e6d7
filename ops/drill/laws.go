package drill

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// history is what the journal of a round says.
type history struct {
	state    journal.State
	accepted map[uint64]int // events, by job
	attempts int            // AttemptStarted events
}

// inspect reads the journal between two worker processes and holds what it says
// against what the world saw: whatever happened must have been in the journal first.
func (s *stage) inspect() {
	h, err := readHistory(s.state())
	if err != nil {
		s.problem(Journal, "%v", err)
		return
	}
	s.accepted = map[uint64]bool{}
	for job := range h.accepted {
		s.accepted[job] = true
	}
	s.lawOfDispatch(h)
	s.lawOfReceipts(h)
	s.lawOfFiles(h)
	s.lawOfGuests(h)
	s.lawOfSync()
}

func readHistory(folder string) (history, error) {
	h := history{accepted: map[uint64]int{}}
	reader, err := journal.OpenReadOnly(folder)
	if errors.Is(err, journal.ErrMissing) || errors.Is(err, fs.ErrNotExist) {
		return h, nil // the process died before there was one
	}
	if err != nil {
		return h, err
	}
	defer reader.Close()
	if h.state, err = reader.State(); err != nil {
		return h, err
	}
	err = reader.Records(1, func(r journal.Record) error {
		switch e := r.Event.(type) {
		case journal.JobAccepted:
			h.accepted[e.JobID]++
		case journal.AttemptStarted:
			h.attempts++
		}
		return nil
	})
	return h, err
}

// concluded reports whether the journal has a job's result.
func (h history) concluded(job uint64) bool {
	j, known := h.state.Job(job)
	return known && !j.Unfinished()
}

// lawOfDispatch: one job is taken on once, however often it is dispatched.
func (s *stage) lawOfDispatch(h history) {
	for job, times := range h.accepted {
		if times > 1 {
			s.problem(Doubled, "job %d was taken on %d times", job, times)
		}
	}
}

// lawOfReceipts: what the Sentinel got is in the journal, and what the journal
// calls confirmed the Sentinel got.
func (s *stage) lawOfReceipts(h history) {
	for job := range s.received() {
		if !h.concluded(job) {
			s.problem(Early, "the Sentinel has a receipt of job %d, and the journal no result", job)
		}
	}
	for n := range s.round.load.Inputs {
		job := uint64(n + 1)
		if j, known := h.state.Job(job); !known || j.Phase != journal.Confirmed {
			continue
		}
		// What the worker wrote may still be on its way to the Sentinel, whose list
		// of receipts tells nobody when it grows.
		for deadline := time.Now().Add(endTime); ; time.Sleep(10 * time.Millisecond) {
			if _, got := s.received()[job]; got {
				break
			}
			if time.Now().After(deadline) {
				s.problem(Lost, "the journal calls the receipt of job %d confirmed, and the Sentinel never got it", job)
				break
			}
		}
	}
}

// lawOfFiles: a file has its final name only when the journal knows that it is
// sealed.
func (s *stage) lawOfFiles(h history) {
	for _, file := range s.files() {
		job, known := s.drill.expectedOf(s.round.load).jobOf(file)
		if !known {
			continue // judged at the end
		}
		j, _ := h.state.Job(job)
		if j == nil || j.Phase == journal.Queued || j.Phase == journal.Running {
			s.problem(Early, "%s has its final name, and the journal does not know that it is sealed", file)
		}
	}
}

// lawOfGuests: no plugin runs before the journal says so.
func (s *stage) lawOfGuests(h history) {
	started := 0
	for _, t := range s.traces {
		started += t.count()[crashpoint.GuestStartBefore]
	}
	if started > h.attempts {
		s.problem(Early, "%d guests were started, and the journal knows of %d attempts", started, h.attempts)
	}
}

// lawOfSync: a file is called complete only when its last bytes were synced. Jobs
// that are written at the same time would mix their traces.
func (s *stage) lawOfSync() {
	if len(s.round.load.Inputs) > 1 {
		return
	}
	for _, t := range s.traces {
		synced := true
		for _, p := range t {
			switch p {
			case crashpoint.SinkWriteAfter:
				synced = false
			case crashpoint.SinkSyncAfter:
				synced = true
			case crashpoint.SinkSealAfter:
				if !synced {
					s.problem(Early, "a staged file was called complete before it was synced")
					return
				}
			}
		}
	}
}

// files lists what was published, relative to the output, in order.
func (s *stage) files() []string {
	var files []string
	_ = filepath.WalkDir(s.output(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			if short, err := filepath.Rel(s.output(), path); err == nil {
				files = append(files, short)
			}
		}
		return nil
	})
	slices.Sort(files)
	return files
}
