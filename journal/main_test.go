package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVariable makes the test binary play a part in a process of its own.
const childVariable = "CASPARIAN_JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childVariable); part != "" {
		children[part](os.Args[len(os.Args)-1])
		return
	}
	goleak.VerifyTestMain(m)
}

// children are the parts that the test binary can play; the argument is a state
// directory.
var children = map[string]func(dir string){
	"appends until killed": childAppendsUntilKilled,
}

// open opens a journal that is closed when the test ends.
func open(t testing.TB, dir string, opts ...Options) *Journal {
	t.Helper()
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// appendAll appends events that have to be legal. Any goroutine may call it.
func appendAll(t testing.TB, j *Journal, events ...Event) {
	t.Helper()
	for _, event := range events {
		if _, err := j.Append(context.Background(), event, blobsFor(event)...); err != nil {
			t.Error(err)
		}
	}
}

// blobsFor gives the content that the events of these tests name.
func blobsFor(event Event) [][]byte {
	switch event.(type) {
	case JobAccepted:
		return [][]byte{pluginSource}
	case EnvironmentRequested:
		return [][]byte{lockfile}
	}
	return nil
}

var (
	pluginSource = []byte("def parse(path):\n    yield 'rows', pandas.read_csv(path, chunksize=1000)\n")
	lockfile     = []byte("version = 1\nrequires-python = \">=3.11\"\n")
)

func jobSpec() JobSpec {
	return JobSpec{
		Plugin: "weather", FilePath: "/data/größe.csv", FileVersionID: 17, EnvHash: "abc", ArtifactHash: "def",
		Source: DigestOf(pluginSource),
		Sinks: []SinkSpec{{Topic: "rows", URI: "parquet:///out/rows", Mode: "append",
			Schema: []byte(`{"columns":[{"name":"t","type":"float64"}]}`)}},
	}
}

func attempt(job uint64, generation, number uint32) Attempt {
	return Attempt{JobID: job, Generation: generation, Attempt: number}
}

// checkpoint is of so many durable rows, ten to a batch.
func checkpoint(rows int64) Checkpoint {
	return Checkpoint{Batches: uint64(rows) / 10, Digest: "00000000000000ff", Outputs: []Output{{Sink: jobSpec().Sinks[0],
		Token: []byte(`{"end":1024}`), Rows: rows, Bytes: 1024}},
		Whole: Whole{Batches: uint64(rows)/10 - 1, Digest: "00000000000000fe", Rows: rows - 10, Ahead: []int64{10}}}
}

func success(topic string) Receipt {
	return Receipt{Status: Success, Metrics: map[string]int64{"rows": 100, "bytes": 4096},
		Artifacts: []Artifact{{Topic: topic, URI: "file:///out/" + topic + ".parquet"}}}
}

// wholeLife is the life of a job from its dispatch to its confirmed receipt.
func wholeLife(job uint64) []Event {
	return []Event{
		JobAccepted{JobID: job, Generation: 1, Spec: jobSpec(), Origin: OriginNew},
		AttemptStarted{Attempt: attempt(job, 1, 1), Interpreter: "/envs/abc/bin/python"},
		GuestStarted{Attempt: attempt(job, 1, 1), Guest: Guest{PID: 4242, StartTime: 99, Marker: "m",
			Address: "/state/guests/guest-1.sock", Token: "ab", StartedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}},
		OutputSealed{Attempt: attempt(job, 1, 1), Outputs: []Output{{Sink: jobSpec().Sinks[0],
			Token: []byte(`{"end":4096,"rows":100}`), Rows: 100, Bytes: 4096}}, Metrics: map[string]int64{"rows": 100}},
		JobConcluded{JobID: job, Generation: 1, Receipt: success("rows")},
		ReceiptSent{JobID: job, Generation: 1, Connection: 3},
		ReceiptConfirmed{JobID: job, Generation: 1, Evidence: "next dispatch on the connection"},
	}
}

// story is a log that has every event type in it.
func story() []Event {
	events := []Event{
		WorkerStarted{WorkerID: "edge-1", Version: "1.0.0", PID: 100},
		JournalRepaired{SetAside: "journal.db.damaged-1", Lost: 3, Jobs: []uint64{2}},
		EnvironmentRequested{EnvHash: "abc", Lockfile: DigestOf(lockfile), PythonVersion: "3.12"},
		EnvironmentReady{EnvHash: "abc", Interpreter: "/envs/abc/bin/python"},
		EnvironmentFailed{EnvHash: "broken", Reason: "no such package: nonesuch"},
		EnvironmentEvicted{EnvHash: "broken"},
	}
	events = append(events, wholeLife(1)...)
	return append(events,
		JobAccepted{JobID: 2, Generation: 1, Spec: jobSpec(), Origin: OriginNew, Lane: 3},
		AttemptStarted{Attempt: attempt(2, 1, 1), Interpreter: "/envs/abc/bin/python"},
		GuestStarted{Attempt: attempt(2, 1, 1), Guest: Guest{PID: 4243, StartTime: 100, Address: "/state/guests/guest-2.sock", Token: "cd"}},
		GuestReattached{Attempt: attempt(2, 1, 1)},
		SinkChosen{Attempt: attempt(2, 1, 1), Sink: SinkSpec{Topic: "errors", URI: "parquet://errors.parquet", Mode: "append"}},
		OutputCheckpointed{Attempt: attempt(2, 1, 1), Checkpoint: checkpoint(40)},
		AttemptInterrupted{Attempt: attempt(2, 1, 1), Reason: "the worker stops"},
		WorkerStopped{Reason: "SIGTERM"},
		WorkerStarted{WorkerID: "edge-1", Version: "1.0.1", PID: 101},
		AttemptStarted{Attempt: attempt(2, 1, 2), Interpreter: "/envs/abc/bin/python"},
		LanesOpened{Lanes: 4},
		LanesForgotten{Lanes: 2},
		OutputResumed{Attempt: attempt(2, 1, 2), Batches: 4},
		OutputSetAside{Attempt: attempt(2, 1, 2), Reason: "the staged file is shorter than it was"},
		AbortRequested{JobID: 2, Generation: 1},
		JobConcluded{JobID: 2, Generation: 1, Receipt: Receipt{Status: Failed, Error: "aborted"},
			At: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)},
		ReceiptUndelivered{JobID: 2, Generation: 1, Reason: "owed for 7 days"},
		JobsForgotten{Jobs: []uint64{1}},
	)
}

// storyJournal writes the story and closes the journal.
func storyJournal(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	j, err := Open(dir, Options{Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, story()...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ticking is a clock that goes on by a millisecond at each look.
func ticking() func() time.Time {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

// allRecords reads the whole log.
func allRecords(t testing.TB, j interface {
	Records(uint64, func(Record) error) error
}) (records []Record) {
	t.Helper()
	err := j.Records(1, func(r Record) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func isCorrupt(err error) bool { _, ok := errors.AsType[*CorruptError](err); return ok }

// dump spells a state out in full, so that two of them can be compared.
func dump(s State) string {
	text := fmt.Sprintf("events %d worker %q starts %d stopped %v lanes %d forgotten %d jobs %d\n",
		s.Events, s.WorkerID, s.Starts, s.Stopped, s.Lanes, s.Forgotten, s.JobCount())
	if s.JobCount() > 0 {
		jobs := map[uint64]string{}
		for it := s.jobs.Iterator(); !it.Done(); {
			id, job, _ := it.Next()
			jobs[id] = dumpJob(job)
		}
		text += fmt.Sprintln(jobs)
	}
	for job := range s.Unfinished() {
		text += fmt.Sprintln("unfinished", job.Order, job.ID)
	}
	for job := range s.Owed() {
		text += fmt.Sprintln("owed", job.Order, job.ID)
	}
	for job := range s.Undelivered() {
		text += fmt.Sprintln("undelivered", job.Order, job.ID)
	}
	environments := map[string]Environment{}
	for environment := range s.Environments() {
		environments[environment.Hash] = environment
	}
	return text + fmt.Sprintln(environments)
}

func dumpJob(j *Job) string {
	flat := *j
	flat.Guest, flat.Receipt, flat.Checkpoint = nil, nil, nil
	text := fmt.Sprintf("%+v", flat)
	if j.Guest != nil {
		text += fmt.Sprintf(" guest %+v", *j.Guest)
	}
	if j.Checkpoint != nil {
		text += fmt.Sprintf(" checkpoint %+v", *j.Checkpoint)
	}
	if j.Receipt != nil {
		text += fmt.Sprintf(" receipt %+v", *j.Receipt)
	}
	return text
}
