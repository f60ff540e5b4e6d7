package parquet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/sink"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		stopReaders()
		os.Exit(code)
	}))
}

// newDriver makes a driver on an output root of the test's own.
func newDriver(t *testing.T, config Config) *Driver {
	t.Helper()
	if config.Root == "" {
		config.Root = filepath.Join(t.TempDir(), "out")
	}
	driver, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

// target is job 7's first attempt at one output.
func target(uri string) sink.Target {
	return sink.Target{JobID: 7, Generation: 1, Attempt: 1, Topic: "output", URI: uri, Mode: sink.Append,
		Plugin: "demo", FileVersionID: 41}
}

// column is a name and JSON values, as array.FromJSON reads them.
type column struct {
	name   string
	kind   arrow.DataType
	values string
}

func batchOf(t *testing.T, columns ...column) arrow.RecordBatch {
	t.Helper()
	fields := make([]arrow.Field, len(columns))
	arrays := make([]arrow.Array, len(columns))
	rows := 0
	for i, c := range columns {
		values, _, err := array.FromJSON(memory.DefaultAllocator, c.kind, strings.NewReader(c.values))
		if err != nil {
			t.Fatalf("column %s: %v", c.name, err)
		}
		defer values.Release()
		fields[i] = arrow.Field{Name: c.name, Type: c.kind, Nullable: true}
		arrays[i] = values
		rows = values.Len()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, int64(rows))
}

// ints is a batch of one column "n" with the numbers [from, to).
func ints(from, to int64) arrow.RecordBatch {
	builder := array.NewInt64Builder(memory.DefaultAllocator)
	defer builder.Release()
	for i := from; i < to; i++ {
		builder.Append(i)
	}
	values := builder.NewArray()
	defer values.Release()
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil),
		[]arrow.Array{values}, to-from)
}

func open(t *testing.T, d *Driver, to sink.Target, resume sink.Token) sink.Writer {
	t.Helper()
	writer, err := d.Open(t.Context(), to, resume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { writer.Close() })
	return writer
}

func write(t *testing.T, w sink.Writer, batches ...arrow.RecordBatch) {
	t.Helper()
	for _, batch := range batches {
		if err := w.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// flush ends the open row group early and makes everything durable. Without rows
// the token is empty.
func flush(t *testing.T, w sink.Writer) sink.Token {
	t.Helper()
	token, err := tryFlush(t, w)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func tryFlush(t *testing.T, w sink.Writer) (sink.Token, error) {
	inner := w.(*writer)
	if err := inner.guarded(t.Context(), inner.closeGroup); err != nil {
		return nil, err
	}
	checkpoint, err := w.Checkpoint(t.Context())
	if err != nil {
		return nil, err
	}
	if checkpoint != nil {
		return checkpoint.Token, checkpoint.Sync()
	}
	if inner.rows == 0 {
		return nil, nil
	}
	return inner.assembler.last.marshal()
}

// seal ends the writer and gives its token.
func seal(t *testing.T, w sink.Writer) sink.Token {
	t.Helper()
	token, err := w.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return token
}

// commit publishes and gives the path of the file.
func commit(t *testing.T, d *Driver, to sink.Target, token sink.Token) string {
	t.Helper()
	artifact, err := d.Commit(t.Context(), to, token)
	if err != nil {
		t.Fatal(err)
	}
	if artifact.Topic != to.Topic {
		t.Fatalf("the artifact's topic is %q, not %q", artifact.Topic, to.Topic)
	}
	path, err := d.publishedPath(artifact.URI)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(d.config.Root, path)
}

// publish writes batches to a target and commits them.
func publish(t *testing.T, d *Driver, to sink.Target, batches ...arrow.RecordBatch) string {
	t.Helper()
	writer := open(t, d, to, nil)
	write(t, writer, batches...)
	return commit(t, d, to, seal(t, writer))
}

// files lists everything below the root that is not a folder, with slashes.
func files(t *testing.T, d *Driver) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(d.config.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(d.config.Root, path)
		found = append(found, filepath.ToSlash(below))
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

func wantFiles(t *testing.T, d *Driver, want ...string) {
	t.Helper()
	if got := files(t, d); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("the output root holds %q, want %q", got, want)
	}
}

// python runs a script of testdata and gives what it printed.
func python(t *testing.T, stdin []byte, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, parts.Python(t), append([]string{filepath.Join("testdata", script)}, args...)...)
	command.Stdin = bytes.NewReader(stdin)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out.Bytes())
	}
	return out.String()
}

// rowsOf reads files with pyarrow: their columns, types, rows and metadata.
type rowsOf struct {
	Columns  map[string][]any  `json:"columns"`
	Names    []string          `json:"names"`
	Types    map[string]string `json:"types"`
	Groups   []int64           `json:"groups"` // rows of each row group
	Codecs   []string          `json:"codecs"` // of each column, first row group
	Ranges   map[string][]any  `json:"ranges"` // least and greatest, as the first row group states them
	Metadata map[string]string `json:"metadata"`
	Created  string            `json:"created"`
	Readers  map[string]int64  `json:"readers"` // rows as other readers count them
}

// readers is one Python process for all tests: its imports take longer than
// most of them.
var readers struct {
	once    sync.Once
	command *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
	err     error
}

func startReaders(python string) {
	readers.command = exec.Command(python, filepath.Join("testdata", "read.py"))
	readers.command.Stderr = os.Stderr
	answers, err := readers.command.StdoutPipe()
	if err == nil {
		readers.ask, err = readers.command.StdinPipe()
	}
	if err == nil {
		err = readers.command.Start()
	}
	readers.answers, readers.err = bufio.NewReader(answers), err
}

func stopReaders() {
	if readers.command != nil && readers.err == nil {
		readers.ask.Close()
		readers.command.Wait()
	}
}

func read(t *testing.T, path string) rowsOf {
	t.Helper()
	interpreter := parts.Python(t)
	readers.once.Do(func() { startReaders(interpreter) })
	must(t, readers.err)
	deadline := time.AfterFunc(5*time.Minute, func() { readers.command.Process.Kill() })
	defer deadline.Stop()
	must(t, json.NewEncoder(readers.ask).Encode(path))
	line, err := readers.answers.ReadBytes('\n')
	must(t, err)
	var answer struct {
		rowsOf
		Error string `json:"error"`
	}
	must(t, json.Unmarshal(line, &answer))
	if answer.Error != "" {
		t.Fatalf("read %s: %s", path, answer.Error)
	}
	return answer.rowsOf
}

// wantNumbers checks that column "n" holds exactly [0, n).
func wantNumbers(t *testing.T, path string, n int64) rowsOf {
	t.Helper()
	rows := read(t, path)
	got := rows.Columns["n"]
	if int64(len(got)) != n {
		t.Fatalf("%s has %d rows, want %d", path, len(got), n)
	}
	for i, v := range got {
		if v != float64(i) {
			t.Fatalf("%s: row %d is %v", path, i, v)
		}
	}
	for reader, count := range rows.Readers {
		if count != n {
			t.Fatalf("%s: %s sees %d rows, want %d", path, reader, count, n)
		}
	}
	return rows
}

// eachBatch reads an IPC stream.
func eachBatch(t *testing.T, path string, visit func(arrow.RecordBatch)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := ipc.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	for reader.Next() {
		visit(reader.RecordBatch())
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path string, more []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = file.Write(more)
	must(t, err)
	must(t, file.Close())
}

// wantSet is wantFiles in any order.
func wantSet(t *testing.T, d *Driver, want ...string) {
	t.Helper()
	sort.Strings(want)
	got := files(t, d)
	sort.Strings(got)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("the output root holds %q, want %q", got, want)
	}
}

// spread is like ints with numbers that no encoding makes small.
func spread(from, to int64) arrow.RecordBatch {
	builder := array.NewInt64Builder(memory.DefaultAllocator)
	defer builder.Release()
	for i := from; i < to; i++ {
		builder.Append(int64(uint64(i) * 0x9E3779B97F4A7C15))
	}
	values := builder.NewArray()
	defer values.Release()
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil),
		[]arrow.Array{values}, to-from)
}
