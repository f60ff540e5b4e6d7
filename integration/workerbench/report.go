package main

import (
	"fmt"
	"runtime"
	"strings"
)

// bar is what the worker is held to.
type bar struct {
	on, what string
	measured func(r result, all results) (value float64, ok bool)
	wanted   float64
	least    bool // wanted is the least, otherwise the most
}

func toReference(r result, _ results) (float64, bool) {
	if r.reference == nil {
		return 0, false
	}
	return r.reference.perJob() / r.worker.perJob(), true
}

func toFloor(r result, _ results) (float64, bool) { return r.worker.perJob() / r.floor.perJob(), true }

func tail(r result, _ results) (float64, bool) {
	return r.worker.quantile(0.99) / r.worker.quantile(0.5), true
}

func megabytes(r result, _ results) (float64, bool) {
	return float64(r.worker.peak) / 1e6, r.worker.peak > 0
}

var bars = []bar{
	{"small", "times as fast as the reference", toReference, 20, true},
	{"small", "p99, of p50", tail, 3, false},
	{"small x 8", "times as fast as the reference", toReference, 40, true},
	{"20M rows", "times as fast as the reference", toReference, 5, true},
	{"20M rows", "time, of the floor's", toFloor, 2, false},
	{"20M rows", "MB of the worker at most", megabytes, 100, false},
	{"100M rows", "MB of the worker at most", megabytes, 100, false},
	{"CSV", "time, of the floor's", toFloor, 1.2, false},
	{"first job", "time, of the floor's", toFloor, 1.2, false},
	{"wide", "MB of the worker at most", megabytes, 100, false},
	{"nested", "MB of the worker at most", megabytes, 100, false},
}

// machine names the machine by its size.
func machine() string {
	memory := "unknown memory"
	if n := memoryOf(); n > 0 {
		memory = fmt.Sprintf("%.0f GB of memory", float64(n)/1e9)
	}
	return fmt.Sprintf("Machine: %s/%s, %d cores, %s; %s.", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), memory, runtime.Version())
}

// report is the Markdown of one run.
func (r results) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nImporting pandas and pyarrow takes a new interpreter %.0f ms; a bare fork of one that has them, %.1f ms.\n\n", machine(), r.imports*1e3, r.fork*1e3)
	b.WriteString("| load | floor, ms per job | worker | reference | worker's time, of the floor's | times as fast as the reference | p50, p99 ms |\n|---|---|---|---|---|---|---|\n")
	for _, one := range r.all {
		reference, faster := "–", "–"
		if value, ok := toReference(one, r); ok {
			reference, faster = milliseconds(one.reference.perJob()), fmt.Sprintf("%.1f", value)
		}
		above, _ := toFloor(one, r)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f | %s | %s, %s |\n", one.name, milliseconds(one.floor.perJob()), milliseconds(one.worker.perJob()), reference,
			above, faster, milliseconds(one.worker.quantile(0.5)), milliseconds(one.worker.quantile(0.99)))
	}
	b.WriteString("\nCPU is that of the whole tree, guests included; memory is the most that was resident.\n\n")
	b.WriteString("| load | CPU ms per job: floor | worker | reference | worker's memory, MB | with guests | reference's, with guests | fsyncs per job |\n|---|---|---|---|---|---|---|---|\n")
	for _, one := range r.all {
		reference, memory, syncs := "–", "–", "–"
		if one.reference != nil {
			reference, memory = milliseconds(one.reference.cpu/float64(one.reference.jobs)), fmt.Sprintf("%.0f", float64(one.reference.tree)/1e6)
		}
		if one.worker.syncs >= 0 {
			syncs = fmt.Sprintf("%.1f", one.worker.syncs)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.0f | %.0f | %s | %s |\n", one.name, milliseconds(one.floor.cpu/float64(one.floor.jobs)),
			milliseconds(one.worker.cpu/float64(one.worker.jobs)), reference, float64(one.worker.peak)/1e6, float64(one.worker.tree)/1e6, memory, syncs)
	}
	b.WriteString("\n| bar | on | wanted | measured | holds |\n|---|---|---|---|---|\n")
	for _, x := range bars {
		for _, one := range r.all {
			value, ok := x.measured(one, r)
			if one.name != x.on || !ok {
				continue
			}
			sign, holds := "≤", value <= x.wanted
			if x.least {
				sign, holds = "≥", value >= x.wanted
			}
			fmt.Fprintf(&b, "| %s | %s | %s %g | %.2f | %s |\n", x.what, x.on, sign, x.wanted, value, map[bool]string{true: "yes", false: "no"}[holds])
		}
	}
	b.WriteString("\n| load | what |\n|---|---|\n")
	for _, one := range r.all {
		fmt.Fprintf(&b, "| %s | %s |\n", one.name, one.about)
	}
	return b.String()
}

// milliseconds with three digits that count.
func milliseconds(seconds float64) string {
	switch ms := seconds * 1e3; {
	case ms >= 100:
		return fmt.Sprintf("%.0f", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.2f", ms)
	}
}
