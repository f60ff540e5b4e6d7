package drill

import (
	"bytes"
	"os"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// trace is what a worker process passed, in order.
type trace []crashpoint.Point

// readTrace reads a process's trace. A process that died before its first point has
// none.
func readTrace(path string) trace {
	content, _ := os.ReadFile(path)
	var points trace
	for line := range bytes.Lines(content) {
		// A line without its end was being written when the process died.
		if _, name, ok := bytes.Cut(line, []byte(" ")); ok && bytes.HasSuffix(name, []byte("\n")) {
			points = append(points, crashpoint.Point(bytes.TrimSuffix(name, []byte("\n"))))
		}
	}
	return points
}

// passings counts how often each point was passed.
type passings map[crashpoint.Point]int

func (t trace) count() passings {
	counts := passings{}
	for _, p := range t {
		counts[p]++
	}
	return counts
}
