package crashpoint

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// With this variable the test binary is a process that a drill wants dead.
const victim = "CRASHPOINT_TEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victim) == "" {
		os.Exit(m.Run())
	}
	if err := Arm(); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(2)
	}
	for range 3 {
		Reach(SinkWriteBefore)
		Reach(SinkWriteAfter)
	}
}

// process runs this test binary with a script and gives its trace, point by point,
// and how it ended.
func process(t *testing.T, script string) (points []string, stderr, status string) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0])
	command.Env = append(os.Environ(), victim+"=1", Variable+"="+strings.ReplaceAll(script, "TRACE", filepath.ToSlash(trace)))
	var problems strings.Builder
	command.Stderr = &problems
	_ = command.Run() // the status tells
	content, err := os.ReadFile(trace)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		_, point, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		points = append(points, point)
	}
	return points, problems.String(), command.ProcessState.String()
}

func TestProcessEndsAtThePassingThatIsAskedFor(t *testing.T) {
	points, stderr, status := process(t, Script{Trace: "TRACE", Kill: SinkWriteAfter, Passing: 2}.Encode())
	if want := "sink.write.before sink.write.after sink.write.before sink.write.after"; strings.Join(points, " ") != want {
		t.Errorf("it passed %q, want %q", points, want)
	}
	if status == "exit status 0" || stderr != "" {
		t.Errorf("it ended with %s, %s", status, stderr)
	}
}

func TestProcessOnlyCounts(t *testing.T) {
	points, _, status := process(t, Script{Trace: "TRACE"}.Encode())
	if len(points) != 6 || status != "exit status 0" {
		t.Errorf("it passed %q and ended with %s", points, status)
	}
}

func TestScriptThatCannotBeCarriedOut(t *testing.T) {
	for script, want := range map[string]string{
		`{"kill": "no.such.point"}`:    `there is no point "no.such.point"`,
		`not JSON`:                     Variable,
		`{"trace": "TRACE/no/folder"}`: "the drill's trace",
	} {
		if _, stderr, status := process(t, script); status != "exit status 2" || !strings.Contains(stderr, want) {
			t.Errorf("%s: it ended with %s and said %q, want %q", script, status, stderr, want)
		}
	}
}

func TestPointsAreDescribedOnceEach(t *testing.T) {
	seen := map[Point]bool{}
	for _, d := range All {
		if seen[d.Point] || d.When == "" {
			t.Errorf("%s: listed twice, or without a word", d.Point)
		}
		seen[d.Point] = true
		if !Known(d.Point) {
			t.Errorf("%s is not known", d.Point)
		}
	}
}

func BenchmarkReachWhenOff(b *testing.B) {
	for b.Loop() {
		Reach(SinkWriteBefore)
	}
}
