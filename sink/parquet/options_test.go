package parquet

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"github.com/casparian-flow/casparian-worker/sink"
)

// TestWrongOptions: each is refused by its name before a plugin runs.
func TestWrongOptions(t *testing.T) {
	driver := newDriver(t, Config{})
	for _, c := range []struct{ query, option string }{
		{"level=0", "level"},
		{"level=3", "level"}, // snappy has two
		{"level=", "level"},
		{"level=1.5&compression=zstd", "level"},
		{"level=23&compression=zstd", "level"},
		{"level=10&compression=gzip", "level"},
		{"level=-1&compression=lz4", "level"},
		{"level=1&compression=none", "level"},
		{"level=1&level=2&compression=zstd", "level"},
		{"encoding=delta", "encoding"},
		{"encoding=", "encoding"},
		{"row_group_rows=0", "row_group_rows"},
		{"row_group_rows=-5", "row_group_rows"},
		{"row_group_rows=many", "row_group_rows"},
		{"row_group_rows=99999999999999999999", "row_group_rows"},
		{"row_group_bytes=12", "row_group_bytes"},
		{"row_group_bytes=32MiB", "row_group_bytes"},
		{"page_bytes=1", "page_bytes"},
		{"page_bytes=1000000000000", "page_bytes"},
		{"page_bytes=4096&page_bytes=4096", "page_bytes"},
		{"bloom=", "bloom"},
		{"bloom=a,,b", "bloom"},
		{"bloom=a,a", "bloom"},
		{"bloom=a&bloom=b", "bloom"},
		{"blooms=a", "blooms"},
	} {
		var refused *sink.OptionError
		if err := driver.Check(target("parquet://a.parquet?" + c.query)); !errors.As(err, &refused) || refused.Option != c.option {
			t.Errorf("%s: %v", c.query, err)
		}
	}
}

// TestABloomFilterOfNoColumn is known with the first rows only.
func TestABloomFilterOfNoColumn(t *testing.T) {
	for _, query := range []string{"bloom=missing", "bloom=flag", "bloom=l"} {
		driver := newDriver(t, Config{})
		w := open(t, driver, target("parquet://a.parquet?"+query), nil)
		err := w.Write(t.Context(), batchOf(t, column{"n", i64, `[1]`}, column{"flag", arrow.FixedWidthTypes.Boolean, `[true]`},
			column{"l", arrow.ListOf(i64), `[[1]]`}))
		var refused *sink.OptionError
		if !errors.As(err, &refused) || refused.Option != "bloom" || "bloom="+refused.Value != query {
			t.Errorf("%s: %v", query, err)
		}
		wantFiles(t, driver)
	}
}

// metadataOf reads a file's metadata with arrow-go, which has nothing to do with
// the code that wrote it.
func metadataOf(t *testing.T, path string) *metadata.FileMetaData {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	reader, err := pqfile.NewParquetReader(file)
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	return reader.MetaData()
}

// TestOptionsAreInTheFile: what is asked for is what another reader finds.
func TestOptionsAreInTheFile(t *testing.T) {
	written := func(query string, config Config) *metadata.FileMetaData {
		t.Helper()
		path := publish(t, newDriver(t, config), target("parquet://a.parquet?"+query), spread(0, 5000))
		if got := len(read(t, path).Columns["n"]); got != 5000 {
			t.Errorf("%s: %d rows", query, got)
		}
		return metadataOf(t, path)
	}
	groups := func(file *metadata.FileMetaData) (rows []int64) {
		for _, group := range file.RowGroups {
			rows = append(rows, group.NumRows)
		}
		return rows
	}
	if got := groups(written("row_group_rows=2000", Config{RowGroupRows: 100})); !reflect.DeepEqual(got, []int64{2000, 2000, 1000}) {
		t.Errorf("row groups of %v rows", got)
	}
	if got := groups(written("row_group_bytes=16000", Config{})); len(got) < 2 {
		t.Errorf("40 kB in row groups of at most 16 kB: %v rows", got)
	}
	pages := func(query string) (n int32) {
		for _, p := range written(query, Config{}).RowGroups[0].Columns[0].MetaData.EncodingStats {
			n += p.Count
		}
		return n
	}
	if few, many := pages(""), pages("page_bytes=4096"); few > 2 || many < 8 {
		t.Errorf("%d pages, and %d when they are to be small", few, many)
	}
	if written("", Config{}).RowGroups[0].Columns[0].MetaData.BloomFilterOffset != nil {
		t.Error("there is a Bloom filter that nobody asked for")
	}
	if written("bloom=n", Config{}).RowGroups[0].Columns[0].MetaData.BloomFilterOffset == nil {
		t.Error("there is no Bloom filter")
	}
}

// TestOldEncodings: with encoding=compat there are none but PLAIN, RLE and
// RLE_DICTIONARY, where there are others without it.
func TestOldEncodings(t *testing.T) {
	for query, others := range map[string]bool{"": true, "encoding=auto": true, "encoding=compat": false} {
		file := metadataOf(t, publish(t, newDriver(t, Config{}), target("parquet://a.parquet?"+query), ints(0, 5000)))
		found := false
		for _, column := range file.RowGroups[0].Columns {
			for _, encoding := range column.MetaData.Encodings {
				found = found || !strings.Contains("PLAIN RLE RLE_DICTIONARY", encoding.String())
			}
		}
		if found != others {
			t.Errorf("%q: newer encodings %v, want %v", query, found, others)
		}
	}
}

// TestLevels: a higher level of the same codec makes the file smaller.
func TestLevels(t *testing.T) {
	size := func(query string) int64 {
		words := make([]string, 20_000)
		for i := range words {
			words[i] = fmt.Sprintf("%q", fmt.Sprintf("the row %d of %d has %d", i, i*i%977, i*7919%10007))
		}
		path := publish(t, newDriver(t, Config{}), target("parquet://a.parquet?"+query), batchOf(t, column{"x", text, "[" + strings.Join(words, ",") + "]"}))
		info, err := os.Stat(path)
		must(t, err)
		return info.Size()
	}
	for _, codec := range []string{"zstd", "gzip"} {
		low, high := size("compression="+codec+"&level=1"), size("compression="+codec+"&level=9")
		if high >= low {
			t.Errorf("%s: %d bytes with level 9, %d with level 1", codec, high, low)
		}
	}
}

// TestSortedRows: a row group whose rows are in order says by which column.
func TestSortedRows(t *testing.T) {
	for _, c := range []struct {
		name   string
		column column
		want   string
	}{
		{"rising", column{"x", i64, `[1, 2, 2, 9]`}, "0 rising"},
		{"falling", column{"x", text, `["c", "b", "a"]`}, "0 falling"},
		{"in no order", column{"x", i64, `[1, 3, 2]`}, ""}, // the lineage columns do not count
		{"with nulls", column{"x", i64, `[1, null, 2]`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := metadataOf(t, publish(t, newDriver(t, Config{}), target("parquet://a.parquet"), batchOf(t, c.column)))
			got := ""
			for _, sorting := range file.RowGroups[0].SortingColumns {
				got = fmt.Sprint(sorting.ColumnIdx, map[bool]string{false: " rising", true: " falling"}[sorting.Descending])
			}
			if got != c.want {
				t.Errorf("sorted by %q, want %q", got, c.want)
			}
		})
	}
}
