package ops

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/casparian-flow/casparian-worker/journal"
)

// describe says in one line what an event is about.
func describe(event journal.Event) string {
	switch e := event.(type) {
	case journal.WorkerStarted:
		return fmt.Sprintf("worker %s started (version %s, pid %d)", e.WorkerID, e.Version, e.PID)
	case journal.WorkerStopped:
		return "worker stopped: " + e.Reason
	case journal.LanesOpened:
		return fmt.Sprintf("%d lanes opened", e.Lanes)
	case journal.LanesForgotten:
		return fmt.Sprintf("all but %s forgotten", plural(int(e.Lanes), "lane"))
	case journal.JobsForgotten:
		return fmt.Sprintf("%s forgotten to make room", plural(len(e.Jobs), "job"))
	case journal.JournalRepaired:
		return fmt.Sprintf("journal repaired: the damaged file is kept as %s, %s lost, %s touched",
			e.SetAside, plural(int(e.Lost), "record"), plural(len(e.Jobs), "job"))
	case journal.EnvironmentRequested:
		return fmt.Sprintf("environment %s requested", short(e.EnvHash))
	case journal.EnvironmentReady:
		if e.Cached {
			return fmt.Sprintf("environment %s was there already", short(e.EnvHash))
		}
		return fmt.Sprintf("environment %s built: %s", short(e.EnvHash), e.Interpreter)
	case journal.EnvironmentFailed:
		return fmt.Sprintf("environment %s failed: %s", short(e.EnvHash), firstLine(e.Reason))
	case journal.EnvironmentEvicted:
		return fmt.Sprintf("environment %s evicted to make room", short(e.EnvHash))
	case journal.JobAccepted:
		again := ""
		if e.Generation > 1 {
			again = fmt.Sprintf(", generation %d (%s)", e.Generation, e.Origin)
		}
		lane := ""
		if e.Lane > 0 {
			lane = fmt.Sprintf(", lane %d", e.Lane+1)
		}
		return fmt.Sprintf("accepted: %s on %s, environment %s, %s%s", e.Spec.Plugin, e.Spec.FilePath,
			short(e.Spec.EnvHash), plural(len(e.Spec.Sinks), "sink"), again+lane)
	case journal.AttemptStarted:
		return fmt.Sprintf("attempt %d started with %s", e.Attempt.Attempt, e.Interpreter)
	case journal.GuestStarted:
		return fmt.Sprintf("guest process %d started", e.Guest.PID)
	case journal.GuestReattached:
		return fmt.Sprintf("guest of attempt %d attached again after the worker's death, it goes on behind batch %d", e.Attempt.Attempt, e.Batches)
	case journal.SinkChosen:
		return fmt.Sprintf("the plugin chose %s for topic %s", e.Sink.URI, e.Sink.Topic)
	case journal.OutputCheckpointed:
		rows, bytes := totals(e.Outputs)
		return fmt.Sprintf("durable up to batch %d: %s, %s", e.Batches, plural(int(rows), "row"), Bytes(bytes))
	case journal.OutputResumed:
		return fmt.Sprintf("attempt %d goes on behind batch %d", e.Attempt.Attempt, e.Batches)
	case journal.OutputSetAside:
		return fmt.Sprintf("attempt %d set aside what was durable: %s", e.Attempt.Attempt, firstLine(e.Reason))
	case journal.AttemptInterrupted:
		return fmt.Sprintf("attempt %d interrupted: %s", e.Attempt.Attempt, firstLine(e.Reason))
	case journal.OutputSealed:
		rows, bytes := totals(e.Outputs)
		return fmt.Sprintf("output sealed: %s, %s", plural(int(rows), "row"), Bytes(bytes))
	case journal.AbortRequested:
		return "abort requested"
	case journal.JobConcluded:
		if e.Receipt.Status != journal.Success {
			return fmt.Sprintf("concluded %s: %s", e.Receipt.Status, firstLine(e.Receipt.Error))
		}
		names := make([]string, 0, len(e.Receipt.Artifacts))
		for _, a := range e.Receipt.Artifacts {
			names = append(names, filepath.Base(a.URI))
		}
		files := "no file"
		if len(names) > 0 {
			files = strings.Join(names, ", ")
		}
		return fmt.Sprintf("concluded %s: %s, %s", e.Receipt.Status, plural(int(e.Receipt.Metrics["rows"]), "row"), files)
	case journal.ReceiptSent:
		return "receipt sent"
	case journal.ReceiptConfirmed:
		return "receipt confirmed by " + e.Evidence
	case journal.ReceiptUndelivered:
		return "receipt undelivered: " + e.Reason
	default:
		return string(journal.KindOf(event))
	}
}

func totals(outputs []journal.Output) (rows, bytes int64) {
	for _, o := range outputs {
		rows, bytes = rows+o.Rows, bytes+o.Bytes
	}
	return rows, bytes
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}

func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if more {
		line += " […]"
	}
	return line
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Bytes writes a number of bytes for a person.
func Bytes(n int64) string {
	value, unit := float64(n), 0
	for value >= 1000 && unit < 4 {
		value /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, []string{"B", "kB", "MB", "GB", "TB"}[unit])
}
