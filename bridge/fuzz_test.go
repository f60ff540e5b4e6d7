package bridge

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// reading a batch wholly is what a sink does with it.
func readWholly(batch arrow.RecordBatch) {
	for _, column := range batch.Columns() {
		if column.Len() <= 1<<12 { // rendering is slow; the checks are the same for all lengths
			_ = column.String()
		}
	}
	batch.Release()
}

func FuzzArrowStream(f *testing.F) {
	f.Add(numbers(f, []int64{1, 2}, []int64{3}))
	f.Add(rich(f))
	f.Add(rich(f)[:1000])
	f.Fuzz(func(t *testing.T, stream []byte) {
		pool := &framePool{keep: 1}
		frame, err := pool.read(bytes.NewReader(stream), len(stream))
		if err != nil {
			t.Fatal(err)
		}
		_ = decodeStream(frame, func(batch arrow.RecordBatch) error {
			readWholly(batch)
			return nil
		})
	})
}

func FuzzVersion1(f *testing.F) {
	one := numbers(f, []int64{1})
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(one))), one...)
	f.Add(append(framed, 0, 0, 0, 0))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x03bad\x00\x00\x00\x00"))
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFE})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		first, err := readNumber(r)
		if err != nil {
			return
		}
		pool := &framePool{keep: 1}
		err = readVersion1(r, first, pool, 1<<20, func(batch arrow.RecordBatch) error {
			readWholly(batch)
			return nil
		})
		if err == nil && !bytes.Contains(in, []byte{0, 0, 0, 0}) {
			t.Error("success without an end frame")
		}
	})
}

func FuzzVersion2(f *testing.F) {
	f.Add(bytes.Join([][]byte{
		control(frameTopic, topicFrame{ID: 1, Name: "t"}),
		batchFrame(1, 1, numbers(f, []int64{1})),
		control(frameProgress, progressFrame{"note"}),
		control(frameLog, logFrame{"line"}),
		control(frameEnd, endFrame{Batches: 1, Rows: 1}),
	}, nil))
	f.Add(control(frameError, errorFrame{"ValueError", "bad", "trace"}))
	f.Add(batchFrame(1, 0, rich(f)))
	f.Fuzz(func(t *testing.T, in []byte) {
		v := version2{
			in: bytes.NewReader(in), pool: &framePool{keep: 1}, limit: 1 << 20,
			batch: func(r received) error {
				readWholly(r.record)
				return nil
			},
			progress: func(string) {}, log: func(string) {},
		}
		if err := v.read(); err == nil && !bytes.Contains(in, []byte(`"rows"`)) && v.serial > 0 {
			t.Error("success without the counts of an end frame")
		}
	})
}
