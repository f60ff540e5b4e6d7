package rowgroup

import (
	"fmt"
)

// README.md of the format, "Metadata", and parquet.thrift, RowGroup,
// ColumnChunk and ColumnMetaData.

// RowGroup is what a footer must say of one finished row group. All places in
// it count from the group's first byte, so the group may stand anywhere in a
// file, and its description may be kept (MarshalBinary) until the footer is
// written. The zero value is a group of no rows and no bytes.
type RowGroup struct {
	Rows  int64
	Bytes int64 // the length of the group: columns, filters and column indexes

	chunks  []chunk
	sorting []SortingColumn
}

// Sorting is by which columns the rows are sorted.
func (g RowGroup) Sorting() []SortingColumn { return g.sorting }

// chunk describes one column chunk.
type chunk struct {
	phys        physical
	encodings   []encoding
	codec       int32
	slots       int64
	raw, size   int64 // pages with headers, before and after compression
	dataPage    int64
	dictionary  int64 // place of the dictionary page; negative: none
	statistics  chunkStatistics
	pageCounts  []pageCount
	bloom       place
	columnIndex place
	sizes       sizeStatistics
	pages       []pageLocation
}

// place is a stretch of bytes; a length of zero says that there is none.
type place struct {
	offset int64
	length int32
}

// pageCount is parquet.thrift's PageEncodingStats.
type pageCount struct {
	kind  int32
	enc   encoding
	count int32
}

// pagesField is a field id that ColumnChunk does not use. A RowGroup on its own
// keeps the page locations there, of which a footer makes an OffsetIndex.
const pagesField = 100

// write appends a ColumnChunk for a group that begins at base. path is nil and
// keepPages true where the chunk is kept for later.
func (c *chunk) write(t *thriftWriter, base int64, path []string, offsetIndex place, keepPages bool) {
	t.element()
	t.i64(2, 0)
	t.begin(3)
	t.i32(1, int32(c.phys))
	t.list(2, len(c.encodings), thriftI32)
	for _, e := range c.encodings {
		t.varint(int64(e))
	}
	t.list(3, len(path), thriftBinary)
	for _, name := range path {
		t.binaryElement([]byte(name))
	}
	t.i32(4, c.codec)
	t.i64(5, c.slots)
	t.i64(6, c.raw)
	t.i64(7, c.size)
	t.i64(9, base+c.dataPage)
	if c.dictionary >= 0 {
		t.i64(11, base+c.dictionary)
	}
	c.statistics.write(t, 12)
	t.list(13, len(c.pageCounts), thriftStruct)
	for _, p := range c.pageCounts {
		t.element()
		t.i32(1, p.kind)
		t.i32(2, int32(p.enc))
		t.i32(3, p.count)
		t.end()
	}
	if c.bloom.length > 0 {
		t.i64(14, base+c.bloom.offset)
		t.i32(15, c.bloom.length)
	}
	c.sizes.write(t, 16)
	t.end()
	if offsetIndex.length > 0 {
		t.i64(4, offsetIndex.offset)
		t.i32(5, offsetIndex.length)
	}
	if c.columnIndex.length > 0 {
		t.i64(6, base+c.columnIndex.offset)
		t.i32(7, c.columnIndex.length)
	}
	if keepPages {
		t.list(pagesField, len(c.pages), thriftStruct)
		for _, p := range c.pages {
			t.element()
			t.i64(1, p.offset)
			t.i32(2, p.size)
			t.i64(3, p.firstRow)
			t.i64(4, p.unencoded)
			t.end()
		}
	}
	t.end()
}

// readChunk reads what write wrote for later.
func readChunk(t *thriftReader) chunk {
	c := chunk{dictionary: -1, sizes: sizeStatistics{unencoded: -1}}
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 3 && kind == thriftStruct:
			c.readMetadata(t)
		case id == 6 && kind == thriftI64:
			c.columnIndex.offset = t.varint()
		case id == 7 && kind == thriftI32:
			c.columnIndex.length = int32(t.varint())
		case id == pagesField && kind == thriftList:
			n := t.listOf(thriftStruct)
			for i := 0; i < n && t.err == nil; i++ {
				c.pages = append(c.pages, readPageLocation(t))
			}
		default:
			return false
		}
		return true
	})
	return c
}

func (c *chunk) readMetadata(t *thriftReader) {
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI32:
			c.phys = physical(t.varint())
		case id == 2 && kind == thriftList:
			n := t.listOf(thriftI32)
			for range n {
				c.encodings = append(c.encodings, encoding(t.varint()))
			}
		case id == 4 && kind == thriftI32:
			c.codec = int32(t.varint())
		case id == 5 && kind == thriftI64:
			c.slots = t.varint()
		case id == 6 && kind == thriftI64:
			c.raw = t.varint()
		case id == 7 && kind == thriftI64:
			c.size = t.varint()
		case id == 9 && kind == thriftI64:
			c.dataPage = t.varint()
		case id == 11 && kind == thriftI64:
			c.dictionary = t.varint()
		case id == 12 && kind == thriftStruct:
			c.statistics = readStatistics(t)
		case id == 13 && kind == thriftList:
			n := t.listOf(thriftStruct)
			for i := 0; i < n && t.err == nil; i++ {
				c.pageCounts = append(c.pageCounts, readPageCount(t))
			}
		case id == 14 && kind == thriftI64:
			c.bloom.offset = t.varint()
		case id == 15 && kind == thriftI32:
			c.bloom.length = int32(t.varint())
		case id == 16 && kind == thriftStruct:
			c.sizes = readSizeStatistics(t)
		default:
			return false
		}
		return true
	})
}

func readPageCount(t *thriftReader) (p pageCount) {
	t.fields(func(id int16, kind byte) bool {
		if kind != thriftI32 || id < 1 || id > 3 {
			return false
		}
		v := int32(t.varint())
		switch id {
		case 1:
			p.kind = v
		case 2:
			p.enc = encoding(v)
		case 3:
			p.count = v
		}
		return true
	})
	return p
}

func readPageLocation(t *thriftReader) (p pageLocation) {
	t.fields(func(id int16, kind byte) bool {
		if kind != thriftI32 && kind != thriftI64 || id < 1 || id > 4 {
			return false
		}
		v := t.varint()
		switch id {
		case 1:
			p.offset = v
		case 2:
			p.size = int32(v)
		case 3:
			p.firstRow = v
		case 4:
			p.unencoded = v
		}
		return true
	})
	return p
}

func writeSorting(t *thriftWriter, id int16, sorting []SortingColumn) {
	if len(sorting) == 0 {
		return
	}
	t.list(id, len(sorting), thriftStruct)
	for _, s := range sorting {
		t.element()
		t.i32(1, s.Column)
		t.boolean(2, s.Descending)
		t.boolean(3, s.NullsFirst)
		t.end()
	}
}

func readSorting(t *thriftReader) (s SortingColumn) {
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI32:
			s.Column = int32(t.varint())
		case id == 2:
			s.Descending = kind == thriftTrue
		case id == 3:
			s.NullsFirst = kind == thriftTrue
		default:
			return false
		}
		return true
	})
	return s
}

// groupVersion begins the binary form of a RowGroup.
const groupVersion = 1

// MarshalBinary gives a form that UnmarshalBinary of this and later versions
// reads: a version byte and a Thrift struct like the format's own RowGroup.
func (g RowGroup) MarshalBinary() ([]byte, error) {
	var t thriftWriter
	t.buf = append(t.buf, groupVersion)
	t.list(1, len(g.chunks), thriftStruct)
	for i := range g.chunks {
		g.chunks[i].write(&t, 0, nil, place{}, true)
	}
	t.i64(2, g.Bytes)
	t.i64(3, g.Rows)
	writeSorting(&t, 4, g.sorting)
	t.end()
	return t.buf, nil
}

// UnmarshalBinary reads the form of MarshalBinary.
func (g *RowGroup) UnmarshalBinary(data []byte) error {
	if len(data) == 0 || data[0] != groupVersion {
		return fmt.Errorf("read row group metadata: unknown version")
	}
	t := thriftReader{buf: data[1:]}
	*g = RowGroup{}
	t.fields(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftList:
			n := t.listOf(thriftStruct)
			for i := 0; i < n && t.err == nil; i++ {
				g.chunks = append(g.chunks, readChunk(&t))
			}
		case id == 2 && kind == thriftI64:
			g.Bytes = t.varint()
		case id == 3 && kind == thriftI64:
			g.Rows = t.varint()
		case id == 4 && kind == thriftList:
			n := t.listOf(thriftStruct)
			for i := 0; i < n && t.err == nil; i++ {
				g.sorting = append(g.sorting, readSorting(&t))
			}
		default:
			return false
		}
		return true
	})
	if t.err == nil && len(t.buf) > 0 {
		t.fail()
	}
	if t.err == nil && (g.Rows < 0 || g.Bytes < 0) {
		t.fail()
	}
	if t.err != nil {
		*g = RowGroup{}
		return fmt.Errorf("read row group metadata: %w", t.err)
	}
	return nil
}
