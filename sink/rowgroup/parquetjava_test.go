//go:build interop

package rowgroup

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// parquetJava runs a class of integration/parquetjava, which `make interop`
// compiles.
func parquetJava(t *testing.T, class string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	target := filepath.Join(parts.Root(t), "integration", "parquetjava", "target")
	classpath := strings.Join([]string{filepath.Join(target, "classes"), filepath.Join(target, "lib", "*")}, string(filepath.ListSeparator))
	var out, log bytes.Buffer
	cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx1g", "-cp", classpath, "interop." + class}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("java %s: %w\n%s", class, err, log.String())
	}
	return out.String(), nil
}

// compareInParquetJava lets parquet-java read every NAME.parquet in dir, and
// compares the rows with NAME.N.arrow.
func compareInParquetJava(t *testing.T, dir string) {
	t.Helper()
	if out, err := parquetJava(t, "Rows", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := python(t, "parquetjava.py", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
}

// interopCodecs are the codecs that parquet-java reads without Hadoop's native
// libraries: all that an Encoder writes.
var interopCodecs = []Options{
	{Compression: Snappy}, {Compression: Zstd}, {Compression: Gzip}, {Compression: LZ4Raw}, {Compression: None},
}

func TestParquetJavaSeesEveryType(t *testing.T) {
	dir := t.TempDir()
	types := append(flatTypes(), nestedTypes()...)
	schema := named(types...)
	const page = 100
	k := 0
	for name, pattern := range nullPatterns {
		for _, codec := range interopCodecs {
			for _, compat := range []bool{false, true} {
				g := newGenerator(uint64(k))
				g.nulls, g.repeats = pattern, k%3 == 0
				opts := codec
				opts.PageRows, opts.Compat = page, compat
				batches := []arrow.RecordBatch{g.batch(schema, 4*page+1), g.batch(schema, 1), g.batch(schema, page)}
				f := file(t, schema, batches, opts, func(i int) bool { return i == 0 })
				save(t, dir, fmt.Sprintf("%s %s compat %v", name, codec.Compression, compat), f, schema, batches)
				k++
			}
		}
	}
	for _, n := range []int{0, 1, page - 1, page, page + 1} {
		for _, compat := range []bool{false, true} {
			g := newGenerator(uint64(1000 + n))
			g.nulls = someNulls
			batches := []arrow.RecordBatch{g.batch(schema, n)}
			f := file(t, schema, batches, Options{PageRows: page, Compat: compat}, nil)
			save(t, dir, fmt.Sprintf("%d rows compat %v", n, compat), f, schema, batches)
		}
	}
	compareInParquetJava(t, dir)
}

func TestParquetJavaSeesRandomTables(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(100) {
		g := newGenerator(5000 + seed)
		g.nulls, g.repeats, g.noViews = nullPattern(seed%5), seed%4 == 0, true
		var types []arrow.DataType
		for range 1 + g.IntN(4) {
			types = append(types, g.randomType(6, flatTypes()))
		}
		schema := named(types...)
		var batches []arrow.RecordBatch
		for range 1 + g.IntN(4) {
			batches = append(batches, g.batch(schema, 1+g.IntN(100)))
		}
		opts := interopCodecs[seed%uint64(len(interopCodecs))]
		opts.PageRows, opts.Compat = 1+g.IntN(100), seed%2 == 1
		f := file(t, schema, batches, opts, func(i int) bool { return i%2 == 1 })
		save(t, dir, fmt.Sprintf("random %d", seed), f, schema, batches)
	}
	compareInParquetJava(t, dir)
}

func TestParquetJavaPrunesWhatAFullScanLeavesOut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pruned.parquet")
	writePruned(t, path, nil)
	out, err := parquetJava(t, "Filters", path, "200")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))

	// The same with a bound that is wrong: it must be noticed.
	wrong := filepath.Join(dir, "wrong.parquet")
	writePruned(t, wrong, func(g *RowGroup) { g.chunks[0].statistics.max = g.chunks[0].statistics.min })
	out, err = parquetJava(t, "Filters", wrong, "200")
	if err == nil || !strings.Contains(out, "other rows than a full scan's") {
		t.Errorf("a wrong maximum went unnoticed: %v\n%s", err, out)
	}
}
