package ops

import (
	"context"
	"fmt"
	"strings"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Repair brings the journal of a state folder to its last good state and says in
// some lines what it found and did. No worker may run on it.
func Repair(ctx context.Context, stateDir string) (string, error) {
	report, err := journal.Repair(ctx, stateDir, journal.Options{})
	if err != nil {
		return "", err
	}
	if report.Damage == nil {
		return "nothing to repair: the journal is good", nil
	}
	touched := "no job had a record there"
	if len(report.Jobs) > 0 {
		touched = strings.Trim(fmt.Sprint(report.Jobs), "[]")
	}
	return fmt.Sprintf("found:     %v\nkept:      %s in front of it\nlost:      %s known to be missing\njobs:      %s\nset aside: %s",
		report.Damage, plural(int(report.Kept), "record"), plural(int(report.Lost), "record"), touched, report.SetAside), nil
}
