package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	pq "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// arrowFormat encodes with arrow-go's pqarrow. That writes whole files only, so
// each row group is a short file of its own: its opening magic and its footer
// are left out, and its offsets are moved.
type arrowFormat struct {
	createdBy string
}

const (
	// pageBytes is the size at which a data page is closed.
	pageBytes = 1 << 20
	// dictionaryBytes is the size at which a dictionary is given up.
	dictionaryBytes = 1 << 20
	// batchValues is how many values pqarrow takes from a column at once.
	batchValues = 64 << 10
)

func (f *arrowFormat) properties(codec string, choices []pq.WriterProperty) *pq.WriterProperties {
	options := []pq.WriterProperty{
		pq.WithCompression(codecs[codec]),
		pq.WithCompressionLevel(levels[codec]),
		pq.WithCreatedBy(f.createdBy),
		pq.WithDataPageSize(pageBytes),
		pq.WithDictionaryPageSizeLimit(dictionaryBytes),
		pq.WithBatchSize(batchValues),
		pq.WithVersion(pq.V2_6),
		// The writer cuts row groups; pqarrow must not.
		pq.WithMaxRowGroupLength(math.MaxInt64),
	}
	return pq.NewWriterProperties(append(options, choices...)...)
}

// arrowEncoder is one row group on its way through a pqarrow file.
type arrowEncoder struct {
	out    *groupSink
	writer *pqarrow.FileWriter
}

func (f *arrowFormat) encoder(out io.Writer, schema *arrow.Schema, codec string, first arrow.RecordBatch) (encoder, error) {
	trimmed := &groupSink{out: out}
	writer, err := pqarrow.NewFileWriter(schema, trimmed, f.properties(codec, chooseEncodings(first)), pqarrow.NewArrowWriterProperties())
	if err != nil {
		return nil, err
	}
	if err := writer.NewBufferedRowGroupChecked(); err != nil {
		return nil, err
	}
	return &arrowEncoder{out: trimmed, writer: writer}, nil
}

func (e *arrowEncoder) add(batch arrow.RecordBatch) error { return e.writer.WriteBuffered(batch) }

func (e *arrowEncoder) finish() (rowGroup, error) {
	if err := e.writer.Close(); err != nil {
		return rowGroup{}, err
	}
	file, err := e.writer.FileMetadata()
	if err != nil {
		return rowGroup{}, err
	}
	if len(file.RowGroups) != 1 {
		return rowGroup{}, fmt.Errorf("pqarrow made %d row groups of one", len(file.RowGroups))
	}
	if err := moveOffsets(file, 0, -int64(len(magic))); err != nil {
		return rowGroup{}, err
	}
	length, err := e.out.groupLength()
	if err != nil {
		return rowGroup{}, err
	}
	file.FileMetaData.KeyValueMetadata = nil // the footer has its own
	meta, err := file.Serialize(context.Background())
	if err != nil {
		return rowGroup{}, err
	}
	return rowGroup{Length: length, Rows: file.RowGroups[0].NumRows, Meta: meta}, nil
}

// moveOffsets adds by to every offset of a row group's metadata.
func moveOffsets(file *metadata.FileMetaData, group int, by int64) error {
	moved := file.RowGroups[group]
	offsets := []*int64{moved.FileOffset}
	for _, column := range moved.Columns {
		// Both have page locations of their own, which would have to move, too.
		if column.ColumnIndexOffset != nil || column.OffsetIndexOffset != nil || column.MetaData.BloomFilterOffset != nil {
			return fmt.Errorf("a page index or bloom filter cannot be moved")
		}
		column.FileOffset += by
		column.MetaData.DataPageOffset += by
		offsets = append(offsets, column.MetaData.DictionaryPageOffset, column.MetaData.IndexPageOffset)
	}
	for _, offset := range offsets {
		if offset != nil {
			*offset += by
		}
	}
	return nil
}

func (f *arrowFormat) footer(schema *arrow.Schema, groups []rowGroup, entries []entry) ([]byte, error) {
	// An empty file has the right schema; only its metadata is wanted.
	empty, err := pqarrow.NewFileWriter(schema, io.Discard, f.properties("none", nil), pqarrow.NewArrowWriterProperties())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := empty.AppendKeyValueMetadata(e.key, e.value); err != nil {
			return nil, err
		}
	}
	file, err := empty.FileMetadata()
	if err != nil {
		return nil, err
	}
	for i, group := range groups {
		part, err := metadata.NewFileMetaData(group.Meta, nil)
		if err != nil {
			return nil, fmt.Errorf("metadata of row group %d: %w", i, err)
		}
		if len(part.RowGroups) != 1 {
			return nil, fmt.Errorf("metadata of row group %d has %d groups", i, len(part.RowGroups))
		}
		if err := moveOffsets(part, 0, group.Start); err != nil {
			return nil, err
		}
		part.RowGroups[0].Ordinal = nil
		if i <= math.MaxInt16 { // the field has 16 bits and may be missing
			ordinal := int16(i)
			part.RowGroups[0].Ordinal = &ordinal
		}
		if err := file.AppendRowGroups(part); err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	var out bytes.Buffer
	length, err := file.WriteTo(&out, nil)
	if err != nil {
		return nil, err
	}
	if length > math.MaxInt32 {
		return nil, fmt.Errorf("footer of %d bytes: too many row groups or columns", length)
	}
	tail := binary.LittleEndian.AppendUint32(nil, uint32(length))
	return append(append(out.Bytes(), tail...), magic...), nil
}

func (f *arrowFormat) entries(footer []byte) ([]entry, error) {
	if len(footer) < tailLength {
		return nil, io.ErrUnexpectedEOF
	}
	file, err := metadata.NewFileMetaData(footer[:len(footer)-tailLength], nil)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, kv := range file.FileMetaData.KeyValueMetadata {
		entries = append(entries, entry{kv.Key, kv.GetValue()})
	}
	return entries, nil
}

// groupSink passes a pqarrow file on without its opening magic, and remembers
// the last bytes, which tell where its footer begins.
type groupSink struct {
	out  io.Writer
	seen int64 // bytes of the pqarrow file
	tail [tailLength]byte
}

func (s *groupSink) Write(p []byte) (int, error) {
	if len(p) >= tailLength {
		copy(s.tail[:], p[len(p)-tailLength:])
	} else {
		copy(s.tail[:], s.tail[len(p):])
		copy(s.tail[tailLength-len(p):], p)
	}
	skipped := int(min(int64(len(p)), max(0, int64(len(magic))-s.seen)))
	s.seen += int64(skipped)
	if skipped == len(p) {
		return len(p), nil
	}
	n, err := s.out.Write(p[skipped:])
	s.seen += int64(n)
	return skipped + n, err
}

// groupLength is how many of the bytes that went out belong to the row group.
func (s *groupSink) groupLength() (int64, error) {
	length := s.seen - int64(len(magic)) - tailLength - int64(binary.LittleEndian.Uint32(s.tail[:]))
	if string(s.tail[4:]) != magic || length < 0 {
		return 0, fmt.Errorf("pqarrow ended a file without a footer")
	}
	return length, nil
}
