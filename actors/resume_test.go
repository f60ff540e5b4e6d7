package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/digest"
	"github.com/casparian-flow/casparian-worker/sink/parquet"
)

// desktop is a writer with a real journal and real files; the test is the guest.
type desktop struct {
	*testing.T
	journal *journal.Journal
	writer  *Writer
	root    string
}

func newDesktop(t *testing.T, sinks ...journal.SinkSpec) *desktop {
	t.Helper()
	d := desktopIn(t, t.TempDir(), nil)
	d.accept(sinks...)
	return d
}

// desktopIn has its journal and its files below a folder, on a disk that is watched.
func desktopIn(t *testing.T, folder string, watch disk.Watch) *desktop {
	t.Helper()
	j, err := journal.Open(filepath.Join(folder, "state"), journal.Options{Disk: watch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	d := &desktop{T: t, journal: j, root: filepath.Join(folder, "out")}
	d.configure(parquet.Config{Disk: watch})
	return d
}

// accept takes the job on.
func (d *desktop) accept(sinks ...journal.SinkSpec) {
	d.Helper()
	spec := journal.JobSpec{Plugin: "sales", Source: journal.DigestOf(nil), Sinks: sinks}
	d.note(journal.JobAccepted{JobID: 1, Generation: 1, Spec: spec, Origin: journal.OriginNew})
}

// configure puts another writer in place, as a restart with other options does.
func (d *desktop) configure(config parquet.Config) {
	d.Helper()
	config.Root = d.root
	driver, err := parquet.New(config)
	if err != nil {
		d.Fatal(err)
	}
	registry := sink.NewRegistry()
	registry.Register(parquet.Scheme, driver)
	d.writer = NewWriter(registry, d.journal, 1, 0, slog.New(slog.DiscardHandler))
}

func (d *desktop) note(event journal.Event) *journal.Job {
	d.Helper()
	var blobs [][]byte
	if _, is := event.(journal.JobAccepted); is {
		blobs = [][]byte{nil}
	}
	state, err := d.journal.Append(d.Context(), event, blobs...)
	if err != nil {
		d.Fatal(err)
	}
	job, _ := state.Job(1)
	return job
}

func (d *desktop) job() *journal.Job {
	job, _ := d.journal.State().Job(1)
	return job
}

// trial is one attempt under way.
type trial struct {
	*desktop
	a    *assignment
	kill context.CancelFunc
	done chan attemptEnded
}

// begin starts the next attempt.
func (d *desktop) begin() *trial {
	d.Helper()
	attempt := d.job().Attempt()
	attempt.Attempt++
	job := d.note(journal.AttemptStarted{Attempt: attempt})
	ctx, kill := context.WithCancel(d.Context())
	stopCtx, stop := context.WithCancelCause(context.Background())
	r := &trial{desktop: d, kill: kill, done: make(chan attemptEnded, 1), a: &assignment{
		attempt: attempt, spec: job.Spec, targets: targetsOf(job), chosen: targetsFor(job, job.Chosen), checkpoint: job.Checkpoint,
		ctx: stopCtx, stop: stop, feed: make(chan fed), settled: make(chan struct{}), progress: &Progress{},
	}}
	go func() {
		ended, err := d.writer.write(ctx, r.a)
		if err != nil {
			d.Error(err)
		}
		r.done <- ended
	}()
	return r
}

// give feeds a batch and waits until it is taken.
func (r *trial) give(batch bridge.Batch) {
	r.Helper()
	item := fed{batch: batch, acknowledge: func() {}, durable: func(uint64) {}}
	if item.sum, item.unsummed = digest.Batch(batch.Topic, batch.Record); item.unsummed != nil {
		r.Fatal(item.unsummed)
	}
	select {
	case r.a.feed <- item:
	case <-r.a.ctx.Done(): // the writer wants no more
		batch.Record.Release()
	case <-time.After(patience):
		r.Fatal("the batch is not taken")
	}
}

// giveAll feeds the batches [from, to).
func (r *trial) giveAll(from, to int) {
	r.Helper()
	for i := from; i < to; i++ {
		r.give(batchNumber(i, ""))
	}
}

// durable waits until so many batches are part of a checkpoint.
func (r *trial) durable(batches uint64) *journal.Checkpoint {
	r.Helper()
	for deadline := time.After(patience); ; {
		changed := r.journal.Changed()
		if c := r.job().Checkpoint; c != nil && c.Batches >= batches {
			return c
		}
		select {
		case <-changed:
		case <-deadline:
			r.Fatalf("%d batches are not durable: %+v", batches, r.job().Checkpoint)
		}
	}
}

// crash ends the attempt in the middle; what it did not make durable is lost.
func (r *trial) crash() {
	r.Helper()
	r.kill()
	close(r.a.feed)
	if ended := r.ended(); !errors.Is(ended.interrupted, errStopping) {
		r.Fatalf("ended as %+v", ended)
	}
	r.note(journal.AttemptInterrupted{Attempt: r.a.attempt, Reason: "killed", Crashed: true})
}

func (r *trial) ended() attemptEnded {
	r.Helper()
	defer r.kill()
	select {
	case ended := <-r.done:
		return ended
	case <-time.After(patience):
		r.Fatal("the attempt does not end")
	}
	panic("unreachable")
}

// succeed ends the feed and gives the numbers in each published file, by topic.
func (r *trial) succeed() map[string][]int64 {
	r.Helper()
	close(r.a.feed)
	ended := r.ended()
	if ended.receipt == nil || ended.receipt.Status != journal.Success {
		r.Fatalf("ended as %+v, receipt %+v", ended, ended.receipt)
	}
	numbers := map[string][]int64{}
	for _, artifact := range ended.receipt.Artifacts {
		numbers[artifact.Topic] = numbersIn(r.T, strings.TrimPrefix(artifact.URI, "parquet://"))
	}
	return numbers
}

// events counts the events of a kind, in the whole journal.
func (d *desktop) events(kind string) (n int) {
	d.Helper()
	err := d.journal.Records(1, func(r journal.Record) error {
		if string(r.Kind) == kind {
			n++
		}
		return nil
	})
	if err != nil {
		d.Fatal(err)
	}
	return n
}

// hidden lists the files of the root whose names end so and begin with a dot.
func (d *desktop) hidden(suffix string) []string {
	d.Helper()
	names, err := filepath.Glob(filepath.Join(d.root, ".*"+suffix))
	if err != nil {
		d.Fatal(err)
	}
	return names
}

const batchRows = 100

// batchNumber has the numbers from 100*i on, with nested columns beside them. Every
// third batch is of the topic "odd", the others of "even".
func batchNumber(i int, word string) bridge.Batch {
	fields := []arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: "at", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}), Nullable: true},
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer builder.Release()
	tags, at := builder.Field(1).(*array.ListBuilder), builder.Field(2).(*array.StructBuilder)
	for n := i * batchRows; n < (i+1)*batchRows; n++ {
		builder.Field(0).(*array.Int64Builder).Append(int64(n))
		if n%7 == 0 {
			tags.AppendNull()
			at.AppendNull()
			continue
		}
		tags.Append(true)
		for k := range n % 3 {
			tags.ValueBuilder().(*array.StringBuilder).Append(fmt.Sprint(word, n, k))
		}
		at.Append(true)
		at.FieldBuilder(0).(*array.Float64Builder).Append(float64(n) / 4)
	}
	topic := "even"
	if i%3 == 0 {
		topic = "odd"
	}
	return bridge.Batch{Serial: uint64(i + 1), Topic: topic, Record: builder.NewRecordBatch()}
}

// expected are the numbers of a topic in n batches.
func expected(topic string, n int) (numbers []int64) {
	for i := range n {
		batch := batchNumber(i, "")
		if batch.Topic == topic {
			numbers = append(numbers, batch.Record.Column(0).(*array.Int64).Int64Values()...)
		}
		batch.Record.Release()
	}
	return numbers
}

func numbersIn(t *testing.T, path string) []int64 {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := reader.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	var numbers []int64
	for _, chunk := range table.Column(0).Data().Chunks() {
		numbers = append(numbers, chunk.(*array.Int64).Int64Values()...)
	}
	return numbers
}

func wantNumbers(t *testing.T, what string, got, want []int64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %d numbers, want %d: %.200s", what, len(got), len(want), fmt.Sprint(got))
	}
}

// twoSinks cut their row groups at different points, none at a batch's end.
var twoSinks = []journal.SinkSpec{
	{Topic: "even", URI: "parquet://even.parquet?row_group_rows=330&bloom=n", Mode: "append"},
	{Topic: "odd", URI: "parquet://odd.parquet?row_group_rows=270&page_bytes=1024", Mode: "replace"},
}

// TestAJobGoesOnBehindItsDurableRows: interrupted again and again, it ends with every
// row once, and what was durable is not written a second time.
func TestAJobGoesOnBehindItsDurableRows(t *testing.T) {
	const batches = 40
	d := newDesktop(t, twoSinks...)
	durable := map[string][]byte{}
	for _, stop := range []int{1, 9, 10, 22, 37} {
		r := d.begin()
		r.giveAll(0, stop)
		if stop > 6 { // a row group of the first sink is complete
			for _, output := range r.durable(uint64(stop - 5)).Outputs {
				content, err := os.ReadFile(d.staged(output))
				if err != nil {
					t.Fatal(err)
				}
				durable[output.Sink.Topic] = content[:output.Bytes]
			}
		}
		r.crash()
	}
	r := d.begin()
	r.giveAll(0, batches)
	numbers := r.succeed()
	wantNumbers(t, "even", numbers["even"], expected("even", batches))
	wantNumbers(t, "odd", numbers["odd"], expected("odd", batches))
	for topic, path := range map[string]string{"even": "even_1.parquet", "odd": "odd.parquet"} {
		content, err := os.ReadFile(filepath.Join(d.root, path))
		if err != nil {
			t.Fatal(err)
		}
		if len(durable[topic]) == 0 || !bytes.HasPrefix(content, durable[topic]) {
			t.Errorf("%s: the %d bytes that were durable are not in the file as they were", path, len(durable[topic]))
		}
	}
	if n := d.events("output-resumed"); n != 4 {
		t.Errorf("resumed %d times, want 4", n)
	}
	if left := d.hidden(""); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// staged finds the staged file of an output.
func (d *desktop) staged(output journal.Output) string {
	d.Helper()
	for _, path := range d.hidden(".part") {
		if bytes.Contains(output.Token, []byte(filepath.Base(path))) {
			return path
		}
	}
	d.Fatalf("no staged file of %s", output.Token)
	return ""
}

// TestAFewCheckpointsAreEnough: one for each row group at most, none for a job that
// ends before its first is complete.
func TestAFewCheckpointsAreEnough(t *testing.T) {
	d := newDesktop(t, twoSinks...)
	r := d.begin()
	r.giveAll(0, 3)
	r.succeed()
	if n := d.events("output-checkpointed"); n != 0 {
		t.Errorf("a small job has %d checkpoints", n)
	}
	d = newDesktop(t, twoSinks...)
	r = d.begin()
	r.giveAll(0, 40)
	r.durable(37) // also what became complete while the last sync ran
	r.succeed()
	rows := len(expected("even", 40))/330 + len(expected("odd", 40))/270
	if n := d.events("output-checkpointed"); n == 0 || n > rows {
		t.Errorf("%d checkpoints for %d row groups", n, rows)
	}
}

// TestOtherDataStartsOver: a plugin that gives something else the second time does
// not get its rows mixed.
func TestOtherDataStartsOver(t *testing.T) {
	for name, second := range map[string]func(r *trial){
		"another value": func(r *trial) {
			r.give(batchNumber(0, ""))
			r.give(batchNumber(1, "other"))
			r.giveAll(2, 20)
		},
		"another order": func(r *trial) {
			r.give(batchNumber(1, ""))
			r.give(batchNumber(0, ""))
			r.giveAll(2, 20)
		},
		"fewer batches": func(r *trial) { r.giveAll(0, 4) },
		"nothing":       func(*trial) {},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesktop(t, twoSinks...)
			first := d.begin()
			first.giveAll(0, 12)
			first.durable(8)
			first.crash()
			r := d.begin()
			second(r)
			close(r.a.feed)
			ended := r.ended()
			if other := (*otherDataError)(nil); !errors.As(ended.interrupted, &other) {
				t.Fatalf("ended as %+v", ended)
			}
			d.note(journal.AttemptInterrupted{Attempt: r.a.attempt, Reason: ended.interrupted.Error()})
			if n := d.events("output-set-aside"); n != 1 || d.job().Checkpoint != nil {
				t.Errorf("set aside %d times, %+v", n, d.job().Checkpoint)
			}
			if aside := d.hidden(".aside"); len(aside) != 2 || len(d.hidden(".part")) != 0 {
				t.Errorf("hidden files: %q", d.hidden(""))
			}
			third := d.begin()
			third.giveAll(0, 20)
			numbers := third.succeed()
			wantNumbers(t, "even", numbers["even"], expected("even", 20))
			wantNumbers(t, "odd", numbers["odd"], expected("odd", 20))
		})
	}
}

// TestWhatCannotBeGoneOnWith is set aside before the first batch, and the attempt
// begins with nothing.
func TestWhatCannotBeGoneOnWith(t *testing.T) {
	for name, spoil := range map[string]func(d *desktop){
		"a file that is shorter": func(d *desktop) {
			for _, path := range d.hidden(".part") {
				if err := os.Truncate(path, 2000); err != nil {
					d.Fatal(err)
				}
			}
		},
		"one file that is gone": func(d *desktop) {
			if err := os.Remove(d.hidden(".part")[0]); err != nil {
				d.Fatal(err)
			}
		},
		"other options": func(d *desktop) { d.configure(parquet.Config{Compression: "zstd"}) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesktop(t, twoSinks...)
			first := d.begin()
			first.giveAll(0, 12)
			first.durable(10)
			first.crash()
			if n := len(d.hidden(".part")); n != 2 {
				t.Fatalf("%d files are staged", n)
			}
			spoil(d)
			second := d.begin()
			second.giveAll(0, 20)
			numbers := second.succeed()
			wantNumbers(t, "even", numbers["even"], expected("even", 20))
			wantNumbers(t, "odd", numbers["odd"], expected("odd", 20))
			if d.events("output-set-aside") != 1 || d.events("output-resumed") != 0 {
				t.Error("the journal does not say that the job started over")
			}
			if aside := d.hidden(".aside"); len(aside) == 0 || len(d.hidden(".part")) != 0 {
				t.Errorf("hidden files: %q", d.hidden(""))
			}
		})
	}
}

// TestASinkThatThePluginChose is in the journal before anything is staged there, is
// gone on with, and is cleared away with the job.
func TestASinkThatThePluginChose(t *testing.T) {
	give := func(r *trial, to int) {
		for i := range to {
			batch := batchNumber(i, "")
			batch.DefaultURI = "parquet://" + batch.Topic + ".parquet?row_group_rows=330"
			r.give(batch)
		}
	}
	d := newDesktop(t)
	r := d.begin()
	give(r, 14)
	r.durable(8)
	r.crash()
	if chosen := d.job().Chosen; len(chosen) != 2 || d.events("sink-chosen") != 2 {
		t.Fatalf("chosen: %+v", chosen)
	}
	r = d.begin()
	give(r, 20)
	numbers := r.succeed()
	wantNumbers(t, "even", numbers["even"], expected("even", 20))
	wantNumbers(t, "odd", numbers["odd"], expected("odd", 20))
	if n := d.events("output-resumed"); n != 1 || d.events("sink-chosen") != 2 {
		t.Errorf("resumed %d times, %d chosen", n, d.events("sink-chosen"))
	}

	d = newDesktop(t)
	r = d.begin()
	give(r, 14)
	r.durable(8)
	r.crash()
	if err := d.writer.discard(t.Context(), d.job(), d.job().Checkpoint); err != nil || len(d.hidden(".part")) == 0 {
		t.Fatalf("what is durable was cleared away (%v)", err)
	}
	if err := d.writer.discard(t.Context(), d.job(), nil); err != nil || len(d.hidden("")) != 0 {
		t.Errorf("left over: %q (%v)", d.hidden(""), err)
	}
}
