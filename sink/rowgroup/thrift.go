package rowgroup

import (
	"encoding/binary"
	"errors"
)

// parquet.thrift in the Thrift compact protocol (thrift-compact-protocol.md).
// A field is one byte `delta of the id<<4 | type`, or the type and the whole id
// as a zigzag varint when the delta does not fit; integers are zigzag varints.

const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftI8     = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// thriftWriter appends to buf. Fields of one struct are written in any order,
// rising ids being the cheapest.
type thriftWriter struct {
	buf   []byte
	id    int16   // the last field of the open struct
	outer []int16 // the same of the structs around it
}

func (t *thriftWriter) reset() { t.buf, t.id, t.outer = t.buf[:0], 0, t.outer[:0] }

func (t *thriftWriter) uvarint(v uint64) { t.buf = binary.AppendUvarint(t.buf, v) }
func (t *thriftWriter) varint(v int64)   { t.uvarint(zigzag(v)) }

func (t *thriftWriter) field(id int16, kind byte) {
	if d := id - t.id; d > 0 && d <= 15 {
		t.buf = append(t.buf, byte(d)<<4|kind)
	} else {
		t.buf = append(t.buf, kind)
		t.varint(int64(id))
	}
	t.id = id
}

func (t *thriftWriter) i8(id int16, v int8)   { t.field(id, thriftI8); t.buf = append(t.buf, byte(v)) }
func (t *thriftWriter) i16(id int16, v int16) { t.field(id, thriftI16); t.varint(int64(v)) }
func (t *thriftWriter) i32(id int16, v int32) { t.field(id, thriftI32); t.varint(int64(v)) }
func (t *thriftWriter) i64(id int16, v int64) { t.field(id, thriftI64); t.varint(v) }

func (t *thriftWriter) boolean(id int16, v bool) {
	if v {
		t.field(id, thriftTrue)
	} else {
		t.field(id, thriftFalse)
	}
}

func (t *thriftWriter) binary(id int16, v []byte) {
	t.field(id, thriftBinary)
	t.binaryElement(v)
}

func (t *thriftWriter) text(id int16, v string) {
	t.field(id, thriftBinary)
	t.uvarint(uint64(len(v)))
	t.buf = append(t.buf, v...)
}

// begin opens a struct field; end closes it.
func (t *thriftWriter) begin(id int16) { t.field(id, thriftStruct); t.element() }

// element opens a struct that is an element of a list, or the outermost one.
func (t *thriftWriter) element() { t.outer = append(t.outer, t.id); t.id = 0 }

func (t *thriftWriter) end() {
	t.buf = append(t.buf, 0)
	if n := len(t.outer); n > 0 {
		t.id = t.outer[n-1]
		t.outer = t.outer[:n-1]
	}
}

// empty writes a struct field without fields, as unions of markers have them.
func (t *thriftWriter) empty(id int16) { t.begin(id); t.end() }

// list opens a list of n elements of one kind; the elements follow.
func (t *thriftWriter) list(id int16, n int, kind byte) {
	t.field(id, thriftList)
	if n < 15 {
		t.buf = append(t.buf, byte(n)<<4|kind)
	} else {
		t.buf = append(t.buf, 0xf0|kind)
		t.uvarint(uint64(n))
	}
}

func (t *thriftWriter) i64List(id int16, v []int64) {
	t.list(id, len(v), thriftI64)
	for _, x := range v {
		t.varint(x)
	}
}

func (t *thriftWriter) boolElement(v bool) {
	if v {
		t.buf = append(t.buf, thriftTrue)
	} else {
		t.buf = append(t.buf, thriftFalse)
	}
}

func (t *thriftWriter) binaryElement(v []byte) {
	t.uvarint(uint64(len(v)))
	t.buf = append(t.buf, v...)
}

// errThrift says that bytes are no Thrift compact struct of the expected form.
var errThrift = errors.New("malformed thrift")

// thriftDepth bounds how deep structs may nest: parquet.thrift needs six.
const thriftDepth = 16

// thriftReader reads what thriftWriter wrote. After the first error every
// reading gives zero and the error stays.
type thriftReader struct {
	buf   []byte
	err   error
	depth int
}

func (t *thriftReader) fail() { t.err, t.buf = errThrift, nil }

func (t *thriftReader) byte() byte {
	if len(t.buf) == 0 {
		t.fail()
		return 0
	}
	b := t.buf[0]
	t.buf = t.buf[1:]
	return b
}

func (t *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(t.buf)
	if n <= 0 {
		t.fail()
		return 0
	}
	t.buf = t.buf[n:]
	return v
}

func (t *thriftReader) varint() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// bytes reads a length and as many bytes. They are a part of the input.
func (t *thriftReader) bytes() []byte {
	n := t.uvarint()
	if n > uint64(len(t.buf)) {
		t.fail()
		return nil
	}
	b := t.buf[:n:n]
	t.buf = t.buf[n:]
	return b
}

// fields reads one struct: each is called with id and type of every field and
// tells whether it has read the value; otherwise the value is skipped. A
// boolean's value is its type.
func (t *thriftReader) fields(each func(id int16, kind byte) bool) {
	if t.depth++; t.depth > thriftDepth {
		t.fail()
	}
	defer func() { t.depth-- }()
	var id int16
	for t.err == nil {
		head := t.byte()
		kind := head & 0x0f
		if head == 0 {
			return
		}
		if d := head >> 4; d != 0 {
			id += int16(d)
		} else {
			id = int16(t.varint())
		}
		if !each(id, kind) {
			t.skip(kind)
		}
	}
}

// listOf opens a list and gives its length. Every element has at least one
// byte, so the length is bounded by what is left of the input.
func (t *thriftReader) listOf(kind byte) int {
	head := t.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = t.uvarint()
	}
	if t.err == nil && (n > uint64(len(t.buf)) || n > 0 && head&0x0f != kind) {
		t.fail()
	}
	if t.err != nil {
		return 0
	}
	return int(n)
}

func (t *thriftReader) i64List() []int64 {
	n := t.listOf(thriftI64)
	if n == 0 {
		return nil
	}
	v := make([]int64, n)
	for i := range v {
		v[i] = t.varint()
	}
	return v
}

func (t *thriftReader) skip(kind byte) {
	if t.depth++; t.depth > thriftDepth {
		t.fail()
	}
	defer func() { t.depth-- }()
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftI8:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.uvarint()
	case thriftDouble:
		for range 8 {
			t.byte()
		}
	case thriftBinary:
		t.bytes()
	case thriftList, thriftSet:
		head := t.byte()
		n := uint64(head >> 4)
		if n == 15 {
			n = t.uvarint()
		}
		elem := head & 0x0f
		for ; n > 0 && t.err == nil; n-- {
			if elem == thriftTrue || elem == thriftFalse {
				t.byte()
			} else {
				t.skip(elem)
			}
		}
	case thriftStruct:
		t.fields(func(int16, byte) bool { return false })
	default:
		t.fail()
	}
}
