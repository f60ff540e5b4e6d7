//go:build unix

package integration

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// record is one line of `journal inspect --json`.
type record struct {
	Seq  uint64 `json:"seq"`
	Job  uint64 `json:"job"`
	Kind string `json:"kind"`
}

// records reads a site's journal through the command line: from the running
// worker, or from the file when none runs.
func (s *story) records(arguments ...string) []record {
	s.Helper()
	stdout, stderr, code := s.site.Command(append([]string{"journal", "inspect", "--json", "--state-dir", s.site.State}, arguments...)...)
	if code != 0 {
		s.Fatalf("journal inspect: status %d: %s", code, stderr)
	}
	var records []record
	for line := range strings.Lines(stdout) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.Fatalf("journal inspect --json printed %q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

// events counts a job's events of one kind.
func (s *story) events(kind string, job uint64) int {
	s.Helper()
	count := 0
	for _, r := range s.records() {
		if r.Kind == kind && r.Job == job {
			count++
		}
	}
	return count
}

// verified fails the test unless `journal verify` finds the journal whole.
func (s *story) verified() {
	s.Helper()
	stdout, stderr, code := s.site.Command("journal", "verify", "--state-dir", s.site.State)
	if code != 0 {
		s.Errorf("journal verify: status %d\n%s%s", code, stdout, stderr)
	}
}

func TestJournalTellsAJobsLife(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames", "raises")
	s.succeeded(s.run(s.job(1, "frames", wish{"rows": 100, "chunk": 50})), 100)
	s.failed(s.run(s.job(2, "raises", nil)))

	look := func() {
		t.Helper()
		s.verified()
		var kinds []string
		for _, r := range s.records("--job", "1") {
			if r.Job != 1 {
				t.Errorf("--job 1 shows a record of job %d", r.Job)
			}
			kinds = append(kinds, r.Kind)
		}
		got := strings.Join(kinds, " ")
		for _, order := range []string{"job-accepted", "attempt-started", "guest-started", "output-sealed", "job-concluded", "receipt-sent"} {
			_, rest, found := strings.Cut(got, order)
			if !found {
				t.Fatalf("the life of job 1 is %v, want %s in its place", kinds, order)
			}
			got = rest
		}
		stdout, stderr, code := s.site.Command("journal", "inspect", "--state-dir", s.site.State)
		if code != 0 || !strings.Contains(stdout, "job 1") || !strings.Contains(stdout, "frames") || !strings.Contains(stdout, "job 2") {
			t.Errorf("journal inspect (status %d) does not show both jobs:\n%s%s", code, stdout, stderr)
		}
		for i, r := range s.records() {
			if r.Seq != uint64(i+1) {
				t.Fatalf("record %d has number %d", i+1, r.Seq)
			}
		}
	}
	look() // the worker runs, and holds the file
	s.worker.Terminate()
	s.worker.Wait()
	look() // nobody does

	if old := s.records("--since", "2099-01-01T00:00:00"); len(old) != 0 {
		t.Errorf("--since in the future shows %d records", len(old))
	}
	if young := s.records("--since", "1h"); len(young) < 8 {
		t.Errorf("--since 1h shows %d records, want all of them", len(young))
	}
}

func TestJournalFollowShowsWhatComes(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	lines := bufio.NewScanner(s.site.Follow("journal", "inspect", "--json", "--follow", "--state-dir", s.site.State))
	if !lines.Scan() || !strings.Contains(lines.Text(), "worker-started") {
		t.Fatalf("the first line is %q (%v), want worker-started", lines.Text(), lines.Err())
	}
	s.sentinel.Submit(s.job(11, "frames", wish{"rows": 10, "chunk": 10}))
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		if r.Kind == "job-concluded" && r.Job == 11 {
			s.succeeded(s.sentinel.Receipt(11), 10)
			return
		}
	}
	t.Fatalf("--follow ended before the job did: %v", lines.Err())
}

// A byte changed anywhere in the records is found.
func TestJournalVerifyFindsAnAlteredRecord(t *testing.T) {
	t.Parallel()
	s := begin(t, "frames")
	s.succeeded(s.run(s.job(1, "frames", wish{"rows": 100, "chunk": 50})), 100)
	s.worker.Terminate()
	s.worker.Wait()
	s.verified()

	path := s.journalFile()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The same length, another meaning: 100 rows become 900. bbolt keeps old pages,
	// so every copy is altered.
	altered := strings.ReplaceAll(string(data), `"rows":100`, `"rows":900`)
	if altered == string(data) {
		t.Fatal("no record of the journal says 100 rows: nothing was altered")
	}
	if err := os.WriteFile(path, []byte(altered), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := s.site.Command("journal", "verify", "--state-dir", s.site.State)
	if code == 0 {
		t.Errorf("journal verify is content with an altered record:\n%s%s", stdout, stderr)
	}
	t.Logf("journal verify says: %s%s", stdout, stderr)
}

// journalFile is the largest file under the state directory.
func (s *story) journalFile() string {
	s.Helper()
	var largest string
	var size int64
	err := filepath.Walk(s.site.State, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || largest == "" {
		s.Fatalf("find the journal under %s: %v", s.site.State, err)
	}
	return largest
}

// Ten jobs at once, a kill, another process: the chain still holds.
func TestJournalIsWholeAfterAKill(t *testing.T) {
	t.Parallel()
	s := beginBurst(t, 4, "frames")
	gate := harness.NewGate(t)
	for id := uint64(1); id <= 6; id++ {
		s.sentinel.Submit(s.job(id, "frames", wish{"rows": 100, "chunk": 50, "gate": gate, "gate_after": 1}))
	}
	for range 4 {
		gate.AwaitReached()
	}
	s.worker.Kill()
	s.verified()
	gate.Open()
	for range 3 {
		gate.LetOne() // the guests that stand at the gate have outlived their worker
	}
	s.worker = s.site.Start()
	for id := uint64(1); id <= 6; id++ {
		s.succeeded(s.sentinel.Receipt(id), 100)
	}
	s.verified()
	s.site.CheckNoStaging()
}
