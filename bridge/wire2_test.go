package bridge

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// numbers makes a stream of batches with one column n.
func numbers(t testing.TB, batches ...[]int64) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	for _, values := range batches {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.AppendValues(values, nil)
		column := b.NewArray()
		batch := array.NewRecordBatch(schema, []arrow.Array{column}, int64(len(values)))
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
		batch.Release()
		column.Release()
		b.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func frame(kind frameType, body []byte) []byte {
	var out bytes.Buffer
	_ = writeFrame(&out, kind, body)
	return out.Bytes()
}

func control(kind frameType, value any) []byte {
	body, _ := json.Marshal(value)
	return frame(kind, body)
}

func batchFrame(serial uint64, topic uint32, stream []byte) []byte {
	head := binary.BigEndian.AppendUint64(nil, serial)
	head = binary.BigEndian.AppendUint32(head, topic)
	head = binary.BigEndian.AppendUint32(head, 0)
	return frame(frameBatch, append(head, stream...))
}

// readAll runs a version 2 reader over bytes and releases what it gets.
func readAll(in []byte, limit int64) (seen []received, live int, err error) {
	pool := &framePool{keep: 2}
	v := version2{in: bytes.NewReader(in), pool: pool, limit: limit,
		batch: func(r received) error {
			r.record.Release()
			seen = append(seen, r)
			return nil
		},
		progress: func(string) {}, log: func(string) {},
	}
	err = v.read()
	return seen, pool.inUse(), err
}

func TestVersion2Frames(t *testing.T) {
	t.Parallel()
	one, two := numbers(t, []int64{1}), numbers(t, []int64{1, 2})
	end := func(batches uint64, rows int64) []byte {
		return control(frameEnd, endFrame{Batches: batches, Rows: rows})
	}
	topic := func(id uint32, name string) []byte { return control(frameTopic, topicFrame{ID: id, Name: name}) }
	tests := []struct {
		name   string
		frames [][]byte
		want   string // "" = success
	}{
		{"nothing published", [][]byte{end(0, 0)}, ""},
		{"two batches", [][]byte{topic(1, "t"), batchFrame(1, 1, one), batchFrame(2, 0, two), end(2, 3)}, ""},
		{"progress and log", [][]byte{control(frameProgress, progressFrame{"x"}), control(frameLog, logFrame{"y"}), end(0, 0)}, ""},
		{"fields that we do not know", [][]byte{frame(frameEnd, []byte(`{"batches":0,"rows":0,"later":[1]}`))}, ""},
		{"no end", [][]byte{batchFrame(1, 0, one)}, "EOF"},
		{"too few batches counted", [][]byte{batchFrame(1, 0, one), end(0, 1)}, "counts 0 batches"},
		{"too many rows counted", [][]byte{batchFrame(1, 0, one), end(1, 2)}, "counts 1 batches with 2 rows, 1 with 1 came in"},
		{"a serial is missing", [][]byte{batchFrame(2, 0, one)}, "batch 2 after batch 0"},
		{"a serial comes twice", [][]byte{batchFrame(1, 0, one), batchFrame(1, 0, one)}, "batch 1 after batch 1"},
		{"a topic that nobody registered", [][]byte{batchFrame(1, 9, one)}, "topic 9"},
		{"a topic id that is taken", [][]byte{topic(1, "a"), topic(1, "b")}, "topic id 1 is taken"},
		{"topic 0", [][]byte{topic(0, "a")}, "topic id 0 is taken"},
		{"a topic without a name", [][]byte{topic(1, "")}, "name of 0 bytes"},
		{"a topic with an endless name", [][]byte{topic(1, strings.Repeat("x", 2000))}, "name of 2000 bytes"},
		{"two batches in one frame", [][]byte{batchFrame(1, 0, numbers(t, []int64{1}, []int64{2}))}, "more than one batch"},
		{"no rows in a frame", [][]byte{batchFrame(1, 0, numbers(t, []int64{}))}, "no rows"},
		{"no batch in a frame", [][]byte{batchFrame(1, 0, numbers(t))}, "no rows"},
		{"a second batch that is bad", [][]byte{batchFrame(1, 0, numbers(t, []int64{1}, []int64{2})[:len(one)])}, "bad Arrow stream"},
		{"a batch without its head", [][]byte{frame(frameBatch, make([]byte, 15))}, "15 bytes"},
		{"a batch without a stream", [][]byte{batchFrame(1, 0, nil)}, "bad Arrow stream"},
		{"a frame above the limit", [][]byte{{3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}}, "4294967295"},
		{"JSON above the limit", [][]byte{{6, 0, 0, 0, 0x00, 0x10, 0x00, 0x01}}, "1048577"},
		{"JSON that is none", [][]byte{frame(frameEnd, []byte("{"))}, "frame type 6"},
		{"JSON of another shape", [][]byte{frame(frameEnd, []byte(`{"rows":"many"}`))}, "frame type 6"},
		{"a type that does not exist", [][]byte{frame(99, nil)}, "frame type 99"},
		{"type zero", [][]byte{make([]byte, 8)}, "frame type 0"},
		{"a host's frame", [][]byte{frame(frameAck, make([]byte, 8))}, "frame type 66"},
		{"reserved bytes", [][]byte{{6, 1, 0, 0, 0, 0, 0, 0}}, "reserved"},
		{"half a header", [][]byte{{6, 0, 0}}, "unexpected EOF"},
		{"half a batch", [][]byte{batchFrame(1, 0, one)[:200]}, "unexpected EOF"},
		{"half an error", [][]byte{control(frameError, errorFrame{Type: "E"})[:12]}, "unexpected EOF"},
		{"an error", [][]byte{batchFrame(1, 0, one), control(frameError, errorFrame{"ValueError", "bad", "trace"})}, "plugin raised ValueError: bad"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, live, err := readAll(bytes.Join(test.frames, nil), 1<<20)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if live != 0 {
				t.Errorf("%d frame buffers are not given back", live)
			}
		})
	}
}

// Whatever comes first on a connection, no version 1 frame can begin like
// version 2 does.
func TestTheMagicIsNoLegalLength(t *testing.T) {
	t.Parallel()
	limits, err := Limits{Frame: 1<<31 - 1}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	err = readVersion1(bytes.NewReader(nil), magic, &framePool{}, limits.Frame, nil)
	var failed *GuestError
	if !errors.As(err, &failed) || failed.Kind != FrameTooLarge {
		t.Errorf("got %v", err)
	}
}

// A buffer is used again only after the batch in it was released, and a long
// frame grows with its bytes and not with its announcement.
func TestFrameBuffers(t *testing.T) {
	t.Parallel()
	pool := &framePool{keep: 1, poison: true}
	var kept arrow.RecordBatch
	stream := numbers(t, []int64{7, 8})
	read := func() {
		t.Helper()
		frame, err := pool.read(bytes.NewReader(stream), len(stream))
		if err != nil {
			t.Fatal(err)
		}
		if err := decodeStream(frame, func(b arrow.RecordBatch) error { kept = b; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	read()
	first := kept
	if values := first.Column(0).(*array.Int64).Int64Values(); !slices.Equal(values, []int64{7, 8}) {
		t.Errorf("a batch that is held reads %v", values)
	}
	read()
	if pool.inUse() != 2 {
		t.Errorf("%d buffers are in use, want one for each batch", pool.inUse())
	}
	first.Release()
	kept.Release()
	if pool.inUse() != 0 || len(pool.free) != 1 {
		t.Errorf("%d in use, %d kept, want 0 and 1", pool.inUse(), len(pool.free))
	}
	before := &pool.free[0][0]
	read()
	if len(pool.free) != 0 {
		t.Error("the buffer was not used again")
	}
	kept.Release()
	if &pool.free[0][0] != before {
		t.Error("another buffer came back")
	}

	if _, err := pool.read(io.LimitReader(neverEnding{}, 100), 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	for _, buf := range pool.free {
		if cap(buf) > trusted {
			t.Errorf("an announcement of 1 GiB made a buffer of %d bytes", cap(buf))
		}
	}
	long, err := pool.read(io.LimitReader(neverEnding{}, 3*trusted), 3*trusted)
	if err != nil || long.Len() != 3*trusted {
		t.Fatal(err)
	}
	long.Release()
}

// neverEnding reads zeros.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
