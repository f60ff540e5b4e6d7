package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParseRecord: no bytes make the decoder panic, and what it takes is exactly
// what a worker would write.
func FuzzParseRecord(f *testing.F) {
	for i, event := range story() {
		kind, data, _, err := encodeEvent(event)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encodeRecord(uint64(i+1), ticking()(), event.Job(), kind, DigestOf(nil), data))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		record, err := ParseRecord(raw)
		if err != nil {
			requireTyped(t, err)
			return
		}
		_, data, again, err := encodeEvent(record.Event)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		if again.kind() != record.Kind {
			t.Fatalf("%s became %s", record.Kind, again.kind())
		}
		canonical := encodeRecord(record.Seq, record.Time, record.Job, record.Kind, record.Prev, data)
		if _, err := ParseRecord(canonical); err != nil {
			t.Fatalf("its canonical form is refused: %v\n%s", err, canonical)
		}
	})
}

// FuzzOpen overwrites a part of a journal file, cuts it, and opens it: it opens, or
// it says what is wrong. It does not panic, hang, or give other records than were
// written.
func FuzzOpen(f *testing.F) {
	dir := storyJournal(f)
	whole, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		f.Fatal(err)
	}
	var want [][]byte
	j := open(f, dir)
	for _, record := range allRecords(f, j) {
		want = append(want, record.Raw)
	}
	j.Close()
	f.Add(uint32(0), []byte{}, uint32(0))
	f.Add(uint32(24), []byte{1, 2, 3}, uint32(0))
	f.Add(uint32(4096+24), []byte{0xff}, uint32(0))
	f.Add(uint32(4096*3), []byte("\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00"), uint32(5))
	f.Fuzz(func(t *testing.T, offset uint32, patch []byte, cut uint32) {
		damaged := bytes.Clone(whole)
		copy(damaged[int(offset)%len(damaged):], patch)
		damaged = damaged[:len(damaged)-int(cut)%len(damaged)]
		openDamaged(t, damaged, want)
	})
}

// openDamaged opens a file that may be damaged, and checks that all comes to a
// defined end. It tells whether the journal opened.
func openDamaged(t testing.TB, content []byte, want [][]byte) (opened bool) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir, Options{})
	if err != nil {
		requireTyped(t, err)
		return false
	}
	defer j.Close()
	records := allRecords(t, j)
	// With the newest meta page damaged the file goes on from the commit before.
	if len(records) != len(want) && !(j.store.stale && len(records) == len(want)-1) {
		t.Fatalf("%d records, want %d", len(records), len(want))
	}
	for i, record := range records {
		if !bytes.Equal(record.Raw, want[i]) {
			t.Fatalf("record %d has changed:\n%s\n%s", i+1, record.Raw, want[i])
		}
	}
	if _, err := j.Append(t.Context(), WorkerStopped{Reason: "after the damage"}); err != nil {
		t.Fatalf("append after the opening: %v", err)
	}
	return true
}

// requireTyped checks that an error is one that a program and a person can act on.
func requireTyped(t testing.TB, err error) {
	t.Helper()
	if bad, ok := errors.AsType[*CorruptError](err); ok && bad.Hint != "" && bad.What != "" {
		return
	}
	if later, ok := errors.AsType[*NewerError](err); ok && later.Hint != "" {
		return
	}
	t.Fatalf("not a typed error with a hint: %v", err)
}

// FuzzRepair overwrites a part of a journal that was compacted and has a snapshot:
// opening and repairing it come to a defined end, and what was repaired is good.
func FuzzRepair(f *testing.F) {
	dir := storyJournal(f)
	j := open(f, dir)
	if _, err := j.Compact(f.Context()); err != nil {
		f.Fatal(err)
	}
	appendAll(f, j, WorkerStopped{Reason: "behind the snapshot"})
	j.Close()
	whole, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{}, uint32(0))
	f.Add(uint32(4096*2), bytes.Repeat([]byte{0}, 4096), uint32(0))
	for _, part := range []string{`{"dropped"`, `"kind":"jobs-forgotten"`, `"digest"`, `behind the snapshot`} {
		f.Add(uint32(bytes.Index(whole, []byte(part))), []byte("7"), uint32(0))
	}
	f.Add(uint32(4096), []byte{}, uint32(9000))
	f.Fuzz(func(t *testing.T, offset uint32, patch []byte, cut uint32) {
		damaged := bytes.Clone(whole)
		copy(damaged[int(offset)%len(damaged):], patch)
		damaged = damaged[:len(damaged)-int(cut)%len(damaged)]
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if j, err := Open(dir, Options{}); err != nil {
			requireTyped(t, err)
		} else if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Repair(t.Context(), dir, Options{}); err != nil {
			requireTyped(t, err)
			return
		}
		if _, err := Verify(t.Context(), dir); err != nil {
			t.Fatalf("after the repair: %v", err)
		}
		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("after the repair: %v", err)
		}
		defer j.Close()
		if got, want := dump(j.State()), dump(refolded(t, j)); got != want {
			t.Fatalf("the state is\n%s\nthe fold gives\n%s", got, want)
		}
	})
}
