package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Inspection says which records of a journal to show, and how.
type Inspection struct {
	StateDir string
	Job      uint64    // 0: all
	Since    time.Time // zero: from the start
	JSON     bool      // the records as stored, one a line
	Follow   bool      // stay and show what is appended; needs a running worker
	Jobs     int       // most jobs to show, the latest ones; 0: all
}

// Inspect writes the records to out. It asks the running worker, and reads the
// journal itself when there is none.
func Inspect(ctx context.Context, in Inspection, out io.Writer) error {
	show := in.timeline
	switch {
	case in.JSON:
		show = func(walk walk, out io.Writer) error { return in.each(walk, out, stored) }
	case in.Follow:
		show = func(walk walk, out io.Writer) error { return in.each(walk, out, chronicle) }
	}
	return show(func(fn func(journal.Record) error) error { return readRecords(ctx, in.StateDir, in.Follow, fn) }, out)
}

// walk goes through records.
type walk func(fn func(journal.Record) error) error

// readRecords gives all records to fn, from whoever holds the journal.
func readRecords(ctx context.Context, stateDir string, follow bool, fn func(journal.Record) error) error {
	err := ask(ctx, stateDir, controlRequest{Ask: "records", Follow: follow}, func(line []byte) error {
		record, err := journal.ParseRecord(line)
		if err != nil {
			return err
		}
		return fn(record)
	})
	if !errors.Is(err, ErrNoWorker) {
		return err
	}
	if follow {
		return fmt.Errorf("%w: --follow shows what a worker appends", err)
	}
	reader, err := journal.OpenReadOnly(stateDir)
	if err != nil {
		return err
	}
	defer reader.Close()
	return reader.Records(1, fn)
}

func (in Inspection) wanted(r journal.Record) bool {
	return (in.Job == 0 || r.Job == in.Job) && !r.Time.Before(in.Since)
}

// each writes the records as they come, one line each.
func (in Inspection) each(walk walk, out io.Writer, line func(journal.Record) string) error {
	return walk(func(r journal.Record) error {
		if !in.wanted(r) {
			return nil
		}
		_, err := fmt.Fprintln(out, line(r))
		return err
	})
}

func stored(r journal.Record) string { return string(r.Raw) }

func chronicle(r journal.Record) string {
	who := "worker"
	if r.Job != 0 {
		who = fmt.Sprintf("job %d", r.Job)
	}
	return fmt.Sprintf("%s  %-10s  %s", r.Time.Local().Format(clock), who, describe(r.Event))
}

const clock = "2006-01-02 15:04:05.000"

// life is what the timeline shows of one job, or of the worker.
type life struct {
	title string
	lines []string
	last  time.Time
}

// lineLimit bounds what is kept of one job: one that was interrupted thousands
// of times shows its latest days.
const lineLimit = 200

func (l *life) add(r journal.Record) {
	gap := ""
	if !l.last.IsZero() {
		gap = "+" + r.Time.Sub(l.last).Round(time.Millisecond).String()
	}
	l.last = r.Time
	l.lines = append(l.lines, fmt.Sprintf("  %s  %9s  %s", r.Time.Local().Format(clock), gap, describe(r.Event)))
	if len(l.lines) > lineLimit {
		l.lines = append(l.lines[:1:1], l.lines[2:]...)
		l.lines[0] = "  […]"
	}
}

// timeline writes the records job by job.
func (in Inspection) timeline(walk walk, out io.Writer) error {
	worker := &life{title: "worker"}
	lives := map[uint64]*life{}
	var order []uint64
	var left int
	err := walk(func(r journal.Record) error {
		if !in.wanted(r) {
			return nil
		}
		if r.Job == 0 {
			worker.add(r)
			return nil
		}
		l := lives[r.Job]
		if l == nil {
			l = &life{}
			lives[r.Job] = l
			order = append(order, r.Job)
			if in.Jobs > 0 && len(order) > in.Jobs {
				delete(lives, order[0])
				order = order[1:]
				left++
			}
		}
		if accepted, ok := r.Event.(journal.JobAccepted); ok {
			l.title = fmt.Sprintf("job %d  %s", r.Job, accepted.Spec.Plugin)
		} else if l.title == "" {
			l.title = fmt.Sprintf("job %d", r.Job)
		}
		l.add(r)
		return nil
	})
	if err != nil {
		return err
	}
	var text strings.Builder
	write := func(l *life) {
		if len(l.lines) > 0 {
			fmt.Fprintf(&text, "%s\n%s\n\n", l.title, strings.Join(l.lines, "\n"))
		}
	}
	write(worker)
	if left > 0 {
		fmt.Fprintf(&text, "[%s left out: --jobs 0 shows all]\n\n", plural(left, "older job"))
	}
	for _, id := range order {
		write(lives[id])
	}
	if text.Len() == 0 {
		text.WriteString("nothing to show\n")
	}
	_, err = io.WriteString(out, strings.TrimSuffix(text.String(), "\n"))
	return err
}

// ParseSince reads a point in time: a span before now, or an RFC 3339 time or date.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if span, err := time.ParseDuration(text); err == nil {
		return now.Add(-span), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q: give a span such as 2h, or a time such as 2026-01-31T08:00:00", text)
}
