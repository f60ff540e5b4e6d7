package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// readJournal gives the bytes of a journal file and its records.
func readJournal(t testing.TB, dir string) (content []byte, raws [][]byte) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, record := range allRecords(t, reader) {
		raws = append(raws, record.Raw)
	}
	return content, raws
}

// deepJournal has a log of many pages below a branch, and blobs that reach over
// pages.
func deepJournal(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	fillQuickly(t, dir, 20)
	j, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := j.Append(t.Context(), WorkerStopped{}, bytes.Repeat([]byte{byte(i)}, 9000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAnyByteMayFlip flips bytes all over a file, the headers of all pages among
// them: the journal opens with the records that were written, or says what is wrong.
func TestAnyByteMayFlip(t *testing.T) {
	content, want := readJournal(t, deepJournal(t))
	step := 2039
	if testing.Short() {
		step = 7919
	}
	var offsets []int
	for offset := 0; offset < len(content); offset += step {
		offsets = append(offsets, offset)
	}
	for page := 0; page < len(content); page += os.Getpagesize() {
		for i := range pageHeader + 2*pageElement {
			if i%16 == page/os.Getpagesize()%16 {
				offsets = append(offsets, page+i)
			}
		}
	}
	for i := 0; i < pageHeader+metaSize; i += 3 {
		offsets = append(offsets, i)
	}
	opened, refused := 0, 0
	for i, offset := range offsets {
		damaged := bytes.Clone(content)
		damaged[offset] ^= []byte{0x01, 0x80, 0xff}[i%3]
		if openDamagedForReading(t, damaged, want) {
			opened++
		} else {
			refused++
		}
	}
	t.Logf("%d flips: %d harmless, %d refused", len(offsets), opened, refused)
	if refused == 0 || opened == 0 {
		t.Error("the flips did not reach both")
	}
}

// openDamagedForReading is openDamaged without the writing, for many files.
func openDamagedForReading(t testing.TB, content []byte, want [][]byte) (opened bool) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := OpenReadOnly(dir)
	if err != nil {
		requireTyped(t, err)
		return false
	}
	defer reader.Close()
	var got [][]byte
	err = reader.Records(1, func(r Record) error {
		got = append(got, r.Raw)
		return nil
	})
	// What was delivered before the damage was met is what was written.
	for i, raw := range got {
		if !bytes.Equal(raw, want[i]) {
			t.Fatalf("record %d has changed", i+1)
		}
	}
	if err != nil {
		requireTyped(t, err)
		return false
	}
	if len(got) != len(want) && !(reader.store.stale && len(got) == len(want)-1) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	if _, err := reader.Verify(t.Context()); err != nil {
		requireTyped(t, err)
		return false
	}
	return true
}

func TestAFileOfAnyLength(t *testing.T) {
	content, want := readJournal(t, storyJournal(t))
	for size := 0; size <= len(content); size += 511 {
		if openDamaged(t, content[:size], want) && size < len(content)/2 {
			t.Errorf("cut to %d bytes, it opens", size)
		}
	}
}

// TestFilesThatAreNoJournal: each is refused with a typed error that tells a person
// what to do, at once, to a worker and to a reader, and stays as it is.
func TestFilesThatAreNoJournal(t *testing.T) {
	whole, _ := readJournal(t, storyJournal(t))
	changed := func(change func(tx *bbolt.Tx) error) []byte {
		t.Helper()
		dir := t.TempDir()
		path := filepath.Join(dir, fileName)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	put := func(bucket, key []byte, value string) []byte {
		return changed(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, []byte(value)) })
	}
	without := func(bucket []byte) []byte {
		return changed(func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucket) })
	}
	cases := []struct {
		name    string
		content []byte
		says    string
		newer   bool
	}{
		{"zero bytes", nil, "empty", false},
		{"one byte", []byte("x"), "meta pages", false},
		{"text", []byte(strings.Repeat("not a journal\n", 1000)), "meta pages", false},
		{"zeroes", make([]byte, 1<<16), "meta pages", false},
		{"cut in half", whole[:len(whole)/2], "cut short", false},
		{"both meta pages gone", append(make([]byte, 2*os.Getpagesize()), whole[2*os.Getpagesize():]...), "meta pages", false},
		{"no meta bucket", without(metaBucket), `"meta"`, false},
		{"no log", without(logBucket), `"log"`, false},
		{"no blobs", without(blobBucket), `"blobs"`, false},
		{"a newer format", put(metaBucket, formatKey, "3"), "format is 3", true},
		{"an unreadable format", put(metaBucket, formatKey, "two"), "format version", false},
		{"no format", changed(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(formatKey) }), "format version", false},
		{"an unreadable date", put(metaBucket, createdKey, "yesterday"), "time of creation", false},
		{"another id", put(metaBucket, idKey, "0123"), "record 1", false},
		{"no head", changed(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(headKey) }), "head", false},
		{"a head with more in it", put(metaBucket, headKey, `{"seq":1,"digest":"x","more":1}`), "head", false},
		{"a key that is no number", put(logBucket, []byte("zzz"), "{}"), "not a number", false},
		{"a bucket in the log", changed(func(tx *bbolt.Tx) error {
			b := tx.Bucket(logBucket)
			return errors.Join(b.Delete(seqKey(3)), ignoreResult(b.CreateBucket(seqKey(3))))
		}), "record 3", false},
		{"a freelist that is not synced", unsyncedFreelist(t, whole), "list of free pages", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, fileName)
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, openErr := Open(dir, Options{})
			_, verifyErr := Verify(t.Context(), dir)
			for how, err := range map[string]error{"Open": openErr, "Verify": verifyErr} {
				if err == nil {
					t.Fatalf("%s takes it", how)
				}
				requireTyped(t, err)
				if _, ok := errors.AsType[*NewerError](err); ok != c.newer {
					t.Errorf("%s: newer: %v, want %v: %v", how, ok, c.newer, err)
				}
				if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %q does not name the file and %q", how, err, c.says)
				}
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "windows" && !bytes.Equal(after, c.content) { // Windows extends a file that is mapped
				t.Error("the file was changed")
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, fileName), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Error(err)
		}
	})
	t.Run("a file where the state directory should be", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Error(err)
		}
	})
}

func ignoreResult[T any](_ T, err error) error { return err }

func unsyncedFreelist(t testing.TB, content []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), fileName)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(blobBucket).Put([]byte("x"), nil) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestATornMetaPage: power was lost while the newest meta page was written. The
// journal goes on from the commit before, says so, and is whole again after the
// next commit.
func TestATornMetaPage(t *testing.T) {
	dir := storyJournal(t)
	path := filepath.Join(dir, fileName)
	content, _ := readJournal(t, dir)
	first, _ := readMeta(bytes.NewReader(content), 0)
	second, _ := readMeta(bytes.NewReader(content), first.pageSize)
	newest := int64(0)
	if second.txid > first.txid {
		newest = first.pageSize
	}
	content[newest+pageHeader+20] ^= 0xff
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(t.Context(), dir); err != nil || !report.StaleMeta || report.Checked != uint64(len(story())-1) {
		t.Fatalf("%+v %v", report, err)
	}
	j := open(t, dir)
	appendAll(t, j, WorkerStopped{Reason: "goes on"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(t.Context(), dir); err != nil || report.StaleMeta {
		t.Fatalf("after the next commit: %+v %v", report, err)
	}
}

// TestBranchesThatGoRoundInCircles points a branch of the tree at itself and at the
// root: bbolt would follow it until the stack is gone.
func TestBranchesThatGoRoundInCircles(t *testing.T) {
	content, want := readJournal(t, deepJournal(t))
	branches := 0
	size := os.Getpagesize()
	for page := 2 * size; page < len(content); page += size {
		if content[page+8] != pageBranch || content[page+9] != 0 {
			continue
		}
		branches++
		damaged := bytes.Clone(content)
		copy(damaged[page+pageHeader+8:], content[page:page+8]) // its first child is itself
		if openDamagedForReading(t, damaged, want) {
			// Only pages that are not in use any more may say so.
			t.Logf("the branch at %d is not in use", page)
			branches--
		}
	}
	if branches == 0 {
		t.Error("the file has no branch in use")
	}
}

// TestAPageThatIsFreeAndInUse puts a page of the tree on the list of free pages: the
// next commit would overwrite it.
func TestAPageThatIsFreeAndInUse(t *testing.T) {
	content, want := readJournal(t, storyJournal(t))
	first, _ := readMeta(bytes.NewReader(content), 0)
	second, _ := readMeta(bytes.NewReader(content), first.pageSize)
	newest := first
	if second.txid > first.txid {
		newest = second
	}
	list := content[int64(newest.freelist)*newest.pageSize:]
	if binary.LittleEndian.Uint16(list[10:]) == 0 {
		t.Fatal("the file has no free page to begin with")
	}
	binary.LittleEndian.PutUint64(list[pageHeader:], newest.root)
	if openDamagedForReading(t, content, want) {
		t.Error("it opens")
	}
}
