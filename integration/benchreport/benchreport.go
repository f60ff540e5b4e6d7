// Package benchreport puts what a benchmark measured into a document.
package benchreport

import (
	"bytes"
	"fmt"
	"os"
)

// Put replaces what stands in the Markdown document at path between the lines that
// [Marks] gives for the task with a report. Without a path it prints the report.
func Put(path, task, report string) error {
	if path == "" {
		fmt.Println(report)
		return nil
	}
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("put the report of %s: %w", task, err)
	}
	begin, end := Marks(task)
	before, rest, begun := bytes.Cut(document, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !begun || !ended {
		return fmt.Errorf("put the report of %s: %s needs the lines %q and %q", task, path, begin, end)
	}
	next := fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", before, begin, report, end, after)
	if err := os.WriteFile(path, next, 0o644); err != nil {
		return fmt.Errorf("put the report of %s: %w", task, err)
	}
	return nil
}

// Marks are the lines around the report of a task, such as "make bench".
func Marks(task string) (begin, end string) {
	return "<!-- begin: " + task + " -->", "<!-- end: " + task + " -->"
}
