//go:build drill

package rowgroup

import (
	"encoding/json"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	arrowfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// scan is what a reader found in a file of rowload's: large.py says what the
// sums are.
type scan struct {
	Sums   sums     `json:"sums"`
	Schema []string `json:"schema"`
}

type sums struct {
	Rows     int64   `json:"rows"`
	Sequence int64   `json:"sequence"`
	Small    int64   `json:"small"`
	Value    float64 `json:"value"`
	City     int64   `json:"city"`
	Key      int64   `json:"key"`
	Apart    int64   `json:"apart"`
	Job      int64   `json:"job"`
}

// TestDrillHundredMillionRows writes 100 million rows through the sink to one
// file, in less than 100 MB of memory, and lets every reader scan it.
func TestDrillHundredMillionRows(t *testing.T) {
	const rows, most = 100_000_000, 100_000_000
	folder := t.TempDir()
	program := filepath.Join(folder, "rowload")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../parquet/internal/rowload").CombinedOutput(); err != nil {
		t.Fatalf("build rowload: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "-rows", "100000000", "-root", filepath.Join(folder, "out")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var written struct {
		FileBytes  int64   `json:"file_bytes"`
		PeakBytes  int64   `json:"peak_bytes"`
		CPUSeconds float64 `json:"cpu_seconds"`
	}
	if err := json.Unmarshal(out, &written); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows, %.2f GB, %.1f CPU seconds; %.1f MB of memory at the peak", rows, float64(written.FileBytes)/1e9, written.CPUSeconds, float64(written.PeakBytes)/1e6)
	if written.PeakBytes > most {
		t.Errorf("more than %d MB of memory", most/1_000_000)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "out", "*.parquet"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("files %v, %v", paths, err)
	}

	want := scanWithArrow(t, paths[0])
	if s := want.Sums; s.Rows != rows || s.Sequence != rows*(rows-1)/2 || s.Key != 16*rows || s.Job != rows {
		t.Errorf("arrow-go finds %+v", s)
	}
	t.Logf("arrow-go: %+v", want)
	for _, reader := range []string{"pyarrow", "duckdb", "polars"} {
		out, err := python(t, "large.py", paths[0], reader)
		if err != nil {
			t.Errorf("%s: %v\n%s", reader, err, out)
			continue
		}
		var got scan
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v\n%s", reader, err, out)
		}
		t.Logf("%s: %+v", reader, got)
		// A sum of floats depends on the order.
		if math.Abs(got.Sums.Value-want.Sums.Value) > 1e-3 {
			t.Errorf("%s: the values' sum is %v, not %v", reader, got.Sums.Value, want.Sums.Value)
		}
		got.Sums.Value = want.Sums.Value
		if got.Sums != want.Sums || !slices.Equal(got.Schema, want.Schema) {
			t.Errorf("%s finds %+v, and arrow-go %+v", reader, got, want)
		}
	}
}

func scanWithArrow(t *testing.T, path string) (found scan) {
	t.Helper()
	f, err := arrowfile.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 64 << 10}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := r.Schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range schema.Fields() {
		name, known := map[string]string{"float64": "double", "utf8": "string"}[field.Type.String()]
		if !known {
			name = field.Type.String()
		}
		found.Schema = append(found.Schema, field.Name+" "+name)
	}
	batches, err := r.GetRecordReader(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer batches.Release()
	s := &found.Sums
	for batches.Next() {
		b := batches.RecordBatch()
		s.Rows += b.NumRows()
		sequence := b.Column(0).(*array.Int64).Values()
		value := b.Column(1).(*array.Float64).Values()
		small := b.Column(2).(*array.Int16).Values()
		at := b.Column(5).(*array.Timestamp).Values()
		job := b.Column(6).(*array.Int64).Values()
		for i := range sequence {
			s.Sequence += sequence[i]
			s.Value += value[i]
			s.Small += int64(small[i])
			s.Apart += int64(at[i]) - 1_700_000_000_000_000 - 1000*sequence[i]
			s.Job += job[i]
		}
		s.City += int64(len(b.Column(3).(*array.String).ValueBytes()))
		s.Key += int64(len(b.Column(4).(*array.String).ValueBytes()))
	}
	if err := batches.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
