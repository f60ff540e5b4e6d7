package parquet

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
)

// brokenDisk fails like a disk: writes past a limit find it full, and each sync
// or truncation from a number on finds it broken.
type brokenDisk struct {
	room      int // bytes that can be written; -1 for no limit
	syncs     int // that still work; -1 for no limit
	truncates int
}

// on puts the disk under a driver with this configuration.
func (b *brokenDisk) on(config Config) Config {
	config.Disk = func(call disk.Call) error {
		switch call.Op {
		case disk.Write:
			if b.room >= 0 && len(call.Data) > b.room {
				written := b.room // a full disk takes what it can
				b.room = 0
				return &disk.Short{Written: written, Err: syscall.ENOSPC}
			}
			if b.room >= 0 {
				b.room -= len(call.Data)
			}
		case disk.Sync:
			if b.syncs == 0 {
				return syscall.EIO
			}
			b.syncs--
		case disk.Truncate:
			if b.truncates == 0 {
				return syscall.EIO
			}
			b.truncates--
		}
		return nil
	}
	return config
}

// TestAFullDiskAtEachWrite: wherever the room ends, the error says so, the last
// token stays good, and with room again the job ends whole.
func TestAFullDiskAtEachWrite(t *testing.T) {
	const rows = 3000
	steps := func(t *testing.T, d *Driver, to sink.Target, token sink.Token, from int64) (sink.Token, sink.Token, int64, error) {
		w := open(t, d, to, token)
		durable := from
		for at := from; at < rows; at += 500 {
			if err := w.Write(t.Context(), ints(at, at+500)); err != nil {
				return nil, token, durable, errors.Join(err, w.Close())
			}
			next, err := tryFlush(t, w)
			if err != nil {
				if _, again := tryFlush(t, w); !errors.Is(again, err) {
					t.Errorf("flushed after a failure: %v", again)
				}
				return nil, token, durable, errors.Join(err, w.Close())
			}
			token, durable = next, at+500
		}
		sealed, err := w.Seal(t.Context())
		return sealed, token, durable, errors.Join(err, w.Close())
	}
	whole := newDriver(t, Config{})
	sealed, _, _, err := steps(t, whole, target("parquet://a.parquet"), nil, 0)
	must(t, err)
	size, err := parseSealed(sealed)
	must(t, err)

	failures := 0
	for room := 0; room < int(size.Size); room += 1 + int(size.Size)/60 {
		broken := &brokenDisk{room: room, syncs: -1, truncates: -1}
		driver := newDriver(t, broken.on(Config{}))
		to := target("parquet://a.parquet")
		_, token, durable, err := steps(t, driver, to, nil, 0)
		if err == nil {
			t.Fatalf("room for %d of %d bytes, and no error", room, size.Size)
		}
		failures++
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		broken.room = -1
		to.Attempt = 2
		sealed, _, _, err := steps(t, driver, to, token, durable)
		if err != nil {
			t.Fatalf("room for %d bytes, then more: %v", room, err)
		}
		path := commit(t, driver, to, sealed)
		if room%5 == 0 {
			wantNumbers(t, path, rows)
		}
		wantFiles(t, driver, "a_7.parquet")
	}
	if failures < 50 {
		t.Errorf("only %d of the rooms were too small", failures)
	}
}

// TestABrokenDisk: what could not be made durable is never said to be.
func TestABrokenDisk(t *testing.T) {
	for name, broken := range map[string]*brokenDisk{
		"the first sync":  {room: -1, syncs: 0, truncates: -1},
		"the second sync": {room: -1, syncs: 1, truncates: -1},
		"the truncation":  {room: -1, syncs: -1, truncates: 0},
	} {
		t.Run(name, func(t *testing.T) {
			driver := newDriver(t, broken.on(Config{}))
			to := target("parquet://a.parquet")
			w := open(t, driver, to, nil)
			write(t, w, ints(0, 10))
			_, err := tryFlush(t, w)
			if err == nil {
				write(t, w, ints(10, 20))
				_, err = w.Seal(t.Context())
			}
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("%v", err)
			}
			// A failed sync is final: a second one could succeed and mean nothing.
			broken.syncs, broken.truncates = -1, -1
			if token, again := w.Seal(t.Context()); !errors.Is(again, syscall.EIO) || token != nil {
				t.Errorf("sealed after a failure: %s, %v", token, again)
			}
			must(t, w.Close())
			must(t, driver.Abandon(t.Context(), to))
			wantFiles(t, driver)
		})
	}
}

// TestARealFullDisk does it with a real file system of one megabyte. Mounting
// one needs to be root in a namespace that allows it; where that is not so, the
// test says so, and the tests above stand for it.
func TestARealFullDisk(t *testing.T) {
	root := smallDisk(t, 1<<20)
	driver := newDriver(t, Config{Root: filepath.Join(root, "out"), RowGroupRows: 2000, Compression: "none"})
	to := target("parquet://a.parquet")
	ballast := filepath.Join(root, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 600<<10), 0o644))

	w := open(t, driver, to, nil)
	var token sink.Token
	durable := int64(0)
	var err error
	for at := int64(0); at < 1_000_000 && err == nil; at += 1000 {
		if err = w.Write(t.Context(), spread(at, at+1000)); err == nil {
			var next sink.Token
			if next, err = tryFlush(t, w); err == nil {
				token, durable = next, at+1000
			}
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v", err)
	}
	if durable == 0 {
		t.Fatal("nothing was durable before the disk was full")
	}
	must(t, w.Close())
	wantFiles(t, driver, stagingName(to)) // kept, to go on from

	must(t, os.Remove(ballast))
	to.Attempt = 2
	w = open(t, driver, to, token)
	write(t, w, spread(durable, durable+1000))
	rows := read(t, commit(t, driver, to, seal(t, w)))
	if got := int64(len(rows.Columns["n"])); got != durable+1000 {
		t.Errorf("%d rows, want %d", got, durable+1000)
	}
	wantFiles(t, driver, "a_7.parquet")
}
