package rowgroup

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// check lets a real reader compare every NAME.parquet in dir with NAME.N.arrow.
func check(t *testing.T, dir string, readers ...string) {
	t.Helper()
	args := append([]string{filepath.Join("testdata", "compare.py"), dir}, readers...)
	out, err := exec.Command(parts.Python(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestReadersSeeTheSameValuesInEveryFlatType(t *testing.T) {
	dir := t.TempDir()
	for k, types := range [][]arrow.DataType{flatTypes(), nestedTypes()} {
		for name, pattern := range nullPatterns {
			for _, dt := range types {
				g := newGenerator(1)
				g.nulls = pattern
				schema := named(dt)
				batches := []arrow.RecordBatch{g.batch(schema, 300), g.batch(schema, 1), g.batch(schema, 0), g.batch(schema, 50)}
				f := file(t, schema, batches, Options{PageRows: 128}, func(i int) bool { return i == 1 })
				save(t, dir, fmt.Sprintf("%d %s %s", k, dt, name), f, schema, batches)
			}
		}
	}
	check(t, dir)
}
