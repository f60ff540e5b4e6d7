package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Arrow's reader trusts the metadata of a message: it allocates what a vector's
// length says, follows fields into fields, and slices buffers by the offsets it
// finds. checkMetadata looks at all of that first, so that a lying message is an
// error and not a huge allocation or an endless walk. Slots are those of
// Message.fbs and Schema.fbs (Arrow format 1.5).

const (
	maxMetadata = 16 << 20 // bytes of one message's metadata
	maxFields   = 1 << 16  // fields of a schema, nested ones included
	maxNesting  = 32       // levels of nested fields
	maxRows     = 1 << 28  // rows of one record batch
)

// The header types of Message.fbs.
const (
	headerSchema          = 1
	headerDictionaryBatch = 2
	headerRecordBatch     = 3
)

// The field types of Schema.fbs that have other than two buffers (validity and
// values), or that carry something to check.
const (
	typeNull          = 1
	typeBinary        = 4
	typeUtf8          = 5
	typeStruct        = 13
	typeUnion         = 14
	typeFixedSizeList = 16
	typeLargeBinary   = 19
	typeLargeUtf8     = 20
	typeRunEndEncoded = 22
	typeBinaryView    = 23
	typeUtf8View      = 24
	typeListView      = 25
	typeLargeListView = 26
	unionDense        = 1
)

// counts is how many entries a batch must have for its schema. Arrow's reader
// takes them without looking for the end of the vector.
type counts struct{ nodes, buffers, variadic int }

// shape is what a stream's schema asks of its batches.
type shape struct {
	batch        counts
	dictionaries map[int64]counts // by dictionary id
	budget       int              // fields that may still be visited
}

// metadata is what the host itself needs to know of a checked message.
type metadata struct {
	header     byte
	bodyLength int64
}

// flatTable is a table in a flatbuffer, whose vtable lies within the buffer.
type flatTable struct {
	buf    []byte
	at     int // position of the table
	vtable int
	slots  int
	size   int // bytes of the table itself
}

var errFlatbuffer = errors.New("metadata points outside of itself")

func openRoot(buf []byte) (flatTable, error) {
	if len(buf) < 8 {
		return flatTable{}, errFlatbuffer
	}
	return openTable(buf, int64(binary.LittleEndian.Uint32(buf)))
}

func openTable(buf []byte, at int64) (flatTable, error) {
	if at < 0 || at+4 > int64(len(buf)) {
		return flatTable{}, errFlatbuffer
	}
	vtable := at - int64(int32(binary.LittleEndian.Uint32(buf[at:])))
	if vtable < 0 || vtable+4 > int64(len(buf)) {
		return flatTable{}, errFlatbuffer
	}
	vtableSize := int64(binary.LittleEndian.Uint16(buf[vtable:]))
	tableSize := int64(binary.LittleEndian.Uint16(buf[vtable+2:]))
	if vtableSize < 4 || vtableSize%2 != 0 || vtable+vtableSize > int64(len(buf)) || at+tableSize > int64(len(buf)) {
		return flatTable{}, errFlatbuffer
	}
	return flatTable{buf: buf, at: int(at), vtable: int(vtable), slots: int(vtableSize-4) / 2, size: int(tableSize)}, nil
}

// slot gives the position of a field of the given width, 0 when it is absent.
func (t flatTable) slot(i, width int) (int, error) {
	if i >= t.slots {
		return 0, nil
	}
	offset := int(binary.LittleEndian.Uint16(t.buf[t.vtable+4+2*i:]))
	if offset == 0 {
		return 0, nil
	}
	if offset+width > t.size || offset+width > len(t.buf)-t.at {
		return 0, errFlatbuffer
	}
	return t.at + offset, nil
}

func (t flatTable) byte(i int) (byte, error) {
	at, err := t.slot(i, 1)
	if at == 0 || err != nil {
		return 0, err
	}
	return t.buf[at], nil
}

func (t flatTable) int64(i int) (int64, error) {
	at, err := t.slot(i, 8)
	if at == 0 || err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(t.buf[at:])), nil
}

// table follows the offset in slot i; found is false when the slot is empty.
func (t flatTable) table(i int) (inner flatTable, found bool, err error) {
	at, err := t.slot(i, 4)
	if at == 0 || err != nil {
		return flatTable{}, false, err
	}
	inner, err = openTable(t.buf, int64(at)+int64(binary.LittleEndian.Uint32(t.buf[at:])))
	return inner, err == nil, err
}

// vector gives the position and length of a vector whose elements are width
// bytes each.
func (t flatTable) vector(i, width int) (at, length int, err error) {
	slot, err := t.slot(i, 4)
	if slot == 0 || err != nil {
		return 0, 0, err
	}
	start := int64(slot) + int64(binary.LittleEndian.Uint32(t.buf[slot:]))
	if start+4 > int64(len(t.buf)) {
		return 0, 0, errFlatbuffer
	}
	n := int64(binary.LittleEndian.Uint32(t.buf[start:]))
	if start+4+n*int64(width) > int64(len(t.buf)) {
		return 0, 0, errFlatbuffer
	}
	return int(start) + 4, int(n), nil
}

// tables calls visit for each table of a vector of tables.
func (t flatTable) tables(i int, visit func(flatTable) error) error {
	at, length, err := t.vector(i, 4)
	if err != nil {
		return err
	}
	for k := range length {
		element := int64(at + 4*k)
		inner, err := openTable(t.buf, element+int64(binary.LittleEndian.Uint32(t.buf[element:])))
		if err != nil {
			return err
		}
		if err := visit(inner); err != nil {
			return err
		}
	}
	return nil
}

// checkMetadata checks one message's metadata. available is the number of bytes
// that follow it in the frame: its body cannot be longer. A schema fills the
// shape, which batches are then compared with.
func checkMetadata(buf []byte, available int64, shape *shape) (metadata, error) {
	message, err := openRoot(buf)
	if err != nil {
		return metadata{}, err
	}
	var m metadata
	if m.header, err = message.byte(1); err != nil {
		return metadata{}, err
	}
	if m.bodyLength, err = message.int64(3); err != nil {
		return metadata{}, err
	}
	if m.bodyLength < 0 || m.bodyLength > available {
		return metadata{}, fmt.Errorf("a message announces a body of %d bytes, %d are left in the frame", m.bodyLength, available)
	}
	if err := checkKeyValues(message, 4); err != nil {
		return metadata{}, err
	}
	header, found, err := message.table(2)
	if err != nil {
		return metadata{}, err
	}
	if !found {
		return metadata{}, errors.New("a message without a header")
	}
	switch m.header {
	case headerSchema:
		err = checkSchema(header, shape)
	case headerRecordBatch:
		err = checkRecordBatch(header, m.bodyLength, shape.batch)
	case headerDictionaryBatch:
		err = checkDictionaryBatch(header, m.bodyLength, shape)
	default:
		err = fmt.Errorf("a message of type %d has no place in a stream of batches", m.header)
	}
	return m, err
}

// checkKeyValues checks a vector of KeyValue tables and their two strings.
func checkKeyValues(t flatTable, slot int) error {
	return t.tables(slot, func(pair flatTable) error {
		for i := range 2 {
			if _, _, err := pair.vector(i, 1); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkSchema(schema flatTable, shape *shape) error {
	endianness, err := schema.slot(0, 2)
	if err != nil {
		return err
	}
	if endianness != 0 && binary.LittleEndian.Uint16(schema.buf[endianness:]) != 0 {
		return errors.New("a big-endian stream is not supported")
	}
	if err := checkKeyValues(schema, 2); err != nil {
		return err
	}
	shape.batch, shape.dictionaries, shape.budget = counts{}, make(map[int64]counts), maxFields
	return checkFields(schema, 1, 0, shape, &shape.batch)
}

// checkFields walks a vector of fields and adds up what their batches need. The
// budget counts each visit, since several parents may point to one and the same
// child table.
func checkFields(t flatTable, slot, depth int, shape *shape, need *counts) error {
	if depth > maxNesting {
		return fmt.Errorf("fields are nested more than %d levels deep", maxNesting)
	}
	return t.tables(slot, func(field flatTable) error {
		if shape.budget--; shape.budget < 0 {
			return fmt.Errorf("a schema has more than %d fields", maxFields)
		}
		if _, _, err := field.vector(0, 1); err != nil { // name
			return err
		}
		if err := checkKeyValues(field, 6); err != nil {
			return err
		}
		encoding, encoded, err := field.table(4)
		if err != nil {
			return err
		}
		if !encoded {
			return checkValues(field, depth, shape, need)
		}
		// The batch has the indices; the values come in a batch of their own.
		need.nodes++
		need.buffers += 2
		id, err := encoding.int64(0)
		if err != nil {
			return err
		}
		var values counts
		if err := checkValues(field, depth, shape, &values); err != nil {
			return err
		}
		shape.dictionaries[id] = values
		return nil
	})
}

// checkValues adds up one field, its dictionary encoding aside, and its children.
func checkValues(field flatTable, depth int, shape *shape, need *counts) error {
	code, err := field.byte(2)
	if err != nil {
		return err
	}
	kind, found, err := field.table(3)
	if err != nil {
		return err
	}
	need.nodes++
	switch code {
	case typeNull, typeRunEndEncoded:
	case typeStruct, typeFixedSizeList:
		need.buffers++
	case typeBinary, typeUtf8, typeLargeBinary, typeLargeUtf8, typeListView, typeLargeListView:
		need.buffers += 3
	case typeBinaryView, typeUtf8View:
		need.buffers += 2
		need.variadic++
	case typeUnion:
		if !found {
			return errors.New("a union without its description")
		}
		if _, _, err := kind.vector(1, 4); err != nil { // type codes
			return err
		}
		mode, err := kind.slot(0, 2)
		if err != nil {
			return err
		}
		need.buffers++
		if mode != 0 && binary.LittleEndian.Uint16(kind.buf[mode:]) == unionDense {
			need.buffers++
		}
	default:
		need.buffers += 2
	}
	return checkFields(field, 5, depth+1, shape, need)
}

func checkDictionaryBatch(batch flatTable, bodyLength int64, shape *shape) error {
	delta, err := batch.byte(2)
	if err != nil {
		return err
	}
	if delta != 0 {
		return errors.New("delta dictionaries are not supported")
	}
	data, found, err := batch.table(1)
	if err != nil {
		return err
	}
	if !found {
		return errors.New("a dictionary batch without data")
	}
	id, err := batch.int64(0)
	if err != nil {
		return err
	}
	need, known := shape.dictionaries[id]
	if !known {
		return fmt.Errorf("a dictionary %d that the schema does not have", id)
	}
	return checkRecordBatch(data, bodyLength, need)
}

func checkRecordBatch(batch flatTable, bodyLength int64, need counts) error {
	rows, err := batch.int64(0)
	if err != nil {
		return err
	}
	if rows < 0 || rows > maxRows {
		return fmt.Errorf("a batch announces %d rows", rows)
	}
	// Node: length, null count. Lengths of nested arrays differ from the rows.
	at, nodes, err := batch.vector(1, 16)
	if err != nil {
		return err
	}
	for i := range nodes {
		values := int64(binary.LittleEndian.Uint64(batch.buf[at+16*i:]))
		nulls := int64(binary.LittleEndian.Uint64(batch.buf[at+16*i+8:]))
		if values < 0 || values > 1<<40 || nulls < 0 || nulls > values {
			return fmt.Errorf("an array announces %d values, %d of them null", values, nulls)
		}
	}
	// Buffer: offset, length.
	at, buffers, err := batch.vector(2, 16)
	if err != nil {
		return err
	}
	for i := range buffers {
		offset := int64(binary.LittleEndian.Uint64(batch.buf[at+16*i:]))
		size := int64(binary.LittleEndian.Uint64(batch.buf[at+16*i+8:]))
		if offset < 0 || size < 0 || offset > bodyLength || size > bodyLength-offset {
			return fmt.Errorf("a buffer at %d of %d bytes lies outside of the body of %d", offset, size, bodyLength)
		}
		if offset%8 != 0 && size > 0 {
			return fmt.Errorf("a buffer at %d is not aligned to 8 bytes", offset)
		}
	}
	if _, compressed, err := batch.table(3); err != nil {
		return err
	} else if compressed {
		return errors.New("compressed Arrow streams are not supported: write the stream without compression")
	}
	at, variadic, err := batch.vector(4, 8)
	if err != nil {
		return err
	}
	behind := int64(0) // buffers behind those that every view array has
	for i := range variadic {
		count := int64(binary.LittleEndian.Uint64(batch.buf[at+8*i:]))
		if count < 0 || count > int64(buffers) {
			return fmt.Errorf("a view array announces %d buffers", count)
		}
		behind += count
	}
	if nodes < need.nodes || variadic < need.variadic || int64(buffers) < int64(need.buffers)+behind {
		return fmt.Errorf("a batch has %d arrays, %d buffers and %d buffer counts; its schema needs %d, %d and %d",
			nodes, buffers, variadic, need.nodes, int64(need.buffers)+behind, need.variadic)
	}
	return nil
}
