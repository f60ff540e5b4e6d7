package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// bar is what the own encoder is held to.
type bar struct {
	what     string
	table    string
	codec    string
	measured func(h heat) (float64, bool)
	atMost   float64 // or at least, for a speed-up
	speedUp  bool
}

// cpuTo and sizeTo are the own encoder's part of another's; they are false
// where the other took no part.
func cpuTo(other string) func(h heat) (float64, bool) {
	return func(h heat) (float64, bool) {
		r, ok := h.results[other]
		return h.results[ownName].cpu / r.cpu, ok
	}
}

func sizeTo(other string) func(h heat) (float64, bool) {
	return func(h heat) (float64, bool) {
		r, ok := h.results[other]
		return float64(h.results[ownName].bytes) / float64(r.bytes), ok
	}
}

// twoWorkers compares the best encodings: with as many workers as cores, all
// that the machine does besides is waited for.
func twoWorkers(h heat) (float64, bool) {
	return h.results[ownName].bestWall / h.results[ownTwoName].bestWall, true
}

// bars are in the order of the document. Half and a third are of what Rust's
// writer needs as it comes.
var bars = []bar{
	{"CPU, of Rust's", "mixed", "snappy", cpuTo(rustName), 1.0 / 3, false},
	{"size, of Rust's", "mixed", "snappy", sizeTo(rustName), 1, false},
	{"CPU, of Rust's", "text", "snappy", cpuTo(rustName), 0.5, false},
	{"size, of Rust's", "text", "snappy", sizeTo(rustName), 1, false},
	{"CPU, of Rust's", "nulls", "snappy", cpuTo(rustName), 0.5, false},
	{"CPU, of Rust's", "wide", "snappy", cpuTo(rustName), 0.5, false},
	{"CPU, of Rust's", "nested", "snappy", cpuTo(rustName), 0.5, false},
	{"size, of pyarrow's", "text", "zstd", sizeTo(pyarrowName), 1.1, false},
	{"CPU, of pyarrow's", "text", "zstd", cpuTo(pyarrowName), 1.5, false},
	{"two workers' wall, times as fast", "mixed", "snappy", twoWorkers, 1.6, true},
	{"two workers' wall, times as fast", "wide", "snappy", twoWorkers, 1.6, true},
}

// report is the Markdown of one run.
func report(all []table, heats []heat, names []string, turns int) string {
	var b strings.Builder
	memory := "unknown memory"
	if n := memoryBytes(); n > 0 {
		memory = fmt.Sprintf("%.0f GB of memory", float64(n)/1e9)
	}
	fmt.Fprintf(&b, "Machine: %s/%s, %d cores, %s; %s.\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), memory, runtime.Version())
	var spreads []float64
	for _, h := range heats {
		for _, r := range h.results {
			spreads = append(spreads, r.spread)
		}
	}
	slices.Sort(spreads)
	fmt.Fprintf(&b, "Medians of %d encodings in %d turns; the middle half of a cell's encodings lies within\n±%.0f %% of its median (median of all cells; at worst ±%.0f %%).\n",
		turns*measuredInTurn, turns, 100*median(spreads), 100*spreads[len(spreads)-1])
	if !slices.Contains(names, rustName) {
		b.WriteString("Rust's writer took no part: there was no cargo, or it was left out.\n")
	}

	b.WriteString("\nThe own encoder (one worker) in CPU seconds and megabytes; the others as multiples\nof it, CPU / bytes. Two workers: how many times as fast by the clock, best\nencoding to best encoding.\n\n")
	b.WriteString("| table, codec | own | two workers |")
	others := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == ownName || name == ownTwoName })
	for _, name := range others {
		fmt.Fprintf(&b, " %s |", name)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(others)) + "\n")
	for _, h := range heats {
		own := h.results[ownName]
		speedUp, _ := twoWorkers(h)
		fmt.Fprintf(&b, "| %s, %s | %.3f s, %.1f MB | %.2f |", h.table, h.codec, own.cpu, float64(own.bytes)/1e6, speedUp)
		for _, name := range others {
			r := h.results[name]
			fmt.Fprintf(&b, " %.1f / %.2f |", r.cpu/own.cpu, float64(r.bytes)/float64(own.bytes))
		}
		b.WriteString("\n")
	}

	b.WriteString("\n| bar | on | wanted | measured | holds |\n|---|---|---|---|---|\n")
	for _, x := range bars {
		i := slices.IndexFunc(heats, func(h heat) bool { return h.table == x.table && h.codec == x.codec })
		if i < 0 {
			continue
		}
		wanted, measured, holds := fmt.Sprintf("≤ %.2f", x.atMost), "–", "not measured"
		if x.speedUp {
			wanted = fmt.Sprintf("≥ %.2f", x.atMost)
		}
		if value, ok := x.measured(heats[i]); ok {
			measured, holds = fmt.Sprintf("%.2f", value), "yes"
			if x.speedUp && value < x.atMost || !x.speedUp && value > x.atMost {
				holds = "no"
			}
		}
		fmt.Fprintf(&b, "| %s | %s, %s | %s | %s | %s |\n", x.what, x.table, x.codec, wanted, measured, holds)
	}

	b.WriteString("\n| table | rows | what |\n|---|---|---|\n")
	for _, t := range all {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", t.name, t.rows, t.about)
	}
	return b.String()
}
