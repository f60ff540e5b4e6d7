package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func TestAJournalIsCreatedUsedAndFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	j := open(t, dir, Options{Now: ticking(), Owner: Owner{WorkerID: "edge-1"}})
	if n := j.State().Events; n != 0 {
		t.Fatalf("a new journal has %d events", n)
	}
	changed := j.Changed()
	for i, event := range story() {
		state, err := j.Append(t.Context(), event, blobsFor(event)...)
		if err != nil {
			t.Fatal(err)
		}
		if state.Events != uint64(i+1) || j.State().Events != state.Events {
			t.Fatalf("after event %d: the state has %d, the journal %d", i+1, state.Events, j.State().Events)
		}
	}
	select {
	case <-changed:
	default:
		t.Error("Changed was not closed by the commits")
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, fileName): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
			}
		}
	}
	live := dump(j.State())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal("a second Close:", err)
	}

	again := open(t, dir, Options{Now: ticking()})
	if got := dump(again.State()); got != live {
		t.Fatalf("after a restart:\n%s\n%s", got, live)
	}
	records := allRecords(t, again)
	if len(records) != len(story()) {
		t.Fatalf("%d records", len(records))
	}
	prev := DigestOf([]byte(again.store.info.ID))
	for i, record := range records {
		if record.Seq != uint64(i+1) || record.Prev != prev || record.Job != story()[i].Job() ||
			i > 0 && record.Time.Sub(records[i-1].Time) != time.Millisecond {
			t.Fatalf("record %d: %+v", i+1, record)
		}
		prev = DigestOf(record.Raw)
	}
	info, err := again.Info()
	if err != nil || info.Head != prev || info.Records != uint64(len(records)) || info.Format != Format || len(info.ID) != 32 {
		t.Fatalf("%+v %v", info, err)
	}
	appendAll(t, again, WorkerStopped{Reason: "goes on behind the last record"})
}

func TestRecordsFromTheMiddle(t *testing.T) {
	j := open(t, storyJournal(t))
	all := allRecords(t, j)
	for _, from := range []uint64{0, 1, 2, 7, uint64(len(all)), uint64(len(all)) + 1} {
		var got []uint64
		err := j.Records(from, func(r Record) error {
			got = append(got, r.Seq)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []uint64(nil)
		for seq := max(from, 1); seq <= uint64(len(all)); seq++ {
			want = append(want, seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %d: %v, want %v", from, got, want)
		}
	}
	enough := errors.New("enough")
	if err := j.Records(1, func(Record) error { return enough }); err != enough {
		t.Errorf("the error of the callback came back as %v", err)
	}
}

// TestReadingNeverHoldsUpWriting appends from within a reading, until the file has
// had to grow several times under it.
func TestReadingNeverHoldsUpWriting(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	var all sync.WaitGroup
	for range 2 * chunkRecords {
		all.Go(func() { appendAll(t, j, WorkerStarted{WorkerID: "w"}) })
	}
	all.Wait()
	before, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = j.Records(1, func(Record) error {
		if read++; read%64 == 0 {
			_, err := j.Append(ctx, WorkerStopped{Reason: strings.Repeat("x", 1<<20)})
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read != 2*chunkRecords {
		t.Errorf("%d records were read, the log had %d at the beginning", read, 2*chunkRecords)
	}
	if after, err := os.Stat(filepath.Join(dir, fileName)); err != nil || after.Size() < 8*before.Size() {
		t.Errorf("the file did not grow much: %d, %d, %v", before.Size(), after.Size(), err)
	}
	if n := len(allRecords(t, j)); n != 2*chunkRecords+8 {
		t.Errorf("%d records at the end", n)
	}
}

func TestBlobs(t *testing.T) {
	j := open(t, t.TempDir())
	accepted := wholeLife(1)[0]
	var missing *MissingBlobError
	if _, err := j.Append(t.Context(), accepted); !errors.As(err, &missing) || missing.Blob != DigestOf(pluginSource) {
		t.Fatalf("an event that names a blob nobody has: %v", err)
	}
	if j.State().Events != 0 {
		t.Fatal("it was written")
	}
	large := []byte(strings.Repeat("# a long plugin\n", 5<<16))
	appendAll(t, j, accepted)
	appendAll(t, j, JobAccepted{JobID: 2, Generation: 1, Spec: jobSpec(), Origin: OriginNew}) // given again
	if _, err := j.Append(t.Context(), JobAccepted{JobID: 3, Generation: 1, Spec: jobSpec(), Origin: OriginNew}); err != nil {
		t.Fatal("an event that names a stored blob:", err)
	}
	if _, err := j.Append(t.Context(), WorkerStopped{}, large, nil); err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{pluginSource, large, {}} {
		got, err := j.Blob(DigestOf(content))
		if err != nil || string(got) != string(content) {
			t.Fatalf("%d bytes: %d, %v", len(content), len(got), err)
		}
	}
	if _, err := j.Blob(DigestOf([]byte("never stored"))); !errors.Is(err, ErrNoBlob) {
		t.Error(err)
	}
	if _, err := j.Blob(""); !errors.Is(err, ErrNoBlob) {
		t.Error(err)
	}
	if report, err := j.Verify(t.Context()); err != nil || report.Blobs != 3 {
		t.Errorf("%d blobs, %v", report.Blobs, err)
	}
}

// TestAppendsShareACommit holds up the first commit until all other appends are
// queued, and counts the commits that follow.
func TestAppendsShareACommit(t *testing.T) {
	const appends = 100
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d := callsOn(nil)
	commits := 0
	d.commit = func(tx *bbolt.Tx) error {
		commits++
		if commits == 2 { // the first creates the journal
			once.Do(func() { close(entered) })
			<-release
		}
		return tx.Commit()
	}
	j := open(t, t.TempDir(), Options{calls: d})
	goOn := sync.OnceFunc(func() { close(release) })
	t.Cleanup(goOn) // before the Close that open has asked for
	ctx := within(t)
	var all sync.WaitGroup
	seen := make(chan uint64, appends)
	start := func() {
		all.Go(func() {
			state, err := j.Append(ctx, WorkerStarted{WorkerID: "w"})
			if err != nil {
				t.Error(err)
			}
			seen <- state.Events
		})
	}
	start()
	receive(t, entered, "the first commit")
	for range appends - 1 {
		start()
	}
	waitFor(t, "the others to be queued", func() bool { return len(j.queue) == appends-1 })
	goOn()
	all.Wait()
	if got := j.commits.Load(); got != 2 {
		t.Errorf("%d appends took %d commits, want 2", appends, got)
	}
	close(seen)
	var numbers []uint64
	for n := range seen {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != appends {
		t.Error("two appends were given the same state")
	}
	if report, err := j.Verify(t.Context()); err != nil || report.Checked != appends {
		t.Errorf("%d records, %v", report.Checked, err)
	}
}

// TestAnIllegalEventDoesNotSpoilItsBatch queues legal and illegal events into one
// commit: the legal ones are written, each judged by what is before it.
func TestAnIllegalEventDoesNotSpoilItsBatch(t *testing.T) {
	j, release := heldUp(t)
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, 5)
	queue := func(name string, event Event) {
		queued, ctx := len(j.queue), within(t)
		go func() {
			_, err := j.Append(ctx, event, blobsFor(event)...)
			outcomes <- outcome{name, err}
		}()
		waitFor(t, "the append to be queued", func() bool { return len(j.queue) == queued+1 })
	}
	life := wholeLife(1)
	queue("accepted", life[0])
	queue("accepted twice", life[0])
	queue("sealed before it runs", life[3])
	queue("started", life[1])
	queue("confirmed before it is sent", life[6])
	release()
	want := map[string]bool{"accepted": true, "accepted twice": false, "sealed before it runs": false,
		"started": true, "confirmed before it is sent": false}
	for range want {
		o := receive(t, outcomes, "an answer")
		if _, illegal := errors.AsType[*TransitionError](o.err); illegal == want[o.name] || (o.err == nil) != want[o.name] {
			t.Errorf("%s: %v", o.name, o.err)
		}
	}
	if job, _ := j.State().Job(1); job.Phase != Running {
		t.Errorf("the job is %s", job.Phase)
	}
	if records := allRecords(t, j); len(records) != 3 {
		t.Errorf("%d records", len(records))
	}
}

// heldUp gives a journal whose committer is in the midst of a commit until release
// is called.
func heldUp(t *testing.T) (j *Journal, release func()) {
	t.Helper()
	entered, gate := make(chan struct{}), make(chan struct{})
	d := callsOn(nil)
	commits := 0
	d.commit = func(tx *bbolt.Tx) error {
		if commits++; commits == 2 {
			close(entered)
			<-gate
		}
		return tx.Commit()
	}
	j = open(t, t.TempDir(), Options{calls: d})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release) // before the Close that open has asked for
	go j.Append(context.Background(), WorkerStarted{WorkerID: "first"})
	receive(t, entered, "the first commit")
	return j, release
}

func TestGivingUpAnAppend(t *testing.T) {
	t.Run("before it is written: it is certainly not written", func(t *testing.T) {
		j, release := heldUp(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := j.Append(ctx, WorkerStopped{Reason: "given up"})
			result <- err
		}()
		waitFor(t, "the append to be queued", func() bool { return len(j.queue) == 1 })
		why := errors.New("the operator lost patience")
		cancel(why)
		if err := receive(t, result, "the append to give up"); !errors.Is(err, why) || errors.Is(err, ErrUncertain) {
			t.Fatalf("got %v", err)
		}
		release()
		appendAll(t, j, WorkerStarted{WorkerID: "later"})
		for _, record := range allRecords(t, j) {
			if record.Kind == kindWorkerStopped {
				t.Fatal("it was written")
			}
		}
	})
	t.Run("while it is written: nobody knows", func(t *testing.T) {
		entered, gate := make(chan struct{}), make(chan struct{})
		var once sync.Once
		d := callsOn(nil)
		d.commit = func(tx *bbolt.Tx) error {
			if tx.Bucket(logBucket).Get(seqKey(1)) != nil {
				once.Do(func() { close(entered) })
				<-gate
			}
			return tx.Commit()
		}
		j := open(t, t.TempDir(), Options{calls: d})
		release := sync.OnceFunc(func() { close(gate) })
		t.Cleanup(release)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := j.Append(ctx, WorkerStopped{Reason: "in the air"})
			result <- err
		}()
		receive(t, entered, "the commit")
		cancel()
		if err := receive(t, result, "the append to give up"); !errors.Is(err, ErrUncertain) || !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		release()
		state, err := j.Append(within(t), WorkerStarted{WorkerID: "later"})
		if err != nil || state.Events != 2 {
			t.Fatalf("the next append settles it: %d events, %v", state.Events, err)
		}
	})
	t.Run("before it begins", func(t *testing.T) {
		j := open(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.Append(ctx, WorkerStopped{}); !errors.Is(err, context.Canceled) || j.State().Events != 0 {
			t.Fatal(err)
		}
	})
}

func TestAfterClose(t *testing.T) {
	j := open(t, t.TempDir())
	appendAll(t, j, WorkerStarted{WorkerID: "w"})
	changed := j.Changed()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("a follower would wait for ever")
	}
	select {
	case <-j.Changed():
	default:
		t.Error("a late follower would wait for ever")
	}
	if _, err := j.Append(t.Context(), WorkerStopped{}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := j.Records(1, func(Record) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := j.Blob(DigestOf(nil)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if j.State().Events != 1 {
		t.Error("the last state is gone")
	}
}

// TestCloseSettlesWhatIsUnderWay closes while many append: each append is either
// written and said so, or refused and not written.
func TestCloseSettlesWhatIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	var all sync.WaitGroup
	var mu sync.Mutex
	written := map[string]bool{}
	for worker := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				reason := fmt.Sprintf("%d-%d", worker, i)
				_, err := j.Append(t.Context(), WorkerStopped{Reason: reason})
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				written[reason] = true
				mu.Unlock()
			}
		})
	}
	waitFor(t, "some appends", func() bool { return j.State().Events > 20 })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	found := allRecords(t, open(t, dir))
	if len(found) != len(written) {
		t.Fatalf("%d are in the log, %d were acknowledged", len(found), len(written))
	}
	for _, record := range found {
		if !written[record.Event.(WorkerStopped).Reason] {
			t.Errorf("%v was refused and is in the log", record.Event)
		}
	}
}

// longEnough is how long a test waits for what must happen, on a machine that has much
// else to do.
const longEnough = 2 * time.Minute

// within is a context for appends that a fault could keep waiting for ever.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	t.Cleanup(cancel)
	return ctx
}

// receive takes what a channel is to give.
func receive[V any](t testing.TB, from <-chan V, what string) (v V) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(longEnough):
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// waitFor waits until a condition holds that nothing signals.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(longEnough)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
