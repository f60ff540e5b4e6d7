package bridge

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// scarce is the share of memory below which no warm interpreter is kept without a job.
const scarce = 20 // one in so many

// memoryPressure tells why memory is short, "" when it is not.
func memoryPressure() string { return pressureOn(os.DirFS("/")) }

// pressureOn looks at the machine's memory and at the limits of the worker's cgroup and
// of those around it, as a container has them.
func pressureOn(root fs.FS) string {
	machine := machineMemory(root)
	for _, m := range append(cgroupMemory(root), machine) {
		if m.left < m.limit/scarce && m.limit <= machine.limit {
			return fmt.Sprintf("memory is short: %d of %d MiB are available%s", m.left>>20, m.limit>>20, m.where)
		}
	}
	return ""
}

// memoryRoom is how much memory there may be in some place, and how much of that is
// left, in bytes.
type memoryRoom struct {
	limit, left int64
	where       string
}

func machineMemory(root fs.FS) memoryRoom {
	info := figures(root, "proc/meminfo")
	return memoryRoom{limit: info["MemTotal:"] << 10, left: info["MemAvailable:"] << 10}
}

// cgroupMemory gives the limits of version 2 and of version 1. A container without a
// cgroup namespace sees its own limit at the top, and a path that is not there.
func cgroupMemory(root fs.FS) (rooms []memoryRoom) {
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		top, limit, usage, caches := "sys/fs/cgroup", "memory.max", "memory.current", []string{"inactive_file", "active_file", "slab_reclaimable"}
		if fields[1] != "" {
			if !slices.Contains(strings.Split(fields[1], ","), "memory") {
				continue
			}
			top, limit, usage, caches = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", []string{"total_inactive_file", "total_active_file"}
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			folder := path.Join(top, group)
			used := figures(root, path.Join(folder, usage))[""]
			stat := figures(root, path.Join(folder, "memory.stat"))
			for _, cache := range caches { // what the system can drop is not in the way
				used -= stat[cache]
			}
			if most := figures(root, path.Join(folder, limit))[""]; most > 0 {
				rooms = append(rooms, memoryRoom{limit: most, left: most - used, where: " to the cgroup " + group})
			}
			if group == "/" {
				break
			}
		}
	}
	return rooms
}

// figures reads a file of lines "name number ...", or of a number alone, which gets the
// name "". What is not a number, such as "max", is left out, and so is all of a file
// that is not there.
func figures(root fs.FS, name string) map[string]int64 {
	text, _ := fs.ReadFile(root, name)
	found := make(map[string]int64)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 1 {
			fields = []string{"", fields[0]}
		}
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			found[fields[0]] = n
		}
	}
	return found
}
