package rowgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
)

// README.md of the format, "File format", and parquet.thrift, FileMetaData. A
// file is
//
//	"PAR1", row groups, offset indexes, FileMetaData, its length, "PAR1"

// Magic begins and ends every Parquet file.
const Magic = "PAR1"

// Placed is a row group that begins at byte Offset of the file.
type Placed struct {
	RowGroup
	Offset int64
}

// KeyValue is one entry of the file's own metadata.
type KeyValue struct{ Key, Value string }

// AppendFooter appends what follows the last row group: offset indexes, the
// file's metadata, and the end. The groups lie in the file in this order,
// behind the first four bytes, without overlapping; the footer belongs directly
// behind the last one. A file may have no groups at all.
//
// The file's metadata holds the keys of the Arrow schema, then kv. createdBy
// should read "NAME version X.Y.Z (build HASH)": readers parse it.
func AppendFooter(dst []byte, schema *arrow.Schema, groups []Placed, kv []KeyValue, createdBy string) ([]byte, error) {
	end := int64(len(Magic))
	if n := len(groups); n > 0 {
		end = groups[n-1].Offset + groups[n-1].Bytes
	}
	return AppendFooterAt(dst, end, schema, groups, kv, createdBy)
}

// AppendFooterAt is AppendFooter for a footer that begins at byte at of the
// file, where other bytes may lie between it and the last row group.
func AppendFooterAt(dst []byte, at int64, schema *arrow.Schema, groups []Placed, kv []KeyValue, createdBy string) ([]byte, error) {
	tree, err := newSchemaTree(schema)
	if err != nil {
		return nil, err
	}
	end := int64(len(Magic))
	for i, g := range groups {
		if g.Offset < end {
			return nil, fmt.Errorf("row group %d begins at byte %d, before the end of what is in front of it at %d", i, g.Offset, end)
		}
		if len(g.chunks) != len(tree.leaves) {
			return nil, fmt.Errorf("row group %d has %d columns, and the schema has %d", i, len(g.chunks), len(tree.leaves))
		}
		end = g.Offset + g.Bytes
	}
	if at < end {
		return nil, fmt.Errorf("the footer begins at byte %d, before the end of the last row group at %d", at, end)
	}
	start := len(dst)
	t := thriftWriter{buf: dst}
	indexes := make([][]place, len(groups))
	for i, g := range groups {
		for k := range g.chunks {
			from := len(t.buf)
			t.id, t.outer = 0, t.outer[:0]
			writeOffsetIndex(&t, g.chunks[k].pages, g.Offset, g.chunks[k].phys == byteArray)
			if len(t.buf)-from > math.MaxInt32 {
				return nil, errors.New("an offset index has more than 2 GiB")
			}
			indexes[i] = append(indexes[i], place{at + int64(from-start), int32(len(t.buf) - from)})
		}
	}
	metadata := len(t.buf)
	t.id, t.outer = 0, t.outer[:0]
	// The format asks writers for version 1: there is no agreed meaning of 2.
	t.i32(1, 1)
	tree.write(&t)
	var rows int64
	for _, g := range groups {
		rows += g.Rows
	}
	t.i64(3, rows)
	t.list(4, len(groups), thriftStruct)
	for i := range groups {
		groups[i].write(&t, tree, i, indexes[i])
	}
	if err := writeKeyValues(&t, schema, kv); err != nil {
		return nil, err
	}
	t.text(6, createdBy)
	t.list(7, len(tree.leaves), thriftStruct)
	for range tree.leaves {
		t.element()
		t.empty(1) // TypeDefinedOrder
		t.end()
	}
	t.end()
	size := len(t.buf) - metadata
	if size > math.MaxInt32 {
		return nil, errors.New("the footer has more than 2 GiB")
	}
	t.buf = binary.LittleEndian.AppendUint32(t.buf, uint32(size))
	return append(t.buf, Magic...), nil
}

// write appends parquet.thrift's RowGroup.
func (g *Placed) write(t *thriftWriter, tree *schemaTree, ordinal int, offsetIndexes []place) {
	t.element()
	t.list(1, len(g.chunks), thriftStruct)
	var raw, size int64
	for i := range g.chunks {
		c := &g.chunks[i]
		c.write(t, g.Offset, tree.leaves[i].path, offsetIndexes[i], false)
		raw += c.raw
		size += c.size
	}
	t.i64(2, raw)
	t.i64(3, g.Rows)
	writeSorting(t, 4, g.sorting)
	t.i64(5, g.Offset)
	t.i64(6, size)
	if ordinal <= math.MaxInt16 {
		t.i16(7, int16(ordinal))
	}
	t.end()
}

func writeKeyValues(t *thriftWriter, schema *arrow.Schema, kv []KeyValue) error {
	stored, err := arrowSchema(schema)
	if err != nil {
		return err
	}
	var all []KeyValue
	md := schema.Metadata()
	for i, k := range md.Keys() {
		if k != arrowSchemaKey {
			all = append(all, KeyValue{k, md.Values()[i]})
		}
	}
	all = append(all, kv...)
	all = append(all, KeyValue{arrowSchemaKey, stored})
	t.list(5, len(all), thriftStruct)
	for _, e := range all {
		t.element()
		t.text(1, e.Key)
		t.text(2, e.Value)
		t.end()
	}
	return nil
}

// ReadKeyValues reads the file's own metadata from a footer, whoever wrote it:
// FileMetaData, its length, and the closing magic. What lies in front of that, as
// in the result of AppendFooter, is passed over. A file without metadata gives
// none.
func ReadKeyValues(footer []byte) ([]KeyValue, error) {
	const tail = 4 + len(Magic)
	end := len(footer) - tail
	if end < 0 || string(footer[end+4:]) != Magic {
		return nil, fmt.Errorf("read footer: it does not end with %s", Magic)
	}
	size := binary.LittleEndian.Uint32(footer[end:])
	if int64(size) > int64(end) {
		return nil, fmt.Errorf("read footer: its metadata of %d bytes are not all there", size)
	}
	t := thriftReader{buf: footer[end-int(size) : end]}
	var all []KeyValue
	t.fields(func(id int16, kind byte) bool {
		if id != 5 || kind != thriftList {
			return false
		}
		n := t.listOf(thriftStruct)
		for i := 0; i < n && t.err == nil; i++ {
			all = append(all, readKeyValue(&t))
		}
		return true
	})
	if t.err != nil {
		return nil, fmt.Errorf("read footer: %w", t.err)
	}
	return all, nil
}

func readKeyValue(t *thriftReader) (kv KeyValue) {
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftBinary:
			kv.Key = string(t.bytes())
		case id == 2 && kind == thriftBinary:
			kv.Value = string(t.bytes())
		default:
			return false
		}
		return true
	})
	return kv
}
