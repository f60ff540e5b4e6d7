package rowgroup

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/snappy"
)

func TestSnappySegmentsReadAsOneBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := bytes.Repeat([]byte("the quick brown fox "), 20_000)
	for name, segments := range map[string][][]byte{
		"a head and text":      {{2, 0, 0, 0, 128, 1}, text},
		"text and noise":       {text, noise},
		"noise and text":       {noise, text},
		"many short ones":      {{1}, {2, 3}, noise[:15], noise[:16], noise[:17], {4}},
		"empty ones":           {{}, text[:100], {}, noise[:100], {}},
		"nothing":              {{}, {}},
		"lengths of all sizes": {noise[:127], noise[:128], noise[:16_383], noise[:16_384], text},
	} {
		for _, level := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, level %d", name, level), func(t *testing.T) {
				c := compressor{kind: Snappy, level: level}
				block, err := c.snappySegments(nil, segments, false)
				if err != nil {
					t.Fatal(err)
				}
				got, err := snappy.Decode(nil, block)
				if err != nil {
					t.Fatalf("the block cannot be read: %v", err)
				}
				if want := slices.Concat(segments...); !bytes.Equal(got, want) {
					t.Errorf("the block holds %d bytes, not the %d that were given", len(got), len(want))
				}
			})
		}
	}
}

// Keys that begin alike are smaller without their beginning than Snappy makes
// them: they need no codec.
func TestKeysThatBeginAlikeNeedNoCodec(t *testing.T) {
	schema := named(arrow.BinaryTypes.String)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	r := rand.New(rand.NewPCG(1, 4))
	for range 50_000 {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("key-%012d", r.IntN(1e12)))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	for name, want := range map[string]struct {
		opts  Options
		enc   encoding
		codec Compression
	}{
		"snappy":             {Options{}, deltaStrings, None},
		"zstd, which is far": {Options{Compression: Zstd}, deltaLength, Zstd},
		"compat":             {Options{Compat: true}, plain, Snappy},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := New(schema, want.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Write(batch); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			g, err := e.Finish(&out)
			if err != nil {
				t.Fatal(err)
			}
			chunk := g.chunks[0]
			if !slices.Contains(chunk.encodings, want.enc) || chunk.codec != want.codec.codecNumber() {
				t.Errorf("encodings %v and codec %d, want %d and %d", chunk.encodings, chunk.codec, want.enc, want.codec.codecNumber())
			}
		})
	}
}

func TestLevelsAreCounted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for most := range 8 {
		for _, n := range []int{0, 1, 7, 8, 9, 63, 64, 1001} {
			levels, want := make([]uint8, n), make([]int64, most+1)
			for i := range levels {
				levels[i] = uint8(r.IntN(most + 1))
				want[levels[i]]++
			}
			got := make([]int64, most+1)
			countLevels(got, levels)
			if !slices.Equal(got, want) {
				t.Errorf("%d levels up to %d: counts %v, want %v", n, most, got, want)
			}
		}
	}
}
