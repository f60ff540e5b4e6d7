package rowgroup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
)

// plainValues reads a whole chunk with arrow-go: the PLAIN form of each value,
// without length, and the levels of each slot.
func plainValues(t *testing.T, r parquetfile.ColumnChunkReader, slots int64) (values [][]byte, defs, reps []int16) {
	t.Helper()
	defs, reps = make([]int16, slots), make([]int16, slots)
	le := binary.LittleEndian
	var total int64
	var n int
	var err error
	switch r := r.(type) {
	case *parquetfile.BooleanColumnChunkReader:
		v := make([]bool, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			b := byte(0)
			if x {
				b = 1
			}
			values = append(values, []byte{b})
		}
	case *parquetfile.Int32ColumnChunkReader:
		v := make([]int32, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			values = append(values, le.AppendUint32(nil, uint32(x)))
		}
	case *parquetfile.Int64ColumnChunkReader:
		v := make([]int64, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			values = append(values, le.AppendUint64(nil, uint64(x)))
		}
	case *parquetfile.Float32ColumnChunkReader:
		v := make([]float32, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			values = append(values, le.AppendUint32(nil, math.Float32bits(x)))
		}
	case *parquetfile.Float64ColumnChunkReader:
		v := make([]float64, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			values = append(values, le.AppendUint64(nil, math.Float64bits(x)))
		}
	case *parquetfile.ByteArrayColumnChunkReader:
		v := make([]parquet.ByteArray, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			values = append(values, bytes.Clone(x))
		}
	case *parquetfile.FixedLenByteArrayColumnChunkReader:
		v := make([]parquet.FixedLenByteArray, slots)
		total, n, err = r.ReadBatch(slots, v, defs, reps)
		for _, x := range v[:n] {
			values = append(values, bytes.Clone(x))
		}
	default:
		t.Fatalf("no reading of %T", r)
	}
	if err != nil || total != slots {
		t.Fatalf("read %d of %d slots: %v", total, slots, err)
	}
	return values, defs, reps
}

func isNaN(o order, v []byte) bool {
	switch o {
	case floatOrder:
		return math.IsNaN(float64(math.Float32frombits(binary.LittleEndian.Uint32(v))))
	case doubleOrder:
		return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(v)))
	case float16Order:
		return float16IsNaN(binary.LittleEndian.Uint16(v))
	}
	return false
}

// checkPageHeader reads the header at a page's place: the page must be a data
// page of that size with the right checksum.
func checkPageHeader(t *testing.T, file []byte, at int64, size int32, slots int) {
	t.Helper()
	r := thriftReader{buf: file[at:]}
	var kind, compressed, crc, count int64 = -1, -1, 0, -1
	r.fields(func(id int16, k byte) bool {
		switch id {
		case 1:
			kind = r.varint()
		case 3:
			compressed = r.varint()
		case 4:
			crc = r.varint()
		case 5:
			r.fields(func(id int16, k byte) bool {
				if id != 1 {
					return false
				}
				count = r.varint()
				return true
			})
		default:
			return false
		}
		return true
	})
	head := int64(len(file)) - at - int64(len(r.buf))
	if r.err != nil || kind != dataPage || head+compressed != int64(size) || count != int64(slots) {
		t.Fatalf("page at %d: %v, kind %d, %d+%d bytes of %d, %d slots of %d", at, r.err, kind, head, compressed, size, count, slots)
	}
	if got := crc32.ChecksumIEEE(file[at+head : at+int64(size)]); got != uint32(int32(crc)) {
		t.Fatalf("page at %d: checksum %08x, not %08x", at, uint32(int32(crc)), got)
	}
}

// Every page index entry is compared with the values of its page.
func TestPageIndexSaysWhatThePagesHold(t *testing.T) {
	types := append(flatTypes(), nestedTypes()...)
	schema := named(types...)
	tree, err := newSchemaTree(schema)
	if err != nil {
		t.Fatal(err)
	}
	pages, without := 0, 0
	for name, pattern := range nullPatterns {
		g := newGenerator(77)
		g.nulls = pattern
		batches := []arrow.RecordBatch{g.batch(schema, 500), g.batch(schema, 90)}
		data := file(t, schema, batches, Options{PageRows: 64}, func(int) bool { return true })
		r, err := parquetfile.NewParquetReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for group := range r.NumRowGroups() {
			index, err := r.GetPageIndexReader().RowGroup(group)
			if err != nil {
				t.Fatal(err)
			}
			meta := r.MetaData().RowGroup(group)
			for i, lf := range tree.leaves {
				chunk, err := meta.ColumnChunk(i)
				if err != nil {
					t.Fatal(err)
				}
				reader, err := r.RowGroup(group).Column(i)
				if err != nil {
					t.Fatal(err)
				}
				values, defs, reps := plainValues(t, reader, chunk.NumValues())
				offsets, err := index.GetOffsetIndex(i)
				if err != nil {
					t.Fatal(err)
				}
				bounds, err := index.GetColumnIndex(i)
				if err != nil {
					t.Fatal(err)
				}
				places := offsets.GetPageLocations()
				var unencoded, nulls []int64
				row, page, slots := int64(-1), -1, 0
				where := func() string {
					return fmt.Sprintf("%s, group %d, column %s %s, page %d", name, group, lf.name, schema.Field(lf.field).Type, page)
				}
				close := func() {
					if page >= 0 {
						checkPageHeader(t, data, places[page].Offset, places[page].CompressedPageSize, slots)
					}
					slots = 0
				}
				for k := range defs {
					if lf.maxRep == 0 || reps[k] == 0 {
						row++
					}
					if page+1 < len(places) && row == places[page+1].FirstRowIndex && (lf.maxRep == 0 || reps[k] == 0) {
						close()
						page++
						unencoded, nulls = append(unencoded, 0), append(nulls, 0)
					}
					slots++
					if lf.maxDef > 0 && defs[k] < int16(lf.maxDef) {
						nulls[page]++
						continue
					}
					v := values[0]
					values = values[1:]
					unencoded[page] += int64(len(v))
					if bounds == nil || isNaN(lf.order, v) {
						continue
					}
					if bounds.GetNullPages()[page] {
						t.Fatalf("%s: a page of nulls has values", where())
					}
					low, high := bounds.GetMinValues()[page], bounds.GetMaxValues()[page]
					if lf.order.compare(low, v) > 0 || lf.order.compare(v, high) > 0 {
						t.Fatalf("%s: %x is not between %x and %x", where(), v, low, high)
					}
				}
				close()
				if page != len(places)-1 {
					t.Fatalf("%s: there are %d pages", where(), len(places))
				}
				pages += len(places)
				if lf.phys == byteArray && !slices.Equal(unencoded, offsets.GetUnencodedByteArrayDataBytes()) {
					t.Fatalf("%s: bytes %v, not %v", where(), offsets.GetUnencodedByteArrayDataBytes(), unencoded)
				}
				if bounds == nil {
					without++
					continue
				}
				if !slices.Equal(nulls, bounds.GetNullCounts()) {
					t.Fatalf("%s: nulls %v, not %v", where(), bounds.GetNullCounts(), nulls)
				}
			}
		}
	}
	if pages < 4000 || without > 100 {
		t.Errorf("%d pages were compared, %d chunks had no bounds", pages, without)
	}
}

func TestLongBoundsAreCutAndStillBound(t *testing.T) {
	long := strings.Repeat("x", 100)
	for name, c := range map[string]struct {
		value string
		text  bool
		exact bool
		gone  bool
	}{
		"short":                      {value: "abc", text: true, exact: true},
		"long text":                  {value: long, text: true},
		"long text of wide runes":    {value: strings.Repeat("日", 50), text: true},
		"four-byte rune at the cut":  {value: strings.Repeat("a", 62) + strings.Repeat("😀", 9), text: true},
		"before the surrogates":      {value: strings.Repeat("\ud7ff", 40), text: true},
		"largest runes":              {value: strings.Repeat(string(utf8.MaxRune), 40), text: true, exact: true},
		"largest runes, very long":   {value: strings.Repeat(string(utf8.MaxRune), 4000), text: true, gone: true},
		"long bytes":                 {value: long},
		"bytes of 0xff":              {value: strings.Repeat("\xff", 70), exact: true},
		"bytes of 0xff, very long":   {value: strings.Repeat("\xff", 70000), gone: true},
		"bytes, the last can't rise": {value: long[:63] + strings.Repeat("\xff", 40)},
		"text that is none":          {value: strings.Repeat("\x80", 100), text: true, exact: true},
	} {
		var b bounds
		b.setBytes([]byte(c.value), []byte(c.value), c.text)
		if b.has == c.gone {
			t.Errorf("%s: has bounds: %v", name, b.has)
			continue
		}
		if c.gone {
			continue
		}
		if string(b.min) > c.value || string(b.max) < c.value || b.maxExact != c.exact {
			t.Errorf("%s: %q to %q, exact %v", name, b.min, b.max, b.maxExact)
		}
		if b.minExact != (len(c.value) <= boundLimit) {
			t.Errorf("%s: the lower bound is exact: %v", name, b.minExact)
		}
		if c.text && utf8.ValidString(c.value) && (!utf8.Valid(b.min) || !utf8.Valid(b.max)) {
			t.Errorf("%s: %q and %q are not text", name, b.min, b.max)
		}
	}
}

// Pages stay near their limit in bytes, however the rows are distributed.
func TestPagesKeepToTheirBytes(t *testing.T) {
	schema := named(arrow.BinaryTypes.String, arrow.ListOf(arrow.BinaryTypes.String))
	g := newGenerator(5)
	var batches []arrow.RecordBatch
	for range 3 {
		batches = append(batches, g.batch(schema, 20_000))
	}
	e, err := New(schema, Options{PageBytes: 8 << 10, Compression: None, Compat: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := e.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range e.columns {
		if len(c.pages) < 20 {
			t.Errorf("column %s has %d pages", c.name, len(c.pages))
		}
		for _, p := range c.pages {
			if p.size > 40<<10 {
				t.Errorf("column %s has a page of %d bytes", c.name, p.size)
			}
		}
	}
}
