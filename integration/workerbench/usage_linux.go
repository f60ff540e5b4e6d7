package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// usage is what a process tree has used.
type usage struct {
	cpu  float64 // seconds, those of ended and reaped processes included
	peak int64   // bytes resident in the root at most
	tree int64   // bytes resident in all together, shared pages counted once
}

// ticks: the kernel's clock for /proc/PID/stat, which is the same on all Linux.
const ticks = 100

// process is one line of /proc.
type process struct {
	pid, parent int
	cpu         float64
}

// tree lists a process and its descendants. Those that end meanwhile are left out.
func tree(root int) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The name is in brackets and may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		p := process{pid: pid}
		p.parent, _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseFloat(field, 64)
			p.cpu += n / ticks
		}
		if pid == root {
			found = append(found, p)
		}
		children[p.parent] = append(children[p.parent], p)
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found
}

// cpuOf is the processor time of a tree so far, in seconds.
func cpuOf(root int) float64 {
	total := 0.0
	for _, p := range tree(root) {
		total += p.cpu
	}
	return total
}

// field reads a number of KiB from one of a process's files, in bytes; 0 when it
// is not there.
func field(pid int, file, name string) int64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// census is what a process has at the moment.
type census struct {
	resident             int64 // bytes
	descriptors, threads int
}

func censusOf(pid int) census {
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return census{field(pid, "status", "VmRSS"), len(open), len(threads)}
}

// watch measures a tree from now until the returned function is called. It looks at the
// memory every so often: the kernel adds the pages up for each look.
func watch(root int, every time.Duration) (stop func() usage) {
	before := cpuOf(root)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", root), []byte("5"), 0) // forget the peak so far
	var most int64
	over := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		clock := time.NewTicker(every)
		defer clock.Stop()
		for {
			var sum int64
			for _, p := range tree(root) {
				sum += field(p.pid, "smaps_rollup", "Pss")
			}
			most = max(most, sum)
			select {
			case <-clock.C:
			case <-over:
				return
			}
		}
	})
	return func() usage {
		used := usage{cpu: cpuOf(root) - before, peak: field(root, "status", "VmHWM")}
		close(over)
		sampling.Wait()
		used.tree = most
		return used
	}
}

// memoryOf is the memory of the machine, in bytes.
func memoryOf() int64 {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
