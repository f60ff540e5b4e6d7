package rowgroup

import (
	"bytes"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
)

// onlyGroup gives a small row group and its bytes.
func onlyGroup(t *testing.T, schema *arrow.Schema) (RowGroup, []byte) {
	t.Helper()
	e, err := New(schema, Options{PageRows: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(newGenerator(5).batch(schema, 100)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	group, err := e.Finish(&out)
	if err != nil {
		t.Fatal(err)
	}
	return group, out.Bytes()
}

// Whatever lies between the row groups and the footer, the page index leads to
// the pages.
func TestAFooterFartherBack(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String)
	group, encoded := onlyGroup(t, schema)
	for _, gap := range []int{0, 1, 37} {
		const start = 11 // bytes in front of the group are no matter either
		file := append([]byte(Magic), make([]byte, start-len(Magic))...)
		file = append(append(file, encoded...), make([]byte, gap)...)
		file, err := AppendFooterAt(file, int64(len(file)), schema, []Placed{{group, start}}, nil, "test")
		if err != nil {
			t.Fatal(err)
		}
		r, err := parquetfile.NewParquetReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		index, err := r.GetPageIndexReader().RowGroup(0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range group.chunks {
			offsets, err := index.GetOffsetIndex(i)
			if err != nil {
				t.Fatal(err)
			}
			places := offsets.GetPageLocations()
			if len(places) != 10 {
				t.Fatalf("gap of %d bytes: %d pages", gap, len(places))
			}
			for k, p := range places {
				if p.Offset != start+group.chunks[i].pages[k].offset || p.FirstRowIndex != int64(10*k) {
					t.Errorf("gap of %d bytes: page %d is said to be at %d", gap, k, p.Offset)
				}
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := AppendFooterAt(nil, int64(len(encoded)), schema, []Placed{{group, 4}}, nil, ""); err == nil {
		t.Error("a footer in the middle of a row group: no error")
	}
}

func TestKeyValuesAreReadBack(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64)
	group, encoded := onlyGroup(t, schema)
	want := []KeyValue{{"casparian.job_id", "7"}, {"empty", ""}, {"", "ü"}}
	footer, err := AppendFooter(nil, schema, []Placed{{group, 4}}, want, "test")
	if err != nil {
		t.Fatal(err)
	}
	whole := append(append([]byte(Magic), encoded...), footer...)
	for name, from := range map[string][]byte{"a footer": footer, "a whole file": whole} {
		got, err := ReadKeyValues(from)
		if err != nil || len(got) != 4 || !slices.Equal(got[:3], want) || got[3].Key != arrowSchemaKey {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A footer may be anybody's, and broken: reading it ends with an error or with
// other values, never in a panic.
func TestBrokenFootersAreRefused(t *testing.T) {
	schema := named(arrow.PrimitiveTypes.Int64)
	group, _ := onlyGroup(t, schema)
	footer, err := AppendFooter(nil, schema, []Placed{{group, 4}}, []KeyValue{{"k", "v"}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for n := range footer {
		if _, err := ReadKeyValues(footer[:n]); err == nil {
			t.Fatalf("%d of %d bytes: no error", n, len(footer))
		}
	}
	// The length says more than there is.
	long := bytes.Clone(footer)
	long[len(long)-6] = 0x7f
	if _, err := ReadKeyValues(long); err == nil {
		t.Error("a footer that is longer than it is: no error")
	}
	refused := 0
	for i := range len(footer) - 8 {
		broken := bytes.Clone(footer)
		broken[i] ^= 0x55
		if _, err := ReadKeyValues(broken); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no broken footer was refused")
	}
}
