package main

import (
	"fmt"
	"runtime"
	"strings"
)

// bar is how many times as long as pyzmq the link may take.
const bar = 2.0

func report(results []result, repetitions int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Machine: %s/%s, %d cores; %s. Medians of %d.\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), repetitions)
	b.WriteString("| mechanism | way | message | link | pyzmq | link's time, of pyzmq's | ≤ 2 |\n|---|---|---|---|---|---|---|\n")
	ways := map[string]string{"there": "DEALER to ROUTER", "back": "ROUTER to DEALER"}
	for _, r := range results {
		passed := "yes"
		if r.ratio > bar {
			passed = "no"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.2f | %s |\n", r.mechanism, ways[r.Way], size(r.Size),
			rate(r.task, r.link), rate(r.task, r.pyzmq), r.ratio, passed)
	}
	return b.String()
}

func size(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	case n >= 1000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d B", n)
}

// rate says it in messages where they are small, in bytes where they are large.
func rate(t task, seconds float64) string {
	if t.Size < 1000 {
		return fmt.Sprintf("%.0f/s", float64(t.Messages)/seconds)
	}
	return fmt.Sprintf("%.0f MB/s", float64(t.Messages)*float64(t.Size)/1e6/seconds)
}
