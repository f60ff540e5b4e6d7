package parquet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// TestTypeMatrix: what a plugin yields is what pyarrow, duckdb and polars read,
// value by value, for every type that has a form in Parquet.
func TestTypeMatrix(t *testing.T) {
	made := t.TempDir()
	seed := cmp.Or(os.Getenv("CASPARIAN_TEST_SEED"), "20") // for the random columns
	t.Logf("CASPARIAN_TEST_SEED=%s", seed)
	python(t, nil, "make_types.py", made, seed)

	ways := []struct {
		name   string
		query  string
		config Config
		slices bool
	}{
		{name: "one row group", config: Config{}},
		{name: "many row groups", config: Config{RowGroupRows: 64}},
		{name: "slices with offsets", slices: true},
		{name: "slices and row groups of odd sizes", slices: true, config: Config{RowGroupRows: 53}},
		{name: "zstd", query: "?compression=zstd"},
		{name: "gzip", query: "?compression=gzip&level=9&page_bytes=1024"},
		{name: "only old encodings", query: "?encoding=compat&compression=zstd&level=19&row_group_rows=91"},
		{name: "lz4", query: "?compression=lz4"},
		{name: "none", query: "?compression=none", config: Config{RowGroupRows: 100}},
	}
	var jobs []byte
	for _, way := range ways {
		driver := newDriver(t, way.config)
		for _, group := range []string{"numbers", "text", "times", "intervals", "nested", "random"} {
			to := target(fmt.Sprintf("parquet://%s.parquet%s", group, way.query))
			source := filepath.Join(made, group+".arrows")
			writer := open(t, driver, to, nil)
			eachBatch(t, source, func(batch arrow.RecordBatch) {
				if !way.slices {
					write(t, writer, batch)
					return
				}
				rows := batch.NumRows()
				for _, cut := range [][2]int64{{0, 1}, {1, 7}, {7, 7}, {7, rows}} {
					if cut[1] <= rows && cut[0] <= cut[1] {
						slice := batch.NewSlice(cut[0], cut[1])
						write(t, writer, slice)
						slice.Release()
					}
				}
			})
			path := commit(t, driver, to, seal(t, writer))
			job, err := json.Marshal(map[string]any{"expected": source, "actual": path,
				"job_id": to.JobID, "file_version_id": to.FileVersionID})
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(append(jobs, job...), '\n')
		}
	}
	python(t, jobs, "check_types.py")
}
