package ops

import (
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

const (
	// recentRecords is how far back in the journal a worker looks for environments
	// that its next jobs may need; recentTime is how long ago it may have been.
	recentRecords = 1000
	recentTime    = 7 * 24 * time.Hour
)

// warmUp has warm interpreters started for the environments that were used last:
// by the time the Sentinel has work for this worker they are ready.
func (d *Daemon) warmUp() error {
	interpreters, err := recentInterpreters(d.journal, time.Now().Add(-recentTime))
	if err != nil {
		return err
	}
	for _, interpreter := range interpreters[:min(len(interpreters), int(d.config.WarmGuests))] {
		d.host.Prepare(interpreter)
	}
	return nil
}

// recentInterpreters are those of the latest attempts, the last used first, as far
// as they are still there.
func recentInterpreters(j *journal.Journal, since time.Time) ([]string, error) {
	used := map[string]uint64{}
	first := uint64(1)
	if events := j.State().Events; events > recentRecords {
		first = events - recentRecords
	}
	err := j.Records(first, func(r journal.Record) error {
		if started, ok := r.Event.(journal.AttemptStarted); ok && r.Time.After(since) {
			used[started.Interpreter] = r.Seq
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var interpreters []string
	for interpreter := range used {
		if _, err := os.Stat(interpreter); err == nil {
			interpreters = append(interpreters, interpreter)
		}
	}
	slices.SortFunc(interpreters, func(a, b string) int { return cmp.Compare(used[b], used[a]) })
	return interpreters, nil
}
