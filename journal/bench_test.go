package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// BenchmarkAppend is the price of one durable event: alone it is the price of two
// syncs; together appends share them.
func BenchmarkAppend(b *testing.B) {
	for _, goroutines := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			j := open(b, b.TempDir())
			var left atomic.Int64
			left.Store(int64(b.N))
			before := j.commits.Load()
			b.ResetTimer()
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := j.Append(context.Background(), WorkerStarted{WorkerID: "bench", PID: 1}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/float64(j.commits.Load()-before), "events/commit")
		})
	}
}

// BenchmarkRecovery is the time to open a journal of 100,000 records, and of one
// of 100,000 finished jobs, each with 100 jobs under way.
func BenchmarkRecovery(b *testing.B) {
	for _, size := range []struct {
		name string
		jobs int
	}{{"100k records", 100_000 / 7}, {"100k finished jobs", 100_000}} {
		b.Run(size.name, func(b *testing.B) {
			dir := b.TempDir()
			records := fillQuickly(b, dir, size.jobs)
			info, err := os.Stat(filepath.Join(dir, fileName))
			if err != nil {
				b.Fatal(err)
			}
			var heap runtime.MemStats
			for b.Loop() {
				begun := time.Now()
				j, err := Open(dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				took := time.Since(begun)
				runtime.GC()
				runtime.ReadMemStats(&heap)
				if got := j.State().JobCount(); got != size.jobs+100 {
					b.Fatalf("%d jobs, want %d", got, size.jobs+100)
				}
				if err := j.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(took.Seconds(), "s/open")
			}
			b.ReportMetric(float64(records), "records")
			b.ReportMetric(float64(info.Size())/(1<<20), "file-MB")
			b.ReportMetric(float64(heap.HeapAlloc)/(1<<20), "heap-MB")
		})
	}
}

// fillQuickly writes the lives of many jobs straight into the file, past the
// committer, in a few large transactions, and 100 more that are under way.
func fillQuickly(t testing.TB, dir string, jobs int) (records uint64) {
	t.Helper()
	j, err := Open(dir, Options{Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	appendAll(t, j, EnvironmentRequested{EnvHash: "abc", Lockfile: DigestOf(lockfile)})
	head, clock := link{Seq: 1}, ticking()
	err = j.store.view(func(tx *bbolt.Tx) (err error) {
		head, err = readHead(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const perTransaction, underWay = 10_000, 100
	jobs += underWay
	for first := 1; first <= jobs; first += perTransaction {
		err := j.store.update(func(tx *bbolt.Tx) error {
			log := tx.Bucket(logBucket)
			log.FillPercent = 1
			if err := tx.Bucket(blobBucket).Put([]byte(DigestOf(pluginSource)), pluginSource); err != nil {
				return err
			}
			for job := first; job < min(first+perTransaction, jobs+1); job++ {
				life := wholeLife(uint64(job))
				if job > jobs-underWay {
					life = life[:1+job%4]
				}
				for _, event := range life {
					kind, data, _, err := encodeEvent(event)
					if err != nil {
						return err
					}
					raw := encodeRecord(head.Seq+1, clock(), uint64(job), kind, head.Digest, data)
					head = link{head.Seq + 1, DigestOf(raw)}
					if err := log.Put(binary.BigEndian.AppendUint64(nil, head.Seq), raw); err != nil {
						return err
					}
				}
			}
			return putHead(tx, head)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return head.Seq
}
