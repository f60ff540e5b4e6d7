package parquet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/sink"
)

// TestSetAside: the file of every attempt gets out of the way, nobody else's does,
// and the job can begin anew.
func TestSetAside(t *testing.T) {
	driver := newDriver(t, Config{})
	to, other := target("parquet://a.parquet"), target("parquet://b.parquet")
	first := open(t, driver, to, nil)
	write(t, first, ints(0, 10))
	token := flush(t, first)
	dropped(t, first)
	beside := open(t, driver, other, nil)
	write(t, beside, ints(0, 3))
	flush(t, beside)

	to.Attempt = 2
	places, err := driver.SetAside(t.Context(), to)
	must(t, err)
	if len(places) != 1 || filepath.Dir(places[0]) != driver.config.Root || !strings.HasSuffix(places[0], asideSuffix) {
		t.Fatalf("set aside at %q", places)
	}
	if again, err := driver.SetAside(t.Context(), to); err != nil || len(again) != 0 {
		t.Errorf("again: %q, %v", again, err)
	}
	var damage *sink.DamageError
	if _, err := driver.Open(t.Context(), to, token); !errors.As(err, &damage) {
		t.Errorf("Open with the token: %v", err)
	}
	wantNumbers(t, publish(t, driver, to, ints(0, 5)), 5)
	must(t, driver.Abandon(t.Context(), to)) // it is nobody's staging any more
	wantFiles(t, driver, stagingName(other), filepath.Base(places[0]), "a_7.parquet")
}

// TestOnlyAFewAreKeptAside: the oldest go.
func TestOnlyAFewAreKeptAside(t *testing.T) {
	driver := newDriver(t, Config{})
	var all []string
	for job := range uint64(mostAside + 3) {
		to := target("parquet://a.parquet")
		to.JobID = 100 + job
		w := open(t, driver, to, nil)
		write(t, w, ints(0, 1))
		flush(t, w)
		dropped(t, w)
		when := time.Unix(1_700_000_000+int64(job), 0)
		must(t, os.Chtimes(filepath.Join(driver.config.Root, stagingName(to)), when, when))
		places, err := driver.SetAside(t.Context(), to)
		must(t, err)
		all = append(all, filepath.Base(places[0]))
	}
	wantFiles(t, driver, all[3:]...)
}

// TestTwoModesOfOnePathAreStagedApart.
func TestTwoModesOfOnePathAreStagedApart(t *testing.T) {
	driver := newDriver(t, Config{})
	one, two := target("parquet://a.parquet"), target("parquet://a.parquet")
	two.Mode = sink.Replace
	a, b := open(t, driver, one, nil), open(t, driver, two, nil)
	write(t, a, ints(0, 10))
	write(t, b, ints(0, 20))
	sealed := [2]sink.Token{seal(t, a), seal(t, b)}
	wantNumbers(t, commit(t, driver, one, sealed[0]), 10)
	wantNumbers(t, commit(t, driver, two, sealed[1]), 20)
	wantFiles(t, driver, "a.parquet", "a_7.parquet")
}

// TestATokenOfOtherOptions is refused, and changes nothing.
func TestATokenOfOtherOptions(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	write(t, w, ints(0, 10))
	token := flush(t, w)
	dropped(t, w)
	for name, config := range map[string]Config{
		"another codec":       {Compression: "zstd"},
		"other row groups":    {RowGroupRows: 77},
		"smaller row groups":  {RowGroupBytes: 1 << 20},
		"another output root": {Root: filepath.Join(t.TempDir(), "elsewhere")},
	} {
		if config.Root == "" {
			config.Root = driver.config.Root
		}
		var refused *sink.TokenError
		var damage *sink.DamageError
		if _, err := newDriver(t, config).Open(t.Context(), to, token); !errors.As(err, &refused) && !errors.As(err, &damage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	resumed := open(t, newDriver(t, Config{Root: driver.config.Root}), to, token)
	write(t, resumed, ints(10, 15))
	wantNumbers(t, commit(t, driver, to, seal(t, resumed)), 15)
}

// TestSyncBesideWriting: row groups go on while a checkpoint is being synced, and
// each token is good once its own sync has returned.
func TestSyncBesideWriting(t *testing.T) {
	driver := newDriver(t, Config{RowGroupRows: 100})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	var token sink.Token
	var rows int64
	for at := int64(0); at < 3000; {
		write(t, w, ints(at, at+150))
		at += 150
		checkpoint, err := w.Checkpoint(t.Context())
		must(t, err)
		if checkpoint == nil {
			t.Fatalf("a row group is complete at %d rows, and there is nothing to sync", at)
		}
		if none, err := w.Checkpoint(t.Context()); none != nil || err != nil {
			t.Fatalf("a second checkpoint of the same rows: %+v, %v", none, err)
		}
		var sync sync.WaitGroup
		var failed error
		sync.Go(func() { failed = checkpoint.Sync() })
		write(t, w, ints(at, at+150))
		at += 150
		sync.Wait()
		must(t, failed)
		token, rows = checkpoint.Token, checkpoint.Stats.Rows
	}
	dropped(t, w)
	to.Attempt = 2
	again := open(t, driver, to, token)
	if got := again.Stats(); got.Rows != rows || rows%100 != 0 {
		t.Fatalf("%d rows are durable, the writer says %d", rows, got.Rows)
	}
	write(t, again, ints(rows, 3000))
	wantNumbers(t, commit(t, driver, to, seal(t, again)), 3000)
}
