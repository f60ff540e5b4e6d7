package parquet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// The driver has two halves, and this file is the seam between them.
//
// The package rowgroup turns batches into row groups and row groups into a
// footer. It knows nothing of files: a row group is bytes and metadata whose
// offsets count from the group's own first byte, so that it can be placed behind
// any other.
//
// The assembler owns the file: which group lies where, what is durable, and what
// is cut off after a crash.

// rowGroup is one encoded row group in its place.
type rowGroup struct {
	Start  int64  `json:"start"`  // offset of its first byte in the file
	Length int64  `json:"length"` // bytes
	Rows   int64  `json:"rows"`
	Meta   []byte `json:"meta"` // rowgroup.RowGroup, with offsets from Start
}

// described reads the metadata back.
func (g rowGroup) described() (rowgroup.RowGroup, error) {
	var described rowgroup.RowGroup
	if err := described.UnmarshalBinary(g.Meta); err != nil {
		return described, err
	}
	if described.Rows != g.Rows || described.Bytes != g.Length {
		return described, fmt.Errorf("it is of %d rows and %d bytes and was to have %d and %d", described.Rows, described.Bytes, g.Rows, g.Length)
	}
	return described, nil
}

// encoder encodes the row groups of one file, one after the other, in the same
// memory. Encoded pages wait in it until the group is finished.
type encoder struct {
	groups *rowgroup.Encoder
}

// outBytes is how much a finished group gathers of its small pieces (page
// headers, indexes) before a write.
const outBytes = 64 << 10

// gatherers are kept for the next row group, of whichever file.
var gatherers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, outBytes) }}

// newEncoder makes an encoder of batches of the schema, which has the lineage
// columns last. It refuses what [driverError] names.
func newEncoder(schema *arrow.Schema, o encoding) (*encoder, error) {
	options := rowgroup.Options{
		Compression:  codecs[o.codec],
		Level:        o.level,
		PageBytes:    int(o.pageBytes),
		Compat:       o.compat,
		BloomColumns: o.bloom,
		SortedBy:     maybeSorted(schema),
	}
	groups, err := rowgroup.New(schema, options)
	if err != nil {
		return nil, err
	}
	return &encoder{groups: groups}, nil
}

// finish writes the row group to out and gives it, with Start 0.
func (e *encoder) finish(out io.Writer) (rowGroup, error) {
	gathered := gatherers.Get().(*bufio.Writer)
	defer gatherers.Put(gathered)
	gathered.Reset(out)
	defer gathered.Reset(nil) // it may not keep the file
	group, err := e.groups.Finish(gathered)
	if err != nil {
		return rowGroup{}, err
	}
	if err := gathered.Flush(); err != nil {
		return rowGroup{}, err
	}
	meta, err := group.MarshalBinary()
	if err != nil {
		return rowGroup{}, err
	}
	return rowGroup{Length: group.Bytes, Rows: group.Rows, Meta: meta}, nil
}

// maybeSorted names the columns whose order is watched: all that are not nested,
// in their order in the table. The lineage columns are always in order, which
// tells nobody anything; a name with a dot could be taken for a nested column's.
func maybeSorted(schema *arrow.Schema) []string {
	var names []string
	for _, field := range schema.Fields() {
		if reserved(field.Name) || isNested(field.Type) || strings.Contains(field.Name, ".") {
			continue
		}
		names = append(names, field.Name)
	}
	return names
}

func isNested(dataType arrow.DataType) bool {
	switch t := dataType.(type) {
	case *arrow.DictionaryType:
		return isNested(t.ValueType)
	case *arrow.RunEndEncodedType:
		return isNested(t.Encoded())
	}
	return arrow.IsNested(dataType.ID())
}

// driverError gives an error about a batch, its schema or an option the type that
// the sink promises; nil for all others. batch is the number of the batch at fault.
func driverError(err error, batch int64) error {
	var (
		unsupported *rowgroup.UnsupportedTypeError
		bloom       *rowgroup.BloomError
		null        *rowgroup.NullError
		value       *rowgroup.ValueError
		malformed   *rowgroup.BatchError
	)
	switch {
	case errors.As(err, &unsupported):
		return &sink.UnsupportedTypeError{Column: unsupported.Column, Type: unsupported.Type.String(), Reason: unsupported.Reason}
	case errors.As(err, &bloom):
		return &sink.OptionError{Option: optionBloom, Value: bloom.Column, Reason: bloom.Reason}
	case errors.As(err, &null):
		return &sink.ValueError{Column: null.Column, Batch: batch, Reason: "it holds a null, and its type allows none"}
	case errors.As(err, &value):
		return &sink.ValueError{Column: value.Column, Batch: batch, Reason: value.Reason}
	case errors.As(err, &malformed):
		return &sink.ValueError{Column: malformed.Column, Batch: batch, Reason: malformed.Reason}
	}
	return nil
}

// appendFooter gives what belongs behind the last row group of a file, at byte
// at: page indexes, the metadata, its length, and the closing magic. The schema
// goes into ARROW:schema, too.
func appendFooter(at int64, schema *arrow.Schema, groups []rowGroup, entries []rowgroup.KeyValue, createdBy string) ([]byte, error) {
	placed := make([]rowgroup.Placed, len(groups))
	for i, group := range groups {
		described, err := group.described()
		if err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
		placed[i] = rowgroup.Placed{RowGroup: described, Offset: group.Start}
	}
	return rowgroup.AppendFooterAt(nil, at, schema, placed, entries, createdBy)
}

const (
	magic      = rowgroup.Magic
	tailLength = 8 // length of the metadata (u32, little endian) and the magic
)

// footerLength reads, from a file's last bytes, how long its metadata is together
// with them.
func footerLength(tail []byte, size int64) (length int64, ok bool) {
	length = int64(binary.LittleEndian.Uint32(tail)) + tailLength
	return length, string(tail[4:]) == magic && length <= size-int64(len(magic))
}
