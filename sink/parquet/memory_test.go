package parquet

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// loaded is what internal/rowload prints.
type loaded struct {
	Rows       int64   `json:"rows"`
	FileBytes  int64   `json:"file_bytes"`
	PeakBytes  int64   `json:"peak_bytes"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// TestMemoryStaysFlat: 20 million rows of six columns take no more memory than
// 5 million, and less than 100 MB with all of Go's own. The rows are written in a
// process of their own, built without the race detector.
func TestMemoryStaysFlat(t *testing.T) {
	program := filepath.Join(t.TempDir(), "rowload")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./internal/rowload")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build rowload: %v\n%s", err, out)
	}
	load := func(args ...string) loaded {
		t.Helper()
		root := filepath.Join(t.TempDir(), "out")
		command := exec.CommandContext(t.Context(), program, append([]string{"-root", root}, args...)...)
		command.Stderr = os.Stderr
		out, err := command.Output()
		must(t, err)
		var result loaded
		must(t, json.Unmarshal(out, &result))
		must(t, os.RemoveAll(root))
		t.Logf("%v: %d MB at the peak, a file of %d MB, %.1f s, %.1f CPU-s", args, result.PeakBytes>>20, result.FileBytes>>20,
			result.Seconds, result.CPUSeconds)
		return result
	}
	five, twenty := load("-rows", "5000000"), load("-rows", "20000000")
	often := load("-rows", "5000000", "-flush", "100000")
	if five.Rows != 5_000_000 || twenty.Rows != 20_000_000 || twenty.FileBytes < 3*five.FileBytes {
		t.Errorf("rows and bytes: %+v, %+v", five, twenty)
	}
	if five.PeakBytes == 0 {
		t.Logf("NOT TESTED HERE: %s does not tell a process's peak of memory", runtime.GOOS)
		return
	}
	// The peak depends on where the garbage collector happens to stand: runs of 5M
	// rows differ by 15 MB among themselves. The file grows by 380 MB: to keep a tenth
	// of that would show.
	const most, noise = 100_000_000, 38 << 20
	for name, result := range map[string]loaded{"5M rows": five, "20M rows": twenty, "5M rows, flushed often": often} {
		if result.PeakBytes > most {
			t.Errorf("%s: %d MB resident, at most %d MB are wanted", name, result.PeakBytes>>20, most>>20)
		}
	}
	if twenty.PeakBytes > five.PeakBytes+noise {
		t.Errorf("memory grows with the rows: %d MB for 5M, %d MB for 20M", five.PeakBytes>>20, twenty.PeakBytes>>20)
	}
}
