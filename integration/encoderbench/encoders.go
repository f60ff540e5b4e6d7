package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/klauspost/compress/s2"

	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// The two contestants that are written in Go run in this program too, each in
// a process of its own.

// rowGroupRows is the largest row group of every contestant; it is the default
// of the others.
const rowGroupRows = 1 << 20

// encodeOnce encodes the table as a whole Parquet file.
type encodeOnce func(out io.Writer) error

// contest is the main program of a contestant.
func contest(name, path, codec, option string, questions io.Reader, answers io.Writer) error {
	schema, batches, err := load(path)
	if err != nil {
		return err
	}
	var encode encodeOnce
	switch name {
	case ownName:
		encode, err = ownEncoder(schema, batches, codec, option)
	case pqarrowName:
		encode, err = pqarrowEncoder(schema, batches, codec, option)
	default:
		err = fmt.Errorf("unknown contestant %q", name)
	}
	if err != nil {
		return err
	}
	return answer(questions, answers, encode)
}

// load reads an Arrow IPC file into memory.
func load(path string) (*arrow.Schema, []arrow.RecordBatch, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("load table: %w", err)
	}
	defer file.Close()
	r, err := ipc.NewFileReader(file)
	if err != nil {
		return nil, nil, fmt.Errorf("load table %s: %w", path, err)
	}
	defer r.Close()
	var batches []arrow.RecordBatch
	for i := range r.NumRecords() {
		batch, err := r.RecordBatchAt(i)
		if err != nil {
			return nil, nil, fmt.Errorf("load table %s: %w", path, err)
		}
		batches = append(batches, batch)
	}
	return r.Schema(), batches, nil
}

// answer measures one encoding for each line that it reads.
func answer(questions io.Reader, answers io.Writer, encode encodeOnce) error {
	lines := bufio.NewScanner(questions)
	for lines.Scan() {
		var out io.Writer = io.Discard
		var file *os.File
		cpu, wall := cpuSeconds(), time.Now()
		if path, ok := strings.CutPrefix(lines.Text(), writeQuestion); ok {
			var err error
			if file, err = os.Create(path); err != nil {
				return err
			}
			out = file
		}
		counted := &counter{to: out}
		err := encode(counted)
		if file != nil {
			if closeErr := file.Close(); err == nil {
				err = closeErr
			}
		}
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		if _, err := fmt.Fprintln(answers, cpuSeconds()-cpu, time.Since(wall).Seconds(), counted.n); err != nil {
			return err
		}
	}
	return lines.Err()
}

// counter counts what passes.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// ownEncoder keeps its encoder from one file to the next, as the worker does
// from one row group to the next. The option is the number of workers.
func ownEncoder(schema *arrow.Schema, batches []arrow.RecordBatch, codec, workers string) (encodeOnce, error) {
	opts := rowgroup.Options{}
	if _, err := fmt.Sscan(workers, &opts.Workers); err != nil {
		return nil, fmt.Errorf("number of workers %q: %w", workers, err)
	}
	var err error
	if opts.Compression, err = rowgroup.ParseCompression(codec); err != nil {
		return nil, err
	}
	if opts.Compression == rowgroup.Zstd {
		opts.Level = 1
	}
	e, err := rowgroup.New(schema, opts)
	if err != nil {
		return nil, err
	}
	return func(out io.Writer) error {
		at := int64(len(rowgroup.Magic))
		if _, err := io.WriteString(out, rowgroup.Magic); err != nil {
			return err
		}
		var groups []rowgroup.Placed
		end := func() error {
			g, err := e.Finish(out)
			if err == nil && g.Rows > 0 {
				groups = append(groups, rowgroup.Placed{RowGroup: g, Offset: at})
				at += g.Bytes
			}
			return err
		}
		for _, batch := range batches {
			if e.Rows()+batch.NumRows() > rowGroupRows {
				if err := end(); err != nil {
					return err
				}
			}
			if err := e.Write(batch); err != nil {
				return err
			}
		}
		if err := end(); err != nil {
			return err
		}
		footer, err := rowgroup.AppendFooter(nil, schema, groups, nil, "casparian-worker version 0.0.0 (build benchmark)")
		if err != nil {
			return err
		}
		_, err = out.Write(footer)
		return err
	}, nil
}

// fastSnappy is the fast mode of the snappy library, of which arrow-go takes
// the slow one.
type fastSnappy struct{ compress.Codec }

func (fastSnappy) Encode(dst, src []byte) []byte { return s2.EncodeSnappy(dst[:cap(dst)], src) }

func (f fastSnappy) EncodeLevel(dst, src []byte, _ int) []byte { return f.Encode(dst, src) }

// pqarrowEncoder is arrow-go's writer, tuned by hand. The option is the tuning.
func pqarrowEncoder(schema *arrow.Schema, batches []arrow.RecordBatch, codec, option string) (encodeOnce, error) {
	var chosen tuning
	if err := json.Unmarshal([]byte(option), &chosen); err != nil {
		return nil, fmt.Errorf("read tuning: %w", err)
	}
	props := []parquet.WriterProperty{
		parquet.WithMaxRowGroupLength(rowGroupRows),
		parquet.WithDictionaryDefault(false),
	}
	switch codec {
	case "snappy":
		standard, err := compress.GetCodec(compress.Codecs.Snappy)
		if err != nil {
			return nil, err
		}
		compress.RegisterCodec(compress.Codecs.Snappy, fastSnappy{standard})
		props = append(props, parquet.WithCompression(compress.Codecs.Snappy))
	case "zstd":
		props = append(props, parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1))
	default:
		return nil, fmt.Errorf("unknown codec %q", codec)
	}
	for _, path := range chosen.Dictionary {
		props = append(props, parquet.WithDictionaryFor(path, true))
	}
	encodings := map[string]parquet.Encoding{
		plain:       parquet.Encodings.Plain,
		delta:       parquet.Encodings.DeltaBinaryPacked,
		deltaLength: parquet.Encodings.DeltaLengthByteArray,
	}
	for path, name := range chosen.Encodings {
		encoding, ok := encodings[name]
		if !ok {
			return nil, fmt.Errorf("unknown encoding %q", name)
		}
		props = append(props, parquet.WithEncodingFor(path, encoding))
	}
	for _, path := range chosen.Uncompressed {
		props = append(props, parquet.WithCompressionFor(path, compress.Codecs.Uncompressed))
	}
	writerProps := parquet.NewWriterProperties(props...)
	arrowProps := pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema())
	return func(out io.Writer) error {
		w, err := pqarrow.NewFileWriter(schema, out, writerProps, arrowProps)
		if err != nil {
			return err
		}
		for _, batch := range batches {
			if err := w.WriteBuffered(batch); err != nil {
				return err
			}
		}
		return w.Close()
	}, nil
}
