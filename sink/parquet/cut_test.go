package parquet

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// Behind a cut a checkpoint covers every row, and the next rows make another row group.
func TestCut(t *testing.T) {
	driver := newDriver(t, Config{RowGroupRows: 100})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	must(t, w.Cut(t.Context())) // nothing is open
	write(t, w, ints(0, 10))
	must(t, w.Cut(t.Context()))
	checkpoint, err := w.Checkpoint(t.Context())
	must(t, err)
	if checkpoint == nil || checkpoint.Stats.Rows != 10 {
		t.Fatalf("the checkpoint behind a cut is %+v, want one of 10 rows", checkpoint)
	}
	must(t, checkpoint.Sync())
	write(t, w, ints(10, 15))
	must(t, w.Close())
	resumed := open(t, newDriver(t, Config{Root: driver.config.Root, RowGroupRows: 100}), to, checkpoint.Token)
	write(t, resumed, ints(10, 20))
	wantNumbers(t, commit(t, driver, to, seal(t, resumed)), 20)
}

// A cut settles no type that a later batch may widen.
func TestCutWhileTypesMayWiden(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	write(t, w, batchOf(t, column{"n", arrow.Null, "[null]"}))
	must(t, w.Cut(t.Context()))
	if checkpoint, err := w.Checkpoint(t.Context()); checkpoint != nil || err != nil {
		t.Errorf("the checkpoint of rows that are held back is %+v, %v", checkpoint, err)
	}
	write(t, w, batchOf(t, column{"n", arrow.BinaryTypes.String, `["text"]`}))
	if token := seal(t, w); len(token) == 0 {
		t.Error("nothing was sealed")
	}
	if stats := w.Stats(); stats.Rows != 2 {
		t.Errorf("%+v, want 2 rows", stats)
	}
}
