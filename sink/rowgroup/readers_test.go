package rowgroup

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// python runs a script of testdata and gives what it printed.
func python(t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	ctx := t.Context()
	if end, ok := t.Deadline(); ok { // a script that hangs fails its test, and not all of them
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-time.Minute))
		defer cancel()
	}
	out, err := exec.CommandContext(ctx, parts.Python(t), append([]string{filepath.Join("testdata", script)}, args...)...).CombinedOutput()
	return string(out), err
}

// compareInReaders lets pyarrow, duckdb and polars compare every NAME.parquet
// in dir with NAME.N.arrow.
func compareInReaders(t *testing.T, dir string) {
	t.Helper()
	out, err := python(t, "compare.py", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
}

// apart are types that some reader cannot have in a file at all.
func apart(dt arrow.DataType) bool {
	s := dt.String()
	return strings.Contains(s, "duration") || strings.Contains(s, "interval") || strings.Contains(s, "decimal256(60") || strings.Contains(s, "decimal256(40")
}

func TestReadersSeeEveryType(t *testing.T) {
	dir := t.TempDir()
	var together []arrow.DataType
	tables := map[string][]arrow.DataType{}
	for _, dt := range append(flatTypes(), nestedTypes()...) {
		if apart(dt) {
			tables[dt.String()] = []arrow.DataType{dt}
		} else {
			together = append(together, dt)
		}
	}
	tables["all"] = together
	k := 0
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		types := tables[table]
		for name, pattern := range nullPatterns {
			for _, repeats := range []bool{false, true} {
				g := newGenerator(uint64(k))
				g.nulls, g.repeats = pattern, repeats
				schema := named(types...)
				batches := []arrow.RecordBatch{g.batch(schema, 300), g.batch(schema, 1), g.batch(schema, 0), g.batch(schema, 50)}
				opts := codecs[k%len(codecs)]
				opts.PageRows = 128
				k++
				f := file(t, schema, batches, opts, func(i int) bool { return i == 1 })
				save(t, dir, fmt.Sprintf("%s %s %v", table, name, repeats), f, schema, batches)
			}
		}
	}
	compareInReaders(t, dir)
}

func TestReadersSeePageEdges(t *testing.T) {
	dir := t.TempDir()
	var types []arrow.DataType
	for _, dt := range append(flatTypes(), nestedTypes()...) {
		if !apart(dt) {
			types = append(types, dt)
		}
	}
	schema := named(types...)
	const page = 100
	for k, n := range []int{0, 1, page - 1, page, page + 1, 4*page + 1} {
		g := newGenerator(uint64(k))
		g.nulls = someNulls
		batches := []arrow.RecordBatch{g.batch(schema, n)}
		opts := codecs[k]
		opts.PageRows = page
		f := file(t, schema, batches, opts, nil)
		if n == 0 { // a file without row groups still has its columns
			table := readBack(t, f)
			if int(table.NumCols()) != len(types) || table.NumRows() != 0 {
				t.Fatalf("an empty file has %d columns and %d rows", table.NumCols(), table.NumRows())
			}
			continue
		}
		save(t, dir, strconv.Itoa(n), f, schema, batches)
	}
	compareInReaders(t, dir)
}

// RandomTables is the name of a variable: how many random tables the readers
// compare. A person who looks for trouble sets it higher.
const RandomTables = "CASPARIAN_RANDOM_TABLES"

func TestReadersSeeRandomTables(t *testing.T) {
	count := 100
	if s := os.Getenv(RandomTables); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", RandomTables, err)
		}
		count = n
	}
	var leaves []arrow.DataType
	for _, dt := range flatTypes() {
		if !apart(dt) {
			leaves = append(leaves, dt)
		}
	}
	dir := t.TempDir()
	for seed := range uint64(count) {
		g := newGenerator(1000 + seed)
		g.nulls, g.repeats, g.noViews = nullPattern(seed%5), seed%4 == 0, true
		var types []arrow.DataType
		for range 1 + g.IntN(4) {
			types = append(types, g.randomType(6, leaves))
		}
		schema := named(types...)
		var batches []arrow.RecordBatch
		for range 1 + g.IntN(4) {
			batches = append(batches, g.batch(schema, 1+g.IntN(100)))
		}
		opts := codecs[seed%uint64(len(codecs))]
		opts.PageRows = 1 + g.IntN(100)
		f := file(t, schema, batches, opts, func(i int) bool { return i%2 == 1 })
		save(t, dir, strconv.FormatUint(seed, 10), f, schema, batches)
	}
	compareInReaders(t, dir)
}

// What compare.py does not hold against a file is a defect of duckdb's: it reads
// a file by pyarrow the same way.
func TestDuckdbTakesStructsOfNullsAsPresent(t *testing.T) {
	out, err := python(t, "nullstructs.py", filepath.Join(t.TempDir(), "nulls.parquet"))
	rest := ", 'list': [1]}, {'nothing': {'n': None}, 'list': []}, None]\n"
	right, duckdb := "[{'nothing': None"+rest, "[{'nothing': {'n': None}"+rest
	if err != nil || out != right+right+duckdb {
		t.Errorf("%v\ngot\n%swant\n%s", err, out, right+right+duckdb)
	}
}

// Months, and days with milliseconds, are types that no Python reader has. They
// are INTERVAL in the file, which duckdb understands.
func TestReadersSeeIntervals(t *testing.T) {
	schema := named(arrow.FixedWidthTypes.MonthInterval, arrow.FixedWidthTypes.DayTimeInterval)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.MonthIntervalBuilder).AppendValues([]arrow.MonthInterval{14, 0, -3}, []bool{true, false, true})
	b.Field(1).(*array.DayTimeIntervalBuilder).AppendValues([]arrow.DayTimeInterval{{Days: 2, Milliseconds: 1500}, {}, {Days: -1}}, nil)
	f := file(t, schema, []arrow.RecordBatch{b.NewRecordBatch()}, Options{}, nil)
	path := filepath.Join(t.TempDir(), "intervals.parquet")
	if err := os.WriteFile(path, f, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := python(t, "intervals.py", path)
	want := "1 year 2 months | None | -3 months\n2 days 00:00:01.5 | 00:00:00 | -1 day\n"
	if err != nil || out != want {
		t.Errorf("%v\ngot  %swant %s", err, out, want)
	}
}

// prunedTable is made so that most predicates leave out most pages and groups:
// values rise, fall, or stay near each other.
func prunedTable(t *testing.T) (*arrow.Schema, []arrow.RecordBatch) {
	t.Helper()
	schema := named(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String,
		&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, &arrow.Decimal128Type{Precision: 30, Scale: 2}, arrow.FixedWidthTypes.Date32, arrow.PrimitiveTypes.Float32, arrow.BinaryTypes.Binary)
	g := newGenerator(4)
	g.nulls = someNulls
	var batches []arrow.RecordBatch
	for k := range 8 {
		batch := g.batch(schema, 500)
		columns := append([]arrow.Array(nil), batch.Columns()...)
		ib := array.NewInt32Builder(memory.DefaultAllocator)
		ub := array.NewUint64Builder(memory.DefaultAllocator)
		fb := array.NewFloat64Builder(memory.DefaultAllocator)
		sb := array.NewStringBuilder(memory.DefaultAllocator)
		tb := array.NewTimestampBuilder(memory.DefaultAllocator, schema.Field(4).Type.(*arrow.TimestampType))
		for i := range 500 {
			at := k*500 + i
			ib.Append(int32(at - 2000 + g.IntN(20)))
			ub.Append(uint64(at) << 52) // above half of the range too
			fb.Append([]float64{float64(2000-at) / 8, g.float()}[min(1, g.IntN(100)/99)])
			sb.Append(fmt.Sprintf("%s%05d%s", []string{"", "é", "zz"}[k%3], at, strings.Repeat("long", (at%7/6)*30)))
			tb.Append(arrow.Timestamp(1.6e15 + int64(at)*1e9))
		}
		for i, b := range []array.Builder{ib, ub, fb, sb, tb} {
			columns[i] = b.NewArray()
		}
		batches = append(batches, array.NewRecordBatch(schema, columns, 500))
	}
	return schema, batches
}

// writePruned writes that table, each batch a row group. tamper may change what
// is said of a group.
func writePruned(t *testing.T, path string, tamper func(g *RowGroup)) {
	t.Helper()
	schema, batches := prunedTable(t)
	e, err := New(schema, Options{PageRows: 100, BloomColumns: []string{"c0", "c1", "c3", "c5", "c6", "c8"}, SortedBy: []string{"c4"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString(Magic)
	var groups []Placed
	for _, b := range batches {
		if err := e.Write(b); err != nil {
			t.Fatal(err)
		}
		at := int64(out.Len())
		g, err := e.Finish(&out)
		if err != nil {
			t.Fatal(err)
		}
		if want := []SortingColumn{{Column: 4}}; len(g.Sorting()) != 1 || g.Sorting()[0] != want[0] {
			t.Fatalf("the group is sorted by %v, not by %v", g.Sorting(), want)
		}
		if tamper != nil {
			tamper(&g)
		}
		groups = append(groups, Placed{g, at})
	}
	all, err := AppendFooter(out.Bytes(), schema, groups, nil, "casparian-worker version 0.0.0 (build test)")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPruningGivesWhatAFullScanGives(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pruned.parquet")
	writePruned(t, path, nil)
	out, err := python(t, "predicates.py", path, "200")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))

	// The same with a bound that is wrong: it must be noticed.
	wrong := filepath.Join(dir, "wrong.parquet")
	writePruned(t, wrong, func(g *RowGroup) { g.chunks[0].statistics.max = g.chunks[0].statistics.min })
	if out, err := python(t, "predicates.py", wrong, "200"); err == nil {
		t.Errorf("a wrong maximum went unnoticed:\n%s", out)
	}
}

// Statistics, page index, bloom filters and checksums as pyarrow sees them.
func TestMetadataSaysWhatTheDataIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pruned.parquet")
	writePruned(t, path, nil)
	out, err := python(t, "metadata.py", path)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
}
