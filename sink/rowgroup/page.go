package rowgroup

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// README.md of the format, "Data Pages", and parquet.thrift, PageHeader. A
// version 1 page is a header and one body, compressed as a whole: repetition
// levels, definition levels (each with its length in four bytes, and left out
// when there is only level zero) and the values. The CRC covers the body as it
// is written.

// encoding is parquet.thrift's enum Encoding.
type encoding int32

const (
	plain           encoding = 0
	rle             encoding = 3
	deltaPacked     encoding = 5
	deltaLength     encoding = 6
	deltaStrings    encoding = 7
	dictionaryIndex encoding = 8
	byteStreamSplit encoding = 9
	encodingCount            = 10
	undecided       encoding = -1
)

// parquet.thrift's enum PageType.
const (
	dataPage       = 0
	dictionaryPage = 2
)

// pageContent is the content of one data page before it is encoded.
type pageContent struct {
	rows, slots int
	values      values

	// A flat column has a validity bitmap (nil: no nulls); any other column has
	// levels: defs is nil when every slot has a value, reps when every slot is a
	// row of its own.
	bitmap []byte
	at     int
	defs   []uint8
	reps   []uint8
}

// appendSized appends a level section: its length, and what body appends.
func appendSized(dst []byte, body func([]byte) []byte) []byte {
	at := len(dst)
	dst = body(append(dst, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// appendLevels appends the level sections of a page.
func appendLevels(dst []byte, lf *leaf, p *pageContent) []byte {
	if lf.maxRep > 0 {
		width := widthOf(int(lf.maxRep))
		dst = appendSized(dst, func(b []byte) []byte {
			if p.reps == nil {
				return appendRun(b, 0, p.slots, width)
			}
			return appendHybrid(b, p.reps[:p.slots], width)
		})
	}
	if lf.maxDef > 0 {
		width := widthOf(int(lf.maxDef))
		dst = appendSized(dst, func(b []byte) []byte {
			switch {
			case p.defs != nil:
				return appendHybrid(b, p.defs[:p.slots], width)
			case p.values.n == p.slots:
				return appendRun(b, uint32(lf.maxDef), p.slots, width)
			case p.values.n == 0:
				return appendRun(b, 0, p.slots, width)
			default:
				return appendHybridBits(b, p.bitmap, p.at, p.slots)
			}
		})
	}
	return dst
}

// tooLarge says that a page does not fit the 31 bits of its size fields.
type tooLarge struct{ size int }

func (e *tooLarge) Error() string { return fmt.Sprintf("a page of %d bytes is too large", e.size) }

// body gives the page's body as it is written, from the segments of the
// uncompressed one.
func (w *workspace) body(segments [][]byte, use codecUse) (written [][]byte, raw, size int, err error) {
	for _, s := range segments {
		raw += len(s)
	}
	if raw > math.MaxInt32 {
		return nil, 0, 0, &tooLarge{raw}
	}
	if use == withoutCodec {
		return segments, raw, raw, nil
	}
	switch {
	case w.codec.kind == Snappy:
		w.compressed, err = w.codec.snappySegments(w.compressed, segments, use == withTurns)
	case len(segments) == 1:
		w.compressed, err = w.codec.compress(w.compressed, segments[0])
	default:
		w.compressed, err = w.codec.compress(w.compressed, w.join(segments))
	}
	if err != nil {
		return nil, 0, 0, err
	}
	if len(w.compressed) > math.MaxInt32 {
		return nil, 0, 0, &tooLarge{len(w.compressed)}
	}
	w.one[0] = w.compressed
	return w.one[:], raw, len(w.compressed), nil
}

// join copies the segments behind one another.
func (w *workspace) join(segments [][]byte) []byte {
	w.joined = w.joined[:0]
	for _, s := range segments {
		w.joined = append(w.joined, s...)
	}
	return w.joined
}

// header writes a page header to w.thrift; only the fields of its kind.
func (w *workspace) header(kind int32, raw, size, count int, enc encoding, body [][]byte) []byte {
	var crc uint32
	for _, s := range body {
		crc = crc32.Update(crc, crc32.IEEETable, s)
	}
	t := &w.thrift
	t.reset()
	t.i32(1, kind)
	t.i32(2, int32(raw))
	t.i32(3, int32(size))
	t.i32(4, int32(crc))
	if kind == dataPage {
		t.begin(5)
		t.i32(1, int32(count))
		t.i32(2, int32(enc))
		t.i32(3, int32(rle))
		t.i32(4, int32(rle))
	} else {
		t.begin(7)
		t.i32(1, int32(count))
		t.i32(2, int32(enc))
	}
	t.end()
	t.end()
	return t.buf
}
