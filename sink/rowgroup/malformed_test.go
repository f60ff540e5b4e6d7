package rowgroup

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Memory that contradicts itself is an error of the batch, not a panic, a wrong
// file or gigabytes of memory.
func TestMalformedMemoryIsAnError(t *testing.T) {
	str, i32 := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32
	offsets := func(v ...int32) *memory.Buffer { return bytesBuffer(bytesOf(v)) }
	child := int32s(1, 2, 3).Data()
	for name, d := range map[string]*array.Data{
		"offset behind the data":   array.NewData(str, 2, []*memory.Buffer{nil, offsets(0, 3, 900), bytesBuffer([]byte("abc"))}, nil, 0, 0),
		"offsets fall":             array.NewData(str, 2, []*memory.Buffer{nil, offsets(0, 3, 1), bytesBuffer([]byte("abc"))}, nil, 0, 0),
		"negative offset":          array.NewData(str, 2, []*memory.Buffer{nil, offsets(-3, 0, 1), bytesBuffer([]byte("abc"))}, nil, 0, 0),
		"no offsets":               array.NewData(str, 2, []*memory.Buffer{nil, nil, bytesBuffer([]byte("abc"))}, nil, 0, 0),
		"too few values":           array.NewData(i32, 9, []*memory.Buffer{nil, offsets(1, 2)}, nil, 0, 0),
		"too short a bitmap":       array.NewData(i32, 20, []*memory.Buffer{bytesBuffer([]byte{1}), offsets(make([]int32, 20)...)}, nil, array.UnknownNullCount, 0),
		"list behind its elements": array.NewData(arrow.ListOf(i32), 1, []*memory.Buffer{nil, offsets(0, 900)}, []arrow.ArrayData{child}, 0, 0),
		"lists overlap backwards":  array.NewData(arrow.ListOf(i32), 2, []*memory.Buffer{nil, offsets(0, 2, 1)}, []arrow.ArrayData{child}, 0, 0),
		"view behind its elements": array.NewData(arrow.ListViewOf(i32), 1, []*memory.Buffer{nil, offsets(math.MaxInt32), offsets(math.MaxInt32)}, []arrow.ArrayData{child}, 0, 0),
		"string view of no buffer": array.NewData(arrow.BinaryTypes.StringView, 1, []*memory.Buffer{nil, offsets(40, 0, 7, 0)}, nil, 0, 0),
		"dictionary index too large": array.NewDataWithDictionary(dictionaryOf(arrow.PrimitiveTypes.Int8, i32), 1,
			[]*memory.Buffer{nil, bytesBuffer([]byte{9})}, 0, 0, child.(*array.Data)),
		"dictionary index negative": array.NewDataWithDictionary(dictionaryOf(arrow.PrimitiveTypes.Int8, i32), 1,
			[]*memory.Buffer{nil, bytesBuffer([]byte{0xff})}, 0, 0, child.(*array.Data)),
		"runs end early":              array.NewData(arrow.RunEndEncodedOf(i32, i32), 9, []*memory.Buffer{nil}, []arrow.ArrayData{child, child}, 0, 0),
		"struct shorter than it says": array.NewData(arrow.StructOf(arrow.Field{Name: "x", Type: i32}), 9, []*memory.Buffer{nil}, []arrow.ArrayData{child}, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			schema := named(d.DataType())
			e, err := New(schema, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var bad *BatchError
			if err := e.Write(rawBatch{schema, d}); !errors.As(err, &bad) {
				t.Errorf("Write gives %v", err)
			}
		})
	}
}

// Whatever bytes are turned over in a batch's buffers, Write ends with an error
// or with a group that can be described.
func FuzzDamagedBatch(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, uint16(seed*31), byte(1<<(seed%8)))
	}
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, flip byte) {
		g := newGenerator(seed)
		g.nulls = nullPattern(seed % 5)
		schema := named(g.randomType(4, flatTypes()))
		d, buffers := ownCopy(g.batch(schema, 50).Column(0).Data())
		if len(buffers) == 0 {
			return
		}
		for k, b := range buffers {
			if raw := b.Bytes(); len(raw) > 0 && (k+int(at))%3 == 0 {
				raw[int(at)%len(raw)] ^= flip
			}
		}
		e, err := New(schema, Options{PageRows: 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Write(rawBatch{schema, d.(*array.Data)}); err != nil {
			var bad *BatchError
			var value *ValueError
			if !errors.As(err, &bad) && !errors.As(err, &value) {
				t.Fatal(err)
			}
			return
		}
		group, err := e.Finish(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := AppendFooter(nil, schema, []Placed{{group, 4}}, nil, ""); err != nil {
			t.Fatal(err)
		}
	})
}

// The same long value said many times does not take memory many times.
func TestSharedLongValuesAreTakenInSmallPages(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	const rows = 300
	view := make([]uint32, 0, 4*rows)
	for range rows {
		view = append(view, uint32(len(long)), 0x33323130, 0, 0)
	}
	d := array.NewData(arrow.BinaryTypes.StringView, rows, []*memory.Buffer{nil, bytesBuffer(bytesOf(view)), bytesBuffer(long)}, nil, 0, 0)
	schema := named(arrow.BinaryTypes.StringView)
	e, err := New(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(rawBatch{schema, d}); err != nil {
		t.Fatal(err)
	}
	if got := cap(e.spaces[0].viewData); got > 2*gatherLimit {
		t.Errorf("%d MiB were gathered at once", got>>20)
	}
	g, err := e.Finish(io.Discard)
	if err != nil || g.Rows != rows || g.Bytes > 4<<20 {
		t.Errorf("%d rows, %d bytes, %v", g.Rows, g.Bytes, err)
	}
}

// rawBatch is a batch of one column that no one has looked at.
type rawBatch struct {
	schema *arrow.Schema
	data   *array.Data
}

func (b rawBatch) Retain()                      {}
func (b rawBatch) Release()                     {}
func (b rawBatch) Schema() *arrow.Schema        { return b.schema }
func (b rawBatch) NumRows() int64               { return int64(b.data.Len()) }
func (b rawBatch) NumCols() int64               { return 1 }
func (b rawBatch) Columns() []arrow.Array       { return []arrow.Array{b.Column(0)} }
func (b rawBatch) Column(int) arrow.Array       { return rawArray{b.data} }
func (b rawBatch) ColumnName(int) string        { return "c0" }
func (b rawBatch) MarshalJSON() ([]byte, error) { return nil, nil }
func (b rawBatch) SetColumn(int, arrow.Array) (arrow.RecordBatch, error) {
	return nil, errors.New("a raw batch stays as it is")
}
func (b rawBatch) NewSlice(int64, int64) arrow.RecordBatch { return b }

type rawArray struct{ data *array.Data }

func (a rawArray) MarshalJSON() ([]byte, error) { return nil, nil }
func (a rawArray) String() string               { return "raw" }
func (a rawArray) DataType() arrow.DataType     { return a.data.DataType() }
func (a rawArray) NullN() int                   { return a.data.NullN() }
func (a rawArray) NullBitmapBytes() []byte      { return nil }
func (a rawArray) IsNull(int) bool              { return false }
func (a rawArray) IsValid(int) bool             { return true }
func (a rawArray) ValueStr(int) string          { return "" }
func (a rawArray) GetOneForMarshal(int) any     { return nil }
func (a rawArray) Data() arrow.ArrayData        { return a.data }
func (a rawArray) Len() int                     { return a.data.Len() }
func (a rawArray) Retain()                      {}
func (a rawArray) Release()                     {}
func (a rawArray) Validate() error              { return nil }
func (a rawArray) ValidateFull() error          { return nil }

// ownCopy copies an array's buffers, and gives them too.
func ownCopy(d arrow.ArrayData) (arrow.ArrayData, []*memory.Buffer) {
	var buffers, all []*memory.Buffer
	for _, b := range d.Buffers() {
		if b == nil {
			buffers = append(buffers, nil)
			continue
		}
		own := bytesBuffer(bytes.Clone(b.Bytes()))
		buffers, all = append(buffers, own), append(all, own)
	}
	var children []arrow.ArrayData
	for _, c := range d.Children() {
		child, more := ownCopy(c)
		children, all = append(children, child), append(all, more...)
	}
	if dict, ok := d.Dictionary().(*array.Data); ok && dict != nil {
		values, more := ownCopy(dict)
		return array.NewDataWithDictionary(d.DataType(), d.Len(), buffers, d.NullN(), d.Offset(), values.(*array.Data)), append(all, more...)
	}
	return array.NewData(d.DataType(), d.Len(), buffers, children, d.NullN(), d.Offset()), all
}
