package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Verify checks the journal of a state folder: through the worker that runs on
// it, or by itself. The error names the first bad record.
func Verify(ctx context.Context, stateDir string) (string, error) {
	var report journal.VerifyReport
	err := ask(ctx, stateDir, controlRequest{Ask: "verify"}, func(line []byte) error {
		return json.Unmarshal(line, &report)
	})
	if errors.Is(err, ErrNoWorker) {
		report, err = journal.Verify(ctx, stateDir)
	}
	if err != nil {
		return "", err
	}
	dropped := ""
	if report.Dropped > 0 {
		dropped = fmt.Sprintf(" (%d more of forgotten jobs are gone)", report.Dropped)
	}
	return fmt.Sprintf("good: %s%s of %s, %s (%s), the chain ends in %s",
		plural(int(report.Checked), "record"), dropped, plural(report.Jobs, "job"), plural(report.Blobs, "blob"), Bytes(report.BlobBytes), report.Head), nil
}
