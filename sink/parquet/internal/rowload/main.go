// Command rowload writes a table of six mixed columns through the Parquet sink
// and prints what that took, as JSON. It is a process of its own so that its
// peak of resident memory is the sink's and nobody else's.
//
//	go run ./sink/parquet/internal/rowload -rows 20000000 -root /tmp/out
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/parquet"
)

// report is what one run took. PeakBytes is 0 where the platform does not tell.
type report struct {
	Rows       int64   `json:"rows"`
	FileBytes  int64   `json:"file_bytes"`
	PeakBytes  int64   `json:"peak_bytes"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // making the rows included
	Artifact   string  `json:"artifact"`
}

func main() {
	rows := flag.Int64("rows", 1_000_000, "rows to write")
	batch := flag.Int("batch", 64<<10, "rows in a batch")
	root := flag.String("root", "", "output root")
	options := flag.String("options", "", "query of the URI, for example compression=zstd")
	flush := flag.Int64("flush", 0, "flush after so many rows; 0 for never")
	groupRows := flag.Int64("group-rows", 0, "rows in a row group; 0 for the default")
	groupBytes := flag.Int64("group-bytes", 0, "plain bytes in a row group; 0 for the default")
	flag.Parse()
	config := parquet.Config{Root: *root, RowGroupRows: *groupRows, RowGroupBytes: *groupBytes, WorkerVersion: "rowload"}
	result, err := run(config, *options, *rows, *batch, *flush)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(config parquet.Config, options string, rows int64, batchRows int, flushRows int64) (report, error) {
	ctx := context.Background()
	driver, err := parquet.New(config)
	if err != nil {
		return report{}, err
	}
	target := sink.Target{JobID: 1, Generation: 1, Attempt: 1, Topic: "rows", URI: "parquet://rows.parquet?" + options,
		Mode: sink.Append, Plugin: "rowload", FileVersionID: 1}
	begin := time.Now()
	writer, err := driver.Open(ctx, target, nil)
	if err != nil {
		return report{}, err
	}
	defer writer.Close()
	table := newTable()
	unflushed := int64(0)
	for at := int64(0); at < rows; {
		n := int(min(int64(batchRows), rows-at))
		batch := table.batch(at, n)
		err := writer.Write(ctx, batch)
		batch.Release()
		if err != nil {
			return report{}, err
		}
		at += int64(n)
		unflushed += int64(n)
		if flushRows > 0 && unflushed >= flushRows {
			checkpoint, err := writer.Checkpoint(ctx)
			if err == nil && checkpoint != nil {
				err = checkpoint.Sync()
			}
			if err != nil {
				return report{}, err
			}
			unflushed = 0
		}
	}
	token, err := writer.Seal(ctx)
	if err != nil {
		return report{}, err
	}
	artifact, err := driver.Commit(ctx, target, token)
	if err != nil {
		return report{}, err
	}
	stats := writer.Stats()
	return report{Rows: stats.Rows, FileBytes: stats.Bytes, PeakBytes: peakBytes(), Seconds: time.Since(begin).Seconds(),
		CPUSeconds: cpuSeconds(), Artifact: artifact.URI}, nil
}

// table makes rows: a sequence, a random float, a small int, a word of few, a
// word of many, and a timestamp. 67 bytes a row.
type table struct {
	schema *arrow.Schema
	random *rand.Rand
}

func newTable() *table {
	fields := []arrow.Field{
		{Name: "sequence", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "value", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "small", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
		{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "key", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
	}
	return &table{schema: arrow.NewSchema(fields, nil), random: rand.New(rand.NewPCG(1, 2))}
}

var cities = []string{"Aachen", "Bergen", "Cork", "Dresden", "Evora", "Faro", "Ghent", "Halle"}

func (t *table) batch(from int64, n int) arrow.RecordBatch {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, t.schema)
	defer builder.Release()
	builder.Reserve(n)
	sequence := builder.Field(0).(*array.Int64Builder)
	value := builder.Field(1).(*array.Float64Builder)
	small := builder.Field(2).(*array.Int16Builder)
	city := builder.Field(3).(*array.StringBuilder)
	key := builder.Field(4).(*array.StringBuilder)
	at := builder.Field(5).(*array.TimestampBuilder)
	const start = 1_700_000_000_000_000
	var text [16]byte
	for i := range int64(n) {
		sequence.Append(from + i)
		value.Append(t.random.NormFloat64())
		small.Append(int16(t.random.IntN(100)))
		city.Append(cities[t.random.IntN(len(cities))])
		hex(&text, t.random.Uint64())
		key.BinaryBuilder.Append(text[:])
		at.Append(arrow.Timestamp(start + (from+i)*1000 + int64(t.random.IntN(1000))))
	}
	return builder.NewRecordBatch()
}

func hex(out *[16]byte, v uint64) {
	const digits = "0123456789abcdef"
	for i := range out {
		out[i] = digits[v>>(4*i)&15]
	}
}
