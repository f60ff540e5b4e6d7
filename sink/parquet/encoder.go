package parquet

import (
	"encoding/binary"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
)

// The driver has two halves, and this file is the seam between them.
//
// A format turns batches into row groups and row groups into a footer. It knows
// nothing of files: a row group is bytes and metadata whose offsets count from
// the group's own first byte, so that it can be placed behind any other.
//
// The assembler owns the file: which group lies where, what is durable, and what
// is cut off after a crash.

// rowGroup is one encoded row group in its place.
type rowGroup struct {
	Start  int64  `json:"start"`  // offset of its first byte in the file
	Length int64  `json:"length"` // bytes
	Rows   int64  `json:"rows"`
	Meta   []byte `json:"meta"` // the format's own, with offsets from Start
}

// encoder encodes one row group. It is used once: any number of add, then
// finish. An encoder that is not finished may be dropped.
type encoder interface {
	// add takes a batch of exactly the stored schema, and copies what it needs.
	add(batch arrow.RecordBatch) error
	// finish writes what is left and gives the group, with Start 0.
	finish() (rowGroup, error)
}

// format is a way to write Parquet.
type format interface {
	// encoder begins a row group whose bytes go to out, one after the other. The
	// first batch is there to choose encodings by; it is added like the others.
	encoder(out io.Writer, schema *arrow.Schema, codec string, first arrow.RecordBatch) (encoder, error)
	// footer gives the footer of a file with these groups, in this order: the
	// metadata, its length, and the closing magic.
	footer(schema *arrow.Schema, groups []rowGroup, entries []entry) ([]byte, error)
	// entries reads the key-value metadata from a footer.
	entries(footer []byte) ([]entry, error)
}

// entry is one piece of a file's key-value metadata.
type entry struct{ key, value string }

const (
	magic      = "PAR1"
	tailLength = 8 // length of the metadata (u32, little endian) and the magic
)

// footerLength reads the length of a whole footer from a file's last bytes.
func footerLength(tail []byte, size int64) (length int64, ok bool) {
	length = int64(binary.LittleEndian.Uint32(tail)) + tailLength
	return length, string(tail[4:]) == magic && length <= size-int64(len(magic))
}
