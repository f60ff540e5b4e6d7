//go:build !linux

package drill

import (
	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
)

// processes lists the guests of a round that still run, by what the journal knows of
// them: where environments of other processes cannot be read, a guest that the
// journal never knew of is not found.
func (s *stage) processes() []leftProcess {
	reader, err := journal.OpenReadOnly(s.state())
	if err != nil {
		return nil
	}
	defer reader.Close()
	var found []leftProcess
	_ = reader.Records(1, func(r journal.Record) error {
		if started, ok := r.Event.(journal.GuestStarted); ok {
			guest := bridge.Process{PID: started.Guest.PID, StartTime: started.Guest.StartTime, Marker: started.Guest.Marker}
			if bridge.Alive(guest) {
				found = append(found, leftProcess{guest.PID, "a guest", func() { _ = bridge.KillTree(guest, endTime) }})
			}
		}
		return nil
	})
	return found
}
