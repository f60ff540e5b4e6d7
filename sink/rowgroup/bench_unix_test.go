//go:build unix

package rowgroup

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/klauspost/compress/s2"
)

const benchRows = 1 << 20

// mixedTable has a sequence, random floats, small integers, strings of low and
// of high cardinality, and timestamps.
func mixedTable() (*arrow.Schema, []arrow.RecordBatch) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "value", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "kind", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "key", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
	}, nil)
	return schema, tableOf(schema, func(r *rand.Rand, b *array.RecordBuilder, i int) {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Float64Builder).Append(r.Float64())
		b.Field(2).(*array.Int32Builder).Append(int32(r.IntN(100)))
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("city-%d", r.IntN(50)))
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprintf("key-%012d", r.IntN(1e12)))
		b.Field(5).(*array.TimestampBuilder).Append(arrow.Timestamp(1.7e15 + int64(i)*1000 + int64(r.IntN(900))))
	})
}

// textTable is short sentences and paths.
func textTable() (*arrow.Schema, []arrow.RecordBatch) {
	schema := named(arrow.BinaryTypes.String, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64)
	vocabulary := strings.Fields("the quick brown fox jumps over a lazy dog while seven purple engines hum quietly beneath distant mountains and rivers of molten glass")
	return schema, tableOf(schema, func(r *rand.Rand, b *array.RecordBuilder, i int) {
		var s strings.Builder
		for range 5 + r.IntN(10) {
			s.WriteString(vocabulary[r.IntN(len(vocabulary))])
			s.WriteByte(' ')
		}
		b.Field(0).(*array.StringBuilder).Append(s.String())
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("/var/log/app-%d/2024/%02d/part-%06d.log", r.IntN(20), r.IntN(12), i))
		b.Field(2).(*array.Int64Builder).Append(r.Int64N(1e9))
	})
}

// nullTable is the mixed one's numbers with 5 % nulls.
func nullTable() (*arrow.Schema, []arrow.RecordBatch) {
	schema := named(arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String)
	return schema, tableOf(schema, func(r *rand.Rand, b *array.RecordBuilder, i int) {
		for k := range 3 {
			if r.IntN(20) == 0 {
				b.Field(k).AppendNull()
				continue
			}
			switch f := b.Field(k).(type) {
			case *array.Int64Builder:
				f.Append(int64(r.IntN(1e6)))
			case *array.Float64Builder:
				f.Append(r.NormFloat64())
			case *array.StringBuilder:
				f.Append(fmt.Sprintf("v%d", r.IntN(1e6)))
			}
		}
	})
}

// nestedTable is lists of structs.
func nestedTable() (*arrow.Schema, []arrow.RecordBatch) {
	point := arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true})
	schema := named(arrow.ListOf(point), arrow.ListOf(arrow.BinaryTypes.String))
	return schema, tableOf(schema, func(r *rand.Rand, b *array.RecordBuilder, i int) {
		l := b.Field(0).(*array.ListBuilder)
		l.Append(true)
		p := l.ValueBuilder().(*array.StructBuilder)
		for range r.IntN(4) {
			p.Append(true)
			p.FieldBuilder(0).(*array.Float64Builder).Append(r.Float64())
			p.FieldBuilder(1).(*array.Int32Builder).Append(int32(r.IntN(1000)))
		}
		l = b.Field(1).(*array.ListBuilder)
		if r.IntN(20) == 0 {
			l.AppendNull()
			return
		}
		l.Append(true)
		for range r.IntN(3) {
			l.ValueBuilder().(*array.StringBuilder).Append(fmt.Sprintf("tag%d", r.IntN(200)))
		}
	})
}

func tableOf(schema *arrow.Schema, row func(r *rand.Rand, b *array.RecordBuilder, i int)) []arrow.RecordBatch {
	const size = 64 << 10
	r := rand.New(rand.NewPCG(1, 2))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var batches []arrow.RecordBatch
	for i := range benchRows {
		row(r, b, i)
		if (i+1)%size == 0 {
			batches = append(batches, b.NewRecordBatch())
		}
	}
	return batches
}

// cpuSeconds is what this process has used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

type sizeOnly struct{ n int64 }

func (s *sizeOnly) Write(p []byte) (int, error) { s.n += int64(len(p)); return len(p), nil }

var _ io.Writer = (*sizeOnly)(nil)

// run reports CPU seconds and bytes per 1M rows.
func run(b *testing.B, once func() int64) {
	var size int64
	once()
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuSeconds()
	for b.Loop() {
		size = once()
	}
	b.ReportMetric((cpuSeconds()-start)/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(size)/1e6, "MB")
}

func BenchmarkEncode(b *testing.B) {
	for _, table := range []struct {
		name string
		make func() (*arrow.Schema, []arrow.RecordBatch)
	}{{"mixed", mixedTable}, {"text", textTable}, {"nulls", nullTable}, {"nested", nestedTable}} {
		schema, batches := table.make()
		var small []arrow.RecordBatch
		for _, batch := range batches {
			for row := int64(0); row < batch.NumRows(); row += 1024 {
				small = append(small, batch.NewSlice(row, row+1024))
			}
		}
		own := func(opts Options, batches ...arrow.RecordBatch) func(b *testing.B) {
			return func(b *testing.B) {
				e, err := New(schema, opts)
				if err != nil {
					b.Fatal(err)
				}
				run(b, func() int64 {
					var out sizeOnly
					for _, batch := range batches {
						if err := e.Write(batch); err != nil {
							b.Fatal(err)
						}
					}
					if _, err := e.Finish(&out); err != nil {
						b.Fatal(err)
					}
					return out.n
				})
			}
		}
		b.Run(table.name+"/snappy", own(Options{Workers: 1}, batches...))
		b.Run(table.name+"/snappy-two-workers", own(Options{Workers: 2}, batches...))
		b.Run(table.name+"/zstd", own(Options{Workers: 1, Compression: Zstd}, batches...))
		b.Run(table.name+"/zstd-1", own(Options{Workers: 1, Compression: Zstd, Level: 1}, batches...))
		b.Run(table.name+"/small-batches", own(Options{Workers: 1}, small...))
		b.Run(table.name+"/none", own(Options{Workers: 1, Compression: None}, batches...))
		b.Run(table.name+"/compat", own(Options{Workers: 1, Compat: true}, batches...))
		for name, codec := range map[string]compress.Compression{"pqarrow-snappy": compress.Codecs.Snappy, "pqarrow-zstd": compress.Codecs.Zstd} {
			b.Run(table.name+"/"+name, func(b *testing.B) {
				run(b, func() int64 {
					var out sizeOnly
					props := []parquet.WriterProperty{parquet.WithCompression(codec), parquet.WithMaxRowGroupLength(2 * benchRows)}
					if table.name == "mixed" {
						props = append(props,
							parquet.WithDictionaryFor("id", false), parquet.WithEncodingFor("id", parquet.Encodings.DeltaBinaryPacked),
							parquet.WithDictionaryFor("at", false), parquet.WithEncodingFor("at", parquet.Encodings.DeltaBinaryPacked),
							parquet.WithDictionaryFor("value", false), parquet.WithCompressionFor("value", compress.Codecs.Uncompressed),
							parquet.WithDictionaryFor("key", false), parquet.WithEncodingFor("key", parquet.Encodings.DeltaLengthByteArray))
					}
					w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(props...), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
					if err != nil {
						b.Fatal(err)
					}
					for _, batch := range batches {
						if err := w.WriteBuffered(batch); err != nil {
							b.Fatal(err)
						}
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
					return out.n
				})
			})
		}
	}
}

func BenchmarkSnappy(b *testing.B) {
	_, batches := textTable()
	for k, name := range []string{"sentences", "paths"} {
		src := batches[0].Column(k).Data().Buffers()[2].Bytes()[:1<<20]
		dst := make([]byte, turnsRoom(len(src)))
		b.Run(name+"/usual", func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				s2.EncodeSnappy(dst, src)
			}
		})
		b.Run(name+"/turns", func(b *testing.B) {
			var t snappyTurns
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				t.encode(dst, src)
			}
		})
	}
}
