package bridge

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Where a frame is cut depends on its values: on rows, on bytes, and on nothing
// else.
func TestFramesAreCut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits Limits
		body   string
		rows   []int64
	}{
		{"on rows", Limits{SliceRows: 1000}, "return pa.table({'a': range(2500)})", []int64{1000, 1000, 500}},
		{"on bytes", Limits{SliceBytes: 8000}, "return pa.table({'a': range(2500)})", []int64{1000, 1000, 500}},
		{"not between small frames", Limits{SliceRows: 1000}, "return [pa.table({'a': range(10)})] * 3", []int64{10, 10, 10}},
		{"whatever the chunks", Limits{SliceRows: 1000}, "return pa.concat_tables([pa.table({'a': pa.array(range(n), pa.int64())}) for n in (1, 900, 0, 300, 1299)])", []int64{1000, 1000, 500}},
		{"a category with more entries than rows", Limits{SliceRows: 100}, "return pd.DataFrame({'c': pd.Categorical([str(n % 1000) * 50 for n in range(1000)])})", []int64{100, 100, 100, 100, 100, 100, 100, 100, 100, 100}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, newHost(t, Options{Limits: test.limits}), Spec{Source: []byte(handler(test.body))})).mustSucceed(t)
			if !slices.Equal(o.rows, test.rows) {
				t.Errorf("rows %v, want %v", o.rows, test.rows)
			}
		})
	}
}

// No batch is much larger than the limit, and every value comes through.
func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	g := start(t, newHost(t, Options{Limits: Limits{SliceBytes: 100_000}}), Spec{Source: []byte(handler(
		"return pa.table({'s': ['x'] * 900 + [str(n) * 10_000 for n in range(100)], 'c': pa.array([str(n) * 999 for n in range(1000)]).dictionary_encode()})"))})
	want := func(row int64) (string, string) {
		if row < 900 {
			return "x", strings.Repeat(fmt.Sprint(row), 999)
		}
		return strings.Repeat(fmt.Sprint(row-900), 10_000), strings.Repeat(fmt.Sprint(row), 999)
	}
	row := int64(0)
	for {
		batch, err := g.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if batch.Bytes > 300_000 && batch.Record.NumRows() > 1 {
			t.Errorf("a batch of %d rows takes %d bytes", batch.Record.NumRows(), batch.Bytes)
		}
		texts := batch.Record.Column(0).(*array.String)
		categories := batch.Record.Column(1).(*array.Dictionary)
		entries := categories.Dictionary().(*array.String)
		for i := range int(batch.Record.NumRows()) {
			text, category := want(row)
			if texts.Value(i) != text || entries.Value(categories.GetValueIndex(i)) != category {
				t.Fatalf("row %d is wrong", row)
			}
			row++
		}
		batch.Record.Release()
		if err := g.Acknowledge(batch.Serial); err != nil {
			t.Fatal(err)
		}
	}
	if row != 1000 {
		t.Errorf("%d rows, want 1000", row)
	}
}

func TestAValueLargerThanAFrame(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{Limits: Limits{Frame: 1 << 20}})
	o := collect(t, start(t, h, Spec{Source: []byte(handler("yield {'a': ['small']}\nyield {'a': ['small', 'x' * (1 << 20), 'small']}"))}))
	mustContain(t, o.mustRaise(t).Message, "a batch of 1 rows takes", "a frame of the bridge holds")
}

// digests is the digest of each batch of one run: topic, schema and values.
func digests(t *testing.T, h *Host, source string) (sums []string) {
	t.Helper()
	g := start(t, h, Spec{Source: []byte(source)})
	for {
		batch, err := g.Next(t.Context())
		if err == io.EOF {
			return sums
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, g.Output())
		}
		sum := sha256.New()
		fmt.Fprintln(sum, batch.Serial, batch.Topic, batch.Record.Schema(), batch.Record.NumRows())
		for _, column := range batch.Record.Columns() {
			digestArray(sum, column.Data())
		}
		sums = append(sums, fmt.Sprintf("%x", sum.Sum(nil)))
		batch.Record.Release()
		if err := g.Acknowledge(batch.Serial); err != nil {
			t.Fatal(err)
		}
	}
}

func digestArray(sum hash.Hash, data arrow.ArrayData) {
	for _, buffer := range data.Buffers() {
		if buffer != nil {
			_, _ = sum.Write(buffer.Bytes())
		}
	}
	for _, child := range data.Children() {
		digestArray(sum, child)
	}
	if data.DataType().ID() == arrow.DICTIONARY {
		digestArray(sum, data.Dictionary())
	}
}

// The same plugin over the same file gives the same batches, byte for byte: what
// a later attempt can be compared with.
func TestTwoRunsGiveTheSameBatches(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{Limits: Limits{SliceRows: 700}})
	source := `
import pandas as pd, polars as pl, pyarrow as pa
class Handler:
    def configure(self, context, config): self.context = context
    def consume(self, event):
        names = {"anna", "bertha", "cäcilie", "dora"}  # a set: iterates by hash
        yield pd.DataFrame({"n": range(2000), "s": [name for name in names] * 500, "c": pd.Categorical([str(n % 900) for n in range(2000)])})
        self.context.publish("t", pl.DataFrame({"x": range(3000)}).with_columns(y=pl.col("x").cast(pl.String)))
        yield pa.table({"l": [[n, None] for n in range(1000)]})
        yield [{"a": None, "b": n} for n in range(10)]
`
	first, second := digests(t, h, source), digests(t, h, source)
	if len(first) != 3+5+2+1 || !slices.Equal(first, second) {
		t.Errorf("the runs differ:\n%v\n%v", first, second)
	}
}

// millions is a plugin that yields n rows of six mixed columns, in frames of a
// million.
func millions(n int) string {
	return fmt.Sprintf(`
import numpy as np, pyarrow as pa
class Handler:
    def consume(self, event):
        r = np.random.default_rng(1)
        rows = 1_000_000
        frame = pa.table({
            "sequence": np.arange(rows), "random": r.random(rows), "small": r.integers(0, 100, rows, dtype="int32"),
            "key": pa.array(np.char.add("key-", r.integers(0, 10**6, rows).astype(str))),
            "city": pa.array(np.array(["Oslo", "Bergen", "Tromsø"])[r.integers(0, 3, rows)]),
            "time": pa.array(np.arange(rows), pa.timestamp("us")),
        })
        for start in range(0, %d, rows):
            yield frame
`, n)
}

// Two million rows come through, and the host holds a window of them at most.
func TestMillionsOfRowsInFlatMemory(t *testing.T) {
	t.Parallel()
	h := newHost(t, Options{})
	g := start(t, h, Spec{Source: []byte(millions(2_000_000))})
	// Hold back acknowledgements: the guest stops at its window.
	var held []Batch
	for range h.limits.Window {
		batch, err := g.Next(t.Context())
		if err != nil {
			t.Fatalf("%v\n%s", err, g.Output())
		}
		held = append(held, batch)
	}
	rows, most := int64(0), 0
	for _, batch := range held {
		rows += batch.Record.NumRows()
		batch.Record.Release()
	}
	if err := g.Acknowledge(held[len(held)-1].Serial); err != nil {
		t.Fatal(err)
	}
	for {
		batch, err := g.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rows += batch.Record.NumRows()
		most = max(most, g.pool.inUse())
		batch.Record.Release()
		if err := g.Acknowledge(batch.Serial); err != nil {
			t.Fatal(err)
		}
	}
	if rows != 2_000_000 {
		t.Errorf("%d rows", rows)
	}
	// One with us, one decoded ahead, one being read.
	if most > 3 {
		t.Errorf("%d frames were held at a time", most)
	}
	if p := g.Progress(); p.Rows != rows || p.Bytes < 50*rows {
		t.Errorf("progress %+v", p)
	}
}

// BenchmarkFloor runs a guest into a host that throws everything away: no worker
// can be faster than this. It reports rows per second, from start to end frame.
func BenchmarkFloor(b *testing.B) {
	csv := filepath.Join(b.TempDir(), "input.csv")
	file, err := os.Create(csv)
	if err != nil {
		b.Fatal(err)
	}
	text := bufio.NewWriter(file)
	fmt.Fprintln(text, "id,name,value,city,score,when")
	for i := range 2_000_000 {
		fmt.Fprintf(text, "%d,name-%d,%d.%d,Oslo,%d,2024-01-%02d\n", i, i%5000, i, i%10, i%100, 1+i%28)
	}
	if err := errors.Join(text.Flush(), file.Close()); err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name, source string
		rows         int64
	}{
		{"nothing", "class Handler:\n    def consume(self, event): pass\n", 0},
		{"100 rows of pandas", "import pandas as pd\nclass Handler:\n    def consume(self, event): return pd.DataFrame({'a': range(100)})\n", 100},
		{"5M rows of pyarrow", millions(5_000_000), 5_000_000},
		{"20M rows of pyarrow", millions(20_000_000), 20_000_000},
		{"2M rows of CSV by pandas", "import pandas as pd\nclass Handler:\n    def consume(self, event): yield from pd.read_csv(event.path, chunksize=100_000)\n", 2_000_000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			h := newHost(b, Options{})
			for range b.N {
				began := time.Now()
				g := start(b, h, Spec{Source: []byte(bench.source), FilePath: csv})
				rows := int64(0)
				for {
					batch, err := g.Next(b.Context())
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatalf("%v\n%s", err, g.Output())
					}
					rows += batch.Record.NumRows()
					batch.Record.Release()
					if err := g.Acknowledge(batch.Serial); err != nil {
						b.Fatal(err)
					}
				}
				if rows != bench.rows {
					b.Fatalf("%d rows, want %d", rows, bench.rows)
				}
				b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
				if err := g.Close(); err != nil {
					b.Fatal(err)
				}
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(memory.HeapSys)/1e6, "heap-MB")
		})
	}
}
