package parquet

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/ops/disk/powercut"
	"github.com/casparian-flow/casparian-worker/sink"
)

// TestPowerCuts cuts the power at every call of the disk, while an output grows by row
// groups, is checkpointed, sealed and published. What a token covered once its sync
// had returned is there, the job goes on behind it, and ends with each row once.
func TestPowerCuts(t *testing.T) {
	cuts := 0
	for seed := uint64(1); cuts < powerCuts; seed++ {
		mode := []sink.Mode{sink.Append, sink.Error, sink.Replace}[seed%3]
		cuts += cutThrough(t, seed, mode)
	}
	t.Logf("%d cuts", cuts)
}

func cutThrough(t *testing.T, seed uint64, mode sink.Mode) (cuts int) {
	const rows, piece = 3000, 350
	to := target("parquet://folder/a.parquet")
	to.Mode = mode
	// What a journal would hold.
	var durable int64
	var token, sealed sink.Token
	committed := false

	root := t.TempDir()
	recorder := powercut.New(root, seed, func(r *powercut.Recorder) {
		cuts++
		left := t.TempDir()
		must(t, r.Cut(left))
		defer os.RemoveAll(left)
		driver := newDriver(t, Config{Root: filepath.Join(left, "out"), RowGroupRows: 300})
		later := to
		switch {
		case sealed == nil:
			later.Attempt = 2
			w := open(t, driver, later, token)
			write(t, w, ints(durable, rows))
			commit(t, driver, later, seal(t, w))
		case !committed:
			commit(t, driver, later, sealed)
		}
		must(t, driver.Abandon(t.Context(), later))
		final, err := driver.locate(later)
		must(t, err)
		wantSet(t, driver, filepath.ToSlash(final.final))
		path := filepath.Join(driver.config.Root, final.final)
		if cuts%30 == 1 {
			wantNumbers(t, path, rows) // with all readers, which takes its time
		}
		wantCount(t, path, rows)
		if t.Failed() {
			t.Fatalf("seed %d, mode %s, cut %d: %d rows were durable, sealed %t, committed %t",
				seed, mode, cuts, durable, sealed != nil, committed)
		}
	})
	driver := newDriver(t, Config{Root: filepath.Join(root, "out"), RowGroupRows: 300, Disk: recorder.Watch})
	w := open(t, driver, to, nil)
	for at := int64(0); at < rows; at += piece {
		write(t, w, ints(at, min(at+piece, rows)))
		checkpoint, err := w.Checkpoint(t.Context())
		must(t, err)
		if checkpoint != nil && (at/piece+int64(seed))%2 == 0 { // others are never synced
			must(t, checkpoint.Sync())
			token, durable = checkpoint.Token, checkpoint.Stats.Rows
		}
	}
	sealed = seal(t, w)
	commit(t, driver, to, sealed)
	committed = true
	must(t, recorder.Watch(disk.Call{})) // the power goes later, too
	return cuts
}

// wantCount is wantNumbers in this process.
func wantCount(t *testing.T, path string, n int64) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	table, err := pqarrow.ReadTable(t.Context(), file, nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	must(t, err)
	defer table.Release()
	next := int64(0)
	for _, chunk := range table.Column(table.Schema().FieldIndices("n")[0]).Data().Chunks() {
		for _, v := range chunk.(*array.Int64).Int64Values() {
			if v != next {
				t.Fatalf("%s: row %d is %d", path, next, v)
			}
			next++
		}
	}
	if next != n {
		t.Fatalf("%s has %d rows, want %d", path, next, n)
	}
}
