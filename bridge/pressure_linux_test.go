package bridge

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestMemoryPressure(t *testing.T) {
	const meminfo = "MemTotal:       8388608 kB\nMemFree:  1 kB\nMemAvailable:   4194304 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // a part of the reason; "" for none
	}{
		"enough":         {map[string]string{"proc/meminfo": meminfo}, ""},
		"nothing to see": {nil, ""},
		"of the machine": {map[string]string{"proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 102400 kB\n"}, "100 of 8192 MiB are available"},
		"of a container, version 2": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/memory.current": "1063256064\n", "sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 0\n"},
			"10 of 1024 MiB are available to the cgroup /"},
		"but its cache can go": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/memory.current": "1063256064\n", "sys/fs/cgroup/memory.stat": "inactive_file 26843546\nactive_file 26843546\nslab_reclaimable 26843546\n"}, ""},
		"of a cgroup further up": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a.slice/b.service\n",
			"sys/fs/cgroup/a.slice/b.service/memory.max": "max\n", "sys/fs/cgroup/a.slice/b.service/memory.current": "1\n",
			"sys/fs/cgroup/a.slice/memory.max": "2097152\n", "sys/fs/cgroup/a.slice/memory.current": "2097152\n"},
			"0 of 2 MiB are available to the cgroup /a.slice"},
		"of a container, version 1, under a name from outside": {map[string]string{"proc/meminfo": meminfo,
			"proc/self/cgroup":                           "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/memory.stat": "inactive_file 1073741824\ntotal_inactive_file 524288\ntotal_active_file 524288\n"},
			"1 of 1024 MiB are available to the cgroup /"},
		"no limit, version 1": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "9223372036854771712\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range c.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			got := pressureOn(root)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
