//go:build unix

// The tests in this package run the worker's real binary against a real libzmq
// Sentinel. Each is a story: jobs are given, things go wrong, and in the end the
// Sentinel's books and the files must agree.
package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, func() error { return goleak.Find() }))
}

// story is one Sentinel, one worker's site and, after begin, one worker.
type story struct {
	*testing.T
	sentinel *harness.Sentinel
	site     *harness.Site
	worker   *harness.Worker
}

// wish is what a test plugin is told in its input file.
type wish map[string]any

// begin starts a Sentinel that gives one job at a time, and a worker for the
// plugins.
func begin(t *testing.T, plugins ...string) *story {
	t.Helper()
	return beginWith(t, false, harness.Options{Plugins: plugins})
}

// rerun has guests die with their worker, so that their jobs run again.
var rerun = []string{"--reattach", "0"}

// warmAndCold runs a test both ways in which a guest is started, with more flags.
func warmAndCold(t *testing.T, test func(t *testing.T, begin func(plugins ...string) *story), more ...string) {
	for name, arguments := range map[string][]string{"warm": nil, "cold": {"--warm-guests", "off"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(plugins ...string) *story {
				return beginWith(t, false, harness.Options{Plugins: plugins, Arguments: slices.Concat(arguments, more)})
			})
		})
	}
}

// beginBurst is begin with a Sentinel that gives jobs without waiting.
func beginBurst(t *testing.T, concurrency int, plugins ...string) *story {
	t.Helper()
	return beginWith(t, true, harness.Options{Plugins: plugins, Concurrency: concurrency})
}

func beginWith(t *testing.T, burst bool, options harness.Options) *story {
	t.Helper()
	sentinel := harness.StartSentinel(t, burst)
	site := harness.NewSite(t, sentinel, options)
	return &story{T: t, sentinel: sentinel, site: site, worker: site.Start()}
}

// job is a job for one of the test plugins, with an input file of its own.
func (s *story) job(id uint64, plugin string, w wish) harness.Job {
	s.Helper()
	content, err := json.Marshal(w)
	if err != nil {
		s.Fatal(err)
	}
	return harness.Job{
		ID: id, Plugin: plugin, Source: harness.Plugin(s, plugin),
		File: s.site.Input(plugin+".json", string(content)), FileVersionID: int64(id) + 1000,
	}
}

// run submits a job and waits for its receipt.
func (s *story) run(job harness.Job) harness.Receipt {
	s.Helper()
	mark := s.sentinel.Mark()
	s.sentinel.Submit(job)
	return s.sentinel.ReceiptAfter(job.ID, mark)
}

// succeeded fails the test unless the receipt says SUCCESS with that many rows.
func (s *story) succeeded(receipt harness.Receipt, rows int64) {
	s.Helper()
	if receipt.Status != "SUCCESS" {
		s.Fatalf("the job is %s: %s", receipt.Status, receipt.ErrorMessage)
	}
	if got := receipt.Metrics["rows"]; got != rows {
		s.Errorf("the receipt says %d rows, want %d (all metrics: %v)", got, rows, receipt.Metrics)
	}
}

// failed fails the test unless the receipt says FAILED, has no artifacts, and its
// message has every one of the words.
func (s *story) failed(receipt harness.Receipt, words ...string) {
	s.Helper()
	if receipt.Status != "FAILED" {
		s.Fatalf("the job is %s, want FAILED", receipt.Status)
	}
	if len(receipt.Artifacts) != 0 {
		s.Errorf("a failed job has artifacts: %v", receipt.Artifacts)
	}
	for _, word := range words {
		if !strings.Contains(receipt.ErrorMessage, word) {
			s.Errorf("the error message lacks %q:\n%.2000s", word, receipt.ErrorMessage)
		}
	}
}

// published fails the test unless the artifacts are exactly these, topic to path
// under the output folder, and no other file is there.
func (s *story) published(receipt harness.Receipt, want map[string]string) {
	s.Helper()
	got := map[string]string{}
	for _, artifact := range receipt.Artifacts {
		relative, err := filepath.Rel(s.site.Output, harness.ArtifactPath(s, artifact))
		if err != nil {
			s.Fatal(err)
		}
		got[artifact["topic"]] = filepath.ToSlash(relative)
	}
	if len(got) != len(want) || len(receipt.Artifacts) != len(want) {
		s.Errorf("artifacts %v, want %v", got, want)
	}
	for topic, path := range want {
		if got[topic] != path {
			s.Errorf("the artifact of topic %s is %q, want %q", topic, got[topic], path)
		}
	}
}

// files fails the test unless the output folder holds exactly these.
func (s *story) files(want ...string) {
	s.Helper()
	got := s.site.Files()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.Errorf("files in the output folder: %q, want %q", got, want)
	}
}

// holds compares an output file with what the job's plugin yields.
func (s *story) holds(job harness.Job, topic, file string) {
	s.Helper()
	rows := harness.CheckFile(s, harness.Comparison{
		Plugin: harness.PluginPath(s, job.Plugin), Input: job.File, Topic: topic,
		File: filepath.Join(s.site.Output, file), JobID: job.ID, FileVersionID: job.FileVersionID,
	})
	if rows == 0 {
		s.Errorf("the comparison of %s was with no rows", file)
	}
}
