//go:build unix

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

func TestPandasChunksBecomeOneFile(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	job := s.job(7, "frames", wish{"rows": 20_000, "chunk": 3_000})
	receipt := s.run(job)
	s.succeeded(receipt, 20_000)
	s.published(receipt, map[string]string{"output": "out/frames_7.parquet"})
	s.files("out/frames_7.parquet")
	s.holds(job, "output", "out/frames_7.parquet")
}

func TestArrowBatchesAndTables(t *testing.T) {
	t.Parallel()
	s := begin(t, "batches")
	job := s.job(1, "batches", wish{"rows": 5_000, "chunk": 700})
	receipt := s.run(job)
	s.succeeded(receipt, 5_000)
	s.published(receipt, map[string]string{"output": "out/batches_1.parquet"})
	s.holds(job, "output", "out/batches_1.parquet")
}

// The Sentinel repeats configured sinks after a reload, and appends one for the
// topic `output`, which this plugin never publishes to.
func TestTwoTopicsToTwoSinks(t *testing.T) {
	t.Parallel()
	s := begin(t, "topics")
	s.sentinel.Reload()
	job := s.job(3, "topics", wish{"rounds": 40})
	job.Sinks = []harness.Sink{
		{Topic: "even", URI: "parquet://numbers/even.parquet"},
		{Topic: "odd", URI: "parquet://numbers/odd.parquet?compression=zstd"},
	}
	receipt := s.run(job)
	s.succeeded(receipt, 120)
	s.published(receipt, map[string]string{"even": "numbers/even_3.parquet", "odd": "numbers/odd_3.parquet"})
	s.files("numbers/even_3.parquet", "numbers/odd_3.parquet")
	s.holds(job, "even", "numbers/even_3.parquet")
	s.holds(job, "odd", "numbers/odd_3.parquet")
	if codec := s.codec("numbers/odd_3.parquet"); codec != "ZSTD" {
		s.Errorf("?compression=zstd gave codec %s", codec)
	}
}

func (s *story) codec(file string) string {
	s.Helper()
	program := "import sys, pyarrow.parquet as pq; print(pq.ParquetFile(sys.argv[1]).metadata.row_group(0).column(0).compression)"
	return strings.TrimSpace(string(harness.Python(s, nil, "-c", program, filepath.Join(s.site.Output, file))))
}

func TestTwoSinksOfOneTopicGetTheSameRows(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	job := s.job(4, "frames", wish{"rows": 100, "chunk": 30})
	job.Sinks = []harness.Sink{
		{Topic: "output", URI: "parquet://a"},
		{Topic: "output", URI: "parquet://b/named.parquet?compression=gzip"},
	}
	receipt := s.run(job)
	if receipt.Status != "SUCCESS" || len(receipt.Artifacts) != 2 {
		t.Fatalf("receipt %+v, want SUCCESS with two artifacts", receipt)
	}
	s.files("a/data_4.parquet", "b/named_4.parquet")
	s.holds(job, "output", "a/data_4.parquet")
	s.holds(job, "output", "b/named_4.parquet")
}

func TestNoRowsIsSuccessWithoutAFile(t *testing.T) {
	t.Parallel()
	s := begin(t, "nothing")
	receipt := s.run(s.job(1, "nothing", nil))
	s.succeeded(receipt, 0)
	s.published(receipt, nil)
	s.files()
	if zero, ok := receipt.Metrics["rows"]; !ok || zero != 0 {
		t.Errorf("metrics %v lack rows: 0", receipt.Metrics)
	}
	var named bool
	for metric := range receipt.Metrics {
		named = named || strings.Contains(metric, "output")
	}
	if !named {
		t.Errorf("the receipt does not say that topic output got no file: %+v", receipt)
	}
}

func TestEveryShapeThatUsersYield(t *testing.T) {
	t.Parallel()
	s := begin(t, "shapes", "bare")
	shapes := s.job(1, "shapes", nil)
	s.succeeded(s.run(shapes), 8)
	s.holds(shapes, "output", "out/shapes_1.parquet")

	bare := s.job(2, "bare", nil)
	s.succeeded(s.run(bare), 3)
	s.holds(bare, "output", "out/bare_2.parquet")
}

func TestPluginsThatFail(t *testing.T) {
	t.Parallel()
	s := begin(t, "raises", "exits", "vanishes", "syntax", "frames")
	for id, plugin := range []string{"raises", "exits", "vanishes"} {
		receipt := s.run(s.job(uint64(id+1), plugin, nil))
		switch plugin {
		case "raises":
			s.failed(receipt, "ValueError", "Zeile 4: »Menge« fehlt", "raise ValueError",
				"the last words on stdout", "the last words on stderr")
		default:
			s.failed(receipt)
			if receipt.ErrorMessage == "" {
				t.Errorf("%s: the receipt gives no reason", plugin)
			}
		}
	}
	broken := s.job(4, "frames", nil)
	broken.Plugin, broken.Source = "syntax", "def nonsense(:\n"
	s.failed(s.run(broken), "SyntaxError")

	// None of them did the worker any harm, or left anything.
	s.files()
	s.site.AwaitNoGuests(s.worker)
	job := s.job(5, "frames", wish{"rows": 10, "chunk": 10})
	s.succeeded(s.run(job), 10)
}

func TestNoiseIsDrainedAndItsEndIsKept(t *testing.T) {
	t.Parallel()
	s := begin(t, "noisy")
	quiet := s.job(1, "noisy", nil)
	s.succeeded(s.run(quiet), 50)

	breaks := s.job(2, "noisy", nil)
	breaks.File = s.site.Input("empty", "")
	receipt := s.run(breaks)
	s.failed(receipt, "RuntimeError", "and now it breaks", "noise ends here")
	if size := len(receipt.ErrorMessage); size > 256<<10 {
		t.Errorf("the error message has %d bytes: it should keep the end of the noise, not all", size)
	}
	s.files("out/noisy_1.parquet")
}

// One environment string ends at 128 KiB; the source comes over the socket.
func TestLargePlugins(t *testing.T) {
	t.Parallel()
	s := begin(t, "large")
	for id, size := range map[uint64]int{1: 300 << 10, 2: 5 << 20} {
		job := s.job(id, "frames", wish{"rows": 100, "chunk": 100})
		job.Plugin = "large"
		line := "# " + strings.Repeat("ü", 60) + "\n"
		job.Source = strings.Repeat(line, size/len(line)+1) + job.Source
		s.succeeded(s.run(job), 100)
	}
}

func TestTenJobsAtOnce(t *testing.T) {
	t.Parallel()
	s := beginBurst(t, 10, "frames")
	gate := harness.NewGate(t)
	var jobs []harness.Job
	for id := uint64(1); id <= 10; id++ {
		job := s.job(id, "frames", wish{"rows": 2_000, "chunk": 500, "gate": gate, "gate_after": 2})
		jobs = append(jobs, job)
		s.sentinel.Submit(job)
	}
	// All ten stand in the middle of their rows before any may go on.
	for range jobs {
		gate.AwaitReached()
	}
	for range jobs {
		gate.LetOne()
	}
	var want []string
	for _, job := range jobs {
		s.succeeded(s.sentinel.Receipt(job.ID), 2_000)
		want = append(want, fmt.Sprintf("out/frames_%d.parquet", job.ID))
	}
	gate.Open() // for the comparison, which runs the plugin again
	s.holds(jobs[0], "output", want[0])
	s.holds(jobs[9], "output", want[9])
	want = append(append(want[:1:1], want[9]), want[1:9]...) // in the order of names
	s.files(want...)
}

// More jobs than places: the others wait, and none is refused.
func TestJobsBeyondTheConcurrencyWait(t *testing.T) {
	t.Parallel()
	s := beginBurst(t, 1, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 10, "chunk": 5, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	for id := uint64(2); id <= 6; id++ {
		job := s.job(id, "frames", nil)
		job.File = s.site.Input(fmt.Sprintf("waits-%d.json", id), `{"rows": 10, "chunk": 5}`)
		s.sentinel.Submit(job)
	}
	s.site.Eventually("a heartbeat names job 1", func() error { // and not the last one that was given
		beat := s.heartbeat()
		if beat.Status != "BUSY" || beat.CurrentJobID == nil || *beat.CurrentJobID != 1 {
			return fmt.Errorf("it is %+v", beat)
		}
		return nil
	})
	if done := s.sentinel.Count(func(m harness.Message) bool { return m.Op == "CONCLUDE" }); done != 0 {
		t.Errorf("%d jobs ended while the only place was taken", done)
	}
	gate.LetOne()
	for id := uint64(1); id <= 6; id++ {
		s.succeeded(s.sentinel.Receipt(id), 10)
	}
}

func TestAJobWithoutItsEnvironment(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	job := s.job(1, "frames", wish{"rows": 1, "chunk": 1})
	job.EnvHash = strings.Repeat("0123456789ab", 6)[:64]
	s.failed(s.run(job), "Environment 0123456789ab not provisioned")
	s.files()
}

func TestModes(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	with := func(id uint64, rows int, mode string) harness.Job {
		job := s.job(id, "frames", nil)
		job.File = s.site.Input(fmt.Sprintf("mode-%d.json", id), fmt.Sprintf(`{"rows": %d, "chunk": 10}`, rows))
		job.Sinks = []harness.Sink{{Topic: "output", URI: "parquet://m/" + mode + ".parquet", Mode: mode}}
		return job
	}
	s.succeeded(s.run(with(1, 10, "replace")), 10)
	second := with(2, 20, "replace")
	receipt := s.run(second)
	s.succeeded(receipt, 20)
	s.published(receipt, map[string]string{"output": "m/replace.parquet"})
	s.files("m/replace.parquet")
	s.holds(second, "output", "m/replace.parquet")

	// Whatever the name that mode `error` chooses, a file that has it is not touched.
	first := with(3, 10, "error")
	receipt = s.run(first)
	s.succeeded(receipt, 10)
	taken := harness.ArtifactPath(t, receipt.Artifacts[0])
	if err := os.WriteFile(strings.Replace(taken, "_3.", "_4.", 1), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.failed(s.run(with(4, 10, "error")), "exists")
	if kept, err := os.ReadFile(strings.Replace(taken, "_3.", "_4.", 1)); err != nil || string(kept) != "mine" {
		t.Errorf("the file in the way is now %q (%v)", kept, err)
	}
}

func TestSinksThatAreRefused(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(s.site.Output, "link")); err != nil {
		t.Fatal(err)
	}
	for i, uri := range []string{
		"parquet://../escape.parquet", "parquet://a/../../escape.parquet", "parquet://link/escape.parquet",
		"parquet://a%00b.parquet", "parquet://a.parquet?compression=brotli-9", "carrier-pigeon://coop/7",
	} {
		job := s.job(uint64(i+1), "frames", wish{"rows": 1, "chunk": 1})
		job.Sinks = []harness.Sink{{Topic: "output", URI: uri}}
		receipt := s.run(job)
		s.failed(receipt)
		if receipt.ErrorMessage == "" {
			t.Errorf("%s: refused without a reason", uri)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("something was written outside of the output folder: %v %v", entries, err)
	}
	if err := os.Remove(filepath.Join(s.site.Output, "link")); err != nil {
		t.Fatal(err)
	}
	s.files()
}

func TestColumnsThatCannotBeWrittenAreNamed(t *testing.T) {
	t.Parallel()
	s := begin(t, "odd")
	for i, c := range []struct{ name, source, column string }{
		{"a type that Parquet lacks", `
import pyarrow as pa
class Handler:
    def execute(self, path):
        yield pa.table({"fine": [1], "lasted": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
`, "lasted"},
		{"a type that changes", `
import pyarrow as pa
class Handler:
    def execute(self, path):
        yield pa.table({"moody": [1]})
        yield pa.table({"moody": ["one"]})
`, "moody"},
	} {
		job := s.job(uint64(i+1), "frames", nil)
		job.Plugin, job.Source = "odd", c.source
		s.failed(s.run(job), c.column)
	}
	s.files()

	grows := s.job(9, "frames", nil)
	grows.Plugin, grows.Source = "odd", `
import pyarrow as pa
class Handler:
    def execute(self, path):
        yield pa.table({"a": pa.array([None], pa.null()), "b": pa.array([1], pa.int32())})
        yield pa.table({"b": pa.array([2**40], pa.int64()), "a": ["now text"]})
`
	s.succeeded(s.run(grows), 2)
	program := "import sys, pyarrow.parquet as pq; t = pq.ParquetFile(sys.argv[1]).read(); print(t['a'].to_pylist(), t['b'].to_pylist(), t.column_names)"
	got := string(harness.Python(t, nil, "-c", program, filepath.Join(s.site.Output, "out/odd_9.parquet")))
	if want := "[None, 'now text'] [1, 1099511627776] ['a', 'b', '_job_id', '_file_version_id']\n"; got != want {
		t.Errorf("a safe change of schema was read back as %s, want %s", got, want)
	}
}

// Bar: every type, through the whole path, equal in three readers.
func TestEveryTypeReadsEqual(t *testing.T) {
	t.Parallel()
	s := begin(t, "alltypes")
	job := s.job(1<<62, "alltypes", nil)
	s.succeeded(s.run(job), 9)
	s.holds(job, "output", fmt.Sprintf("out/alltypes_%d.parquet", uint64(1<<62)))
}
