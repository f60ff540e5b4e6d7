//go:build unix

package integration

import (
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// What a DISPATCH means that was seen before. The Sentinel never says.

func TestDispatchOfARunningJobIsIgnored(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	gate.AwaitReached()
	s.sentinel.Resend(1)
	s.sentinel.Resend(1)
	s.heartbeat() // answered behind the two, so they were read
	gate.Open()
	s.succeeded(s.sentinel.Receipt(1), 100)
	s.heartbeat()
	if n := s.sentinel.Receipts(1); n != 1 {
		t.Errorf("%d receipts for a job that ran once", n)
	}
	s.files("out/frames_1.parquet")
}

// heartbeat asks for a heartbeat and waits for it: everything sent before was
// read by then.
func (s *story) heartbeat() harness.Heartbeat {
	s.Helper()
	mark := s.sentinel.Mark()
	s.sentinel.AskHeartbeat(s.worker.Identity)
	return harness.Decode[harness.Heartbeat](s, s.sentinel.AwaitOp("HEARTBEAT", mark).Payload)
}

// On one connection a job that has its receipt is given again on purpose.
func TestRetryRunsAgainAndReplacesTheOutput(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	job := s.job(1, "frames", wish{"rows": 100, "chunk": 50})
	s.succeeded(s.run(job), 100)

	// The file behind the path has more rows now: a run that really ran shows.
	s.site.Input("frames.json", `{"rows": 130, "chunk": 50}`)
	mark := s.sentinel.Mark()
	s.sentinel.Retry(1)
	receipt := s.sentinel.ReceiptAfter(1, mark)
	s.succeeded(receipt, 130)
	s.files("out/frames_1.parquet")
	s.holds(job, "output", "out/frames_1.parquet")

	// A retry without rows takes the earlier output away.
	s.site.Input("frames.json", `{"rows": 0, "chunk": 50}`)
	mark = s.sentinel.Mark()
	s.sentinel.Retry(1)
	s.succeeded(s.sentinel.ReceiptAfter(1, mark), 0)
	s.files()
}

// A retry that fails leaves what the run before it published.
func TestRetryThatFailsLeavesTheEarlierOutput(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	job := s.job(1, "frames", wish{"rows": 100, "chunk": 50})
	s.succeeded(s.run(job), 100)
	whole := s.site.Input("frames.json", `{"rows": 40}`) // no chunk: the plugin raises
	mark := s.sentinel.Mark()
	s.sentinel.Retry(1)
	s.failed(s.sentinel.ReceiptAfter(1, mark), "KeyError")
	s.files("out/frames_1.parquet")
	if whole != job.File {
		t.Fatalf("the retry read %s, the job %s", whole, job.File)
	}
	s.site.Input("frames.json", `{"rows": 100, "chunk": 50}`)
	s.holds(job, "output", "out/frames_1.parquet")
}

// After a reset of the Sentinel's database an old id is a new job.
func TestSameIDWithOtherContentIsAnotherJob(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames", "topics")
	s.succeeded(s.run(s.job(1, "frames", wish{"rows": 100, "chunk": 50})), 100)

	other := s.job(1, "topics", wish{"rounds": 5})
	other.Sinks = []harness.Sink{{Topic: "even", URI: "parquet://even"}, {Topic: "odd", URI: "parquet://odd"}}
	receipt := s.run(other)
	s.succeeded(receipt, 15)
	// The earlier job's file is somebody's data and not this job's to remove.
	s.files("even/data_1.parquet", "odd/data_1.parquet", "out/frames_1.parquet")
	s.holds(other, "even", "even/data_1.parquet")
}

// A new connection, and the same job: its receipt may have been lost with the
// old one. It is sent again, and nothing runs.
func TestDispatchOnANewConnectionRepeatsTheReceipt(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	gate := harness.NewGate(t)
	gate.Open()
	s.sentinel.Submit(s.job(1, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	first := s.sentinel.Receipt(1)
	s.succeeded(first, 100)

	s.sentinel.Close()
	mark := s.sentinel.Mark()
	s.sentinel.Open()
	s.sentinel.AwaitOp("IDENTIFY", mark)
	mark = s.sentinel.Mark()
	s.sentinel.Resend(1)
	again := s.sentinel.ReceiptAfter(1, mark)
	s.succeeded(again, 100)
	s.heartbeat()
	if n := s.events("job-accepted", 1); n != 1 {
		t.Errorf("the journal has %d generations of job 1, want 1", n)
	}
	if n := s.events("attempt-started", 1); n != 1 {
		t.Errorf("the journal has %d attempts of job 1, want 1", n)
	}
	s.files("out/frames_1.parquet")
}
