package parquet

import (
	"testing"

	"github.com/casparian-flow/casparian-worker/disk/powercut"
	"github.com/casparian-flow/casparian-worker/sink"
)

// TestPowerCuts cuts the power at every call of the disk while an output grows by
// row groups, is checkpointed, sealed and published. What a token covered once its
// sync had returned is there, the job goes on behind it, and ends whole.
func TestPowerCuts(t *testing.T) {
	cuts := 0
	for seed := uint64(1); cuts < powerCuts; seed++ {
		cuts += cutThrough(t, seed)
	}
	t.Logf("%d cuts", cuts)
}

func cutThrough(t *testing.T, seed uint64) (cuts int) {
	const total = 1000
	root := t.TempDir()
	to := target("parquet://folder/a.parquet")
	to.Mode = []sink.Mode{sink.Append, sink.Error, sink.Replace}[seed%3]
	// What the journal knows.
	var token, sealed sink.Token
	var durable int64
	recorder := powercut.New(root, seed, func(r *powercut.Recorder) {
		cuts++
		left := t.TempDir()
		must(t, r.Cut(left))
		driver := newDriver(t, Config{Root: left, RowGroupRows: 100})
		if sealed != nil {
			wantRows(t, seed, cuts, commit(t, driver, to, sealed), total)
			return
		}
		again := to
		again.Attempt = 2
		w, err := driver.Open(t.Context(), again, token)
		if err != nil {
			t.Fatalf("seed %d, cut %d: %d rows were durable: %v", seed, cuts, durable, err)
		}
		write(t, w, ints(durable, total))
		wantRows(t, seed, cuts, commit(t, driver, again, seal(t, w)), total)
		if names := files(t, driver); len(names) != 1 {
			t.Errorf("seed %d, cut %d: left over: %q", seed, cuts, names)
		}
	})
	driver := newDriver(t, Config{Root: root, RowGroupRows: 100, Disk: recorder.Watch})
	w := open(t, driver, to, nil)
	for at := int64(0); at < total; at += 130 {
		write(t, w, ints(at, min(at+130, total)))
		checkpoint, err := w.Checkpoint(t.Context())
		must(t, err)
		if checkpoint != nil && (at/130+int64(seed))%2 == 0 {
			must(t, checkpoint.Sync())
			token, durable = checkpoint.Token, checkpoint.Stats.Rows
		}
	}
	end := seal(t, w)
	sealed = end
	wantRows(t, seed, 0, commit(t, driver, to, sealed), total)
	return cuts
}

func wantRows(t *testing.T, seed uint64, cut int, path string, n int64) {
	t.Helper()
	rows := read(t, path)
	numbers := rows.Columns["n"]
	for i, v := range numbers {
		if v != float64(i) {
			t.Fatalf("seed %d, cut %d: row %d is %v", seed, cut, i, v)
		}
	}
	if int64(len(numbers)) != n {
		t.Fatalf("seed %d, cut %d: %d rows, want %d", seed, cut, len(numbers), n)
	}
}
