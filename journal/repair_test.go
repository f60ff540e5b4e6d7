package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/casparian-flow/casparian-worker/ops/disk"
)

// written is what a journal file holds.
type written struct {
	id      string
	records [][]byte
}

// damagedJournal writes a journal of some pages and damages its file. Where in the
// file a page comes to lie is bbolt's own choice, another one each time.
func damagedJournal(t testing.TB, damage func(content []byte, w written) []byte) (dir string, want [][]byte) {
	t.Helper()
	dir = t.TempDir()
	j := open(t, dir, Options{Now: ticking()})
	lives(t, j, 1, 12)
	appendAll(t, j, JobAccepted{JobID: 13, Generation: 1, Spec: jobSpec(), Origin: OriginNew})
	lives(t, j, 14, 20)
	for _, r := range allRecords(t, j) {
		want = append(want, r.Raw)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = damage(content, written{j.store.info.ID, want})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, want
}

// everyCopy calls fn with each place where a record lies, on freed pages too.
func everyCopy(t testing.TB, content, record []byte, fn func(at int)) {
	t.Helper()
	found := false
	for from := 0; ; found = true {
		i := bytes.Index(content[from:], record)
		if i < 0 {
			break
		}
		at := from + i
		from = at + 1
		fn(at)
	}
	if !found {
		t.Fatal("the record is not in the file as it is")
	}
}

// flip flips a bit in a record.
func flip(t testing.TB, record int) func([]byte, written) []byte {
	return func(content []byte, w written) []byte {
		everyCopy(t, content, w.records[record-1], func(at int) { content[at+40] ^= 1 })
		return content
	}
}

// cutShort takes the last quarter of the file away, or as much of it as leaves a page
// with the journal's id, one with its first record, and one with the record that
// accepts job 13: without the first two nothing can be kept.
func cutShort(content []byte, w written) []byte {
	end := len(content) / 4 * 3
	for _, needed := range [][]byte{[]byte(w.id), w.records[0], w.records[slices.IndexFunc(w.records, func(raw []byte) bool {
		r, err := ParseRecord(raw)
		return err == nil && r.Job == 13
	})]} {
		page := bytes.Index(content, needed) / os.Getpagesize()
		end = max(end, (page+1)*os.Getpagesize())
	}
	return content[:end]
}

// TestARepair: every record in front of the first bad one stays, the damaged file is
// set aside as it was, and the worker goes on.
func TestARepair(t *testing.T) {
	const bad = 100
	for name, damage := range map[string]func([]byte, written) []byte{
		"a flipped bit in a record": flip(t, bad),
		"a page of zeroes": func(content []byte, w written) []byte {
			everyCopy(t, content, w.records[bad-1], func(at int) {
				page := at / os.Getpagesize() * os.Getpagesize()
				clear(content[page : page+os.Getpagesize()])
			})
			return content
		},
		"both meta pages gone as well": func(content []byte, w written) []byte {
			clear(content[:2*os.Getpagesize()])
			return flip(t, bad)(content, w)
		},
		"the file cut short": func(content []byte, w written) []byte {
			return cutShort(flip(t, bad)(content, w), w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := damagedJournal(t, damage)
			path := filepath.Join(dir, fileName)
			damaged, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Options{}); !isCorrupt(err) || !strings.Contains(err.Error(), "journal repair") {
				t.Fatalf("before the repair: %v", err)
			}
			report, err := Repair(t.Context(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !isCorrupt(report.Damage) || report.Kept >= bad || name[0] == 'a' && name[2] == 'f' && report.Kept != bad-1 {
				t.Errorf("%+v", report)
			}
			if aside, err := os.ReadFile(report.SetAside); err != nil || !bytes.Equal(aside, damaged) {
				t.Errorf("what is set aside is not the damaged file: %v", err)
			}
			j := open(t, dir)
			kept := allRecords(t, j)
			told, ok := kept[len(kept)-1].Event.(JournalRepaired)
			if !ok || uint64(len(kept)) != report.Kept+1 || told.Lost != report.Lost || !slices.Equal(told.Jobs, report.Jobs) ||
				told.SetAside != filepath.Base(report.SetAside) {
				t.Errorf("%d records, the last: %+v, %v", len(kept), kept[len(kept)-1].Event, report)
			}
			for i, r := range kept[:len(kept)-1] {
				if !bytes.Equal(r.Raw, want[i]) {
					t.Fatalf("record %d has changed", i+1)
				}
			}
			if !slices.Contains(report.Jobs, 13) {
				t.Errorf("job 13 was accepted behind the damage, and only %v are named", report.Jobs)
			}
			if _, err := j.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			appendAll(t, j, WorkerStarted{WorkerID: "w"})
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if again, err := Repair(t.Context(), dir, Options{}); err != nil || again.Damage != nil || again.SetAside != "" {
				t.Errorf("a second repair: %+v, %v", again, err)
			}
			requireOnlyFiles(t, dir, fileName, filepath.Base(report.SetAside), lockName)
		})
	}
}

// TestARepairOfALostSource: nothing of the log is lost, and the job that cannot run
// any more is named.
func TestARepairOfALostSource(t *testing.T) {
	dir, _ := damagedJournal(t, func(content []byte, _ written) []byte {
		return bytes.ReplaceAll(content, pluginSource, bytes.Replace(pluginSource, []byte("def"), []byte("fed"), 1))
	})
	report, err := Repair(t.Context(), dir, Options{})
	if err != nil || report.Lost != 0 || fmt.Sprint(report.Jobs) != "[13]" {
		t.Fatalf("%+v, %v", report, err)
	}
	if verified, err := Verify(t.Context(), dir); err != nil || verified.Checked != report.Kept+1 {
		t.Errorf("%+v, %v", verified, err)
	}
}

// TestARepairBehindACompaction: gaps are kept like records, also when the event that
// they come from is lost.
func TestARepairBehindACompaction(t *testing.T) {
	for name, forgottenStays := range map[string]bool{"the event stays": true, "the event is lost": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir)
			lives(t, j, 1, 3)
			appendAll(t, j, JobsForgotten{Jobs: []uint64{1, 2}}, WorkerStopped{Reason: "marker"})
			if _, err := j.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := allRecords(t, j)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, fileName)
			content, _ := os.ReadFile(path)
			old, new := []byte(`{"reason":"marker"}`), []byte(`{"reason":"mXrker"}`)
			if !forgottenStays {
				old, new = []byte(`{"jobs":[1,2]}`), []byte(`{"jobs":[1,X]}`)
			}
			content = bytes.ReplaceAll(content, old, new)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := Repair(t.Context(), dir, Options{})
			if err != nil || report.Damage == nil {
				t.Fatalf("%+v, %v", report, err)
			}
			lost := 1
			if !forgottenStays {
				lost = 2
			}
			again := open(t, dir)
			kept := allRecords(t, again)
			if len(kept) != len(before)-lost+1 {
				t.Errorf("%d of %d records are kept", len(kept)-1, len(before))
			}
			if _, err := again.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			if due, err := again.CompactionDue(); err != nil || !due {
				t.Error(due, err)
			}
			if _, err := again.Compact(t.Context()); err != nil {
				t.Error(err)
			}
			if got, want := dump(refolded(t, again)), dump(again.State()); got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestARepairThatIsCutOff fails each call of the disk in turn, as a crash there
// would: the damaged file or the repaired one is in place, and the next repair ends
// it.
func TestARepairThatIsCutOff(t *testing.T) {
	template, _ := damagedJournal(t, flip(t, 100))
	damaged, err := os.ReadFile(filepath.Join(template, fileName))
	if err != nil {
		t.Fatal(err)
	}
	for at := 1; ; at++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		count := 0
		var failed disk.Op
		_, err := Repair(t.Context(), dir, Options{Disk: func(call disk.Call) error {
			if count++; count == at {
				failed = call.Op
				return syscall.EIO
			}
			return nil
		}})
		if count < at {
			if err != nil || at < 8 {
				t.Errorf("after %d calls: %v", count, err)
			}
			return
		}
		if (err == nil) != (failed == disk.Link) { // without links it copies
			t.Errorf("call %d, %s, failed: %v", at, failed, err)
		}
		if _, err := Repair(t.Context(), dir, Options{}); err != nil {
			t.Fatalf("call %d, then again: %v", at, err)
		}
		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("call %d: %v", at, err)
		}
		if n := len(allRecords(t, j)); n != 100 {
			t.Errorf("call %d: %d records are kept", at, n)
		}
		j.Close()
	}
}

// TestWhatCannotBeRepaired says so, and leaves the file alone.
func TestWhatCannotBeRepaired(t *testing.T) {
	for name, content := range map[string][]byte{
		"an empty file": nil,
		"text":          bytes.Repeat([]byte("not a journal\n"), 1000),
		"zeroes":        make([]byte, 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, fileName), content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Repair(t.Context(), dir, Options{})
			requireTyped(t, err)
			if !strings.Contains(err.Error(), "move the file") {
				t.Error(err)
			}
			if left, err := os.ReadFile(filepath.Join(dir, fileName)); err != nil || !bytes.Equal(left, content) {
				t.Error("the file has changed", err)
			}
			requireOnlyFiles(t, dir, fileName, lockName)
		})
	}
	if _, err := Repair(t.Context(), t.TempDir(), Options{}); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	dir := t.TempDir()
	open(t, dir)
	if _, err := Repair(t.Context(), dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
}
